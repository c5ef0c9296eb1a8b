"""_arrays.py - from what a caller gives to memory and strides that the library takes.

SPDX-License-Identifier: BSD-3-Clause
"""
import ctypes
import operator
from typing import Any, Dict, Optional, Protocol, Tuple, Union

import numpy as np
import numpy.typing as npt


class SupportsDLPack(Protocol):
    """An array of another library."""

    def __dlpack__(self) -> Any: ...


Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
ArrayLike = Union[npt.ArrayLike, SupportsDLPack]


def integer(name: str, value: Any, bits: int = 64) -> int:
    """value as an int that the library's integers can hold."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected a whole number, got {type(value).__name__}") from None
    if not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise ValueError(f"{name}: expected a number of {bits} bits, got {number}")
    return number


def number(name: str, value: Any) -> float:
    """value as a float."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}") from None


def positive(name: str, value: Any) -> float:
    """value as a float that is above 0 also as one of 32 bits."""
    given = number(name, value)
    if not ctypes.c_float(given).value > 0:
        raise ValueError(f"{name}: expected a number above 0, got {value}")
    return given


def word(name: str, given: Any, words: Dict[Any, int]) -> int:
    """The number of a word."""
    try:
        return words[given]
    except (KeyError, TypeError):
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, words))}, got {given!r}") from None


def as_array(name: str, given: Any) -> Array:
    """given as a NumPy array on the same memory, where it has one."""
    if isinstance(given, np.ndarray):
        return np.asarray(given)
    if hasattr(given, "__array_interface__") or not hasattr(given, "__dlpack__"):
        return np.asarray(given)
    try:
        return np.from_dlpack(given)
    except (RuntimeError, BufferError) as error:
        raise TypeError(f"{name}: expected an array in the CPU's memory, got {type(given).__name__}: "
                        f"{error}") from error


def hint(name: str, array: Array) -> str:
    """How to make it float32, if it is of another float type."""
    return f"; {name}.astype(numpy.float32) converts it" if array.dtype.kind == "f" else ""


def as_floats(name: str, given: Any) -> Array:
    """given as an array of float32, and nothing else."""
    array = as_array(name, given)
    if array.dtype != np.float32:
        raise TypeError(f"{name}: expected float32, got {array.dtype}{hint(name, array)}")
    return array


def float_vector(name: str, given: Any, count: int) -> Array:
    """A few numbers, converted if need be: (count), dense."""
    array = as_array(name, given)
    if array.shape != (count,):
        raise ValueError(f"{name}: expected the shape ({count},), got {array.shape}")
    return np.ascontiguousarray(array, dtype=np.float32)


def int_vector(name: str, given: Any, count: int) -> Array:
    """A few whole numbers, one for all or one for each: (count), dense."""
    array = as_array(name, given)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name}: expected whole numbers, got {array.dtype}")
    if array.shape not in ((), (count,)):
        raise ValueError(f"{name}: expected the shape ({count},), got {array.shape}")
    return np.ascontiguousarray(np.broadcast_to(array, (count,)), dtype=np.int64)


def countable(array: Array) -> bool:
    """Its strides are whole numbers of elements."""
    return array.flags.aligned and all(stride % array.itemsize == 0 for stride in array.strides)


def with_strides(array: Array) -> Array:
    """The array itself where its strides are whole numbers of elements, else a dense copy."""
    return array if countable(array) else np.array(array, order="C")


def has_rows(array: Array) -> bool:
    """It is as the library wants matrices: also its last dimension is contiguous."""
    return countable(array) and (array.shape[-1] <= 1 or array.strides[-1] == array.itemsize)


def with_rows(array: Array) -> Array:
    """The array itself where the library can use it, else a dense copy."""
    return array if has_rows(array) else np.array(array, order="C")


def strides_of(array: Array, count: int) -> Array:
    """The first count strides, in elements."""
    return np.array([stride // array.itemsize for stride in array.strides[:count]], dtype=np.int64)


def address_of(array: Array) -> int:
    """Where its first element is."""
    return int(array.ctypes.data)


def broadcast(name: str, array: Array, shape: Tuple[int, ...]) -> Array:
    """The array spread over a shape by strides of 0."""
    if array.shape == shape:
        return array
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"{name}: expected a shape that broadcasts to {shape}, "
                         f"got {array.shape}") from None


def writable(name: str, out: Any, shape: Tuple[int, ...]) -> Array:
    """The caller's array for a result of that shape."""
    array = as_floats(name, out)
    if array.shape != shape:
        raise ValueError(f"{name}: expected the shape {shape}, got {array.shape}")
    if not array.flags.writeable:
        raise ValueError(f"{name}: expected an array that can be written, got one that is read-only")
    return array


def deliver(memory: Array, given: Optional[Array]) -> Array:
    """What the library wrote, in the caller's array if there is one."""
    if given is None:
        return memory
    if memory is not given:
        given[...] = memory
    return given
