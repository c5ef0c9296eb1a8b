"""_softmax.py - the softmax of each row of an array.

SPDX-License-Identifier: BSD-3-Clause
"""
import math
from typing import Any, Optional

import numpy as np

from ._arrays import (Array, ArrayLike, address_of, as_floats, deliver, has_rows, integer, number,
                      writable)
from ._context import Context, context_or_default
from ._library import SoftmaxArgs


def softmax(x: ArrayLike, axis: int = -1, scale: Optional[float] = None, out: Optional[ArrayLike] = None, *,
            return_lse: bool = False, context: Optional[Context] = None) -> Any:
    """The softmax of scale * x along an axis: exp(x - max) / sum of exp(x - max).

    A row of nothing but -inf gives zeros; one with a NaN or +inf gives NaN.

    x: float32, of any shape with at least one dimension. It is copied first unless the axis is contiguous
        and all rows along it, in their order, have the same distance.
    scale: any finite number; None: 1.
    out: an array for the result; may be x.
    return_lse: also returns the log-sum-exp of each row of scale * x: (result, lse), without the axis.

    >>> import attn, numpy
    >>> attn.softmax(numpy.array([[0, 0], [1, 1]], numpy.float32))
    array([[0.5, 0.5],
           [0.5, 0.5]], dtype=float32)
    """
    array = as_floats("x", x)
    axis = integer("axis", axis)
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(f"axis: expected one of the {array.ndim} dimensions of x, got {axis}")
    rows = np.moveaxis(array, axis, -1)
    if _row_stride(rows) is None:
        rows = np.array(rows, order="C")
    given = None if out is None else np.moveaxis(writable("out", out, array.shape), axis, -1)
    memory = given if given is not None and _usable(given, rows) else np.empty(rows.shape, np.float32)
    args = SoftmaxArgs(rows=math.prod(rows.shape[:-1]), cols=rows.shape[-1],
                       input=address_of(rows), input_stride=_row_stride(rows),
                       output=address_of(memory), output_stride=_row_stride(memory))
    if scale is not None:
        args.has_scale, args.scale = 1, number("scale", scale)
    lse = np.empty(rows.shape[:-1], np.float32)
    if return_lse:
        args.lse = address_of(lse)
    context_or_default(context).run("attn_softmax", args)
    result = np.moveaxis(deliver(memory, given), -1, axis)
    return (result, lse) if return_lse else result


def _usable(out: Array, rows: Array) -> bool:
    """The library can write there: elsewhere than the input, or just where it is."""
    stride = _row_stride(out)
    in_place = address_of(out) == address_of(rows) and stride == _row_stride(rows)
    return stride is not None and (in_place or not np.may_share_memory(out, rows))


def _row_stride(rows: Array) -> Optional[int]:
    """How far it is from row to row, in elements; None: it is not one matrix as the library takes it."""
    cols = rows.shape[-1]
    if rows.size == 0:
        return cols
    if not has_rows(rows):
        return None
    stride, count = None, 1
    for size, step in zip(rows.shape[-2::-1], rows.strides[-2::-1]):
        if size == 1:
            continue
        if stride is None:
            stride = step
        elif step != stride * count:
            return None
        count *= size
    stride = cols if stride is None else stride // rows.itemsize
    return stride if stride >= cols else None
