"""_shapes.py - the caller's dimensions and the library's four: batch, head, row, column.

SPDX-License-Identifier: BSD-3-Clause
"""
from typing import Any, NamedTuple, Sequence, Tuple

import numpy as np

from ._arrays import Array, as_floats, broadcast, with_rows

LAYOUTS = ("BHSD", "BSHD")


class Axes(NamedTuple):
    """How the caller's arrays lie: which of the library's first two axes they have, and in what order."""

    batch: bool
    heads: bool
    swapped: bool  # rows come before heads

    @classmethod
    def of(cls, ndim: int, layout: str, grouped: bool = False, name: str = "query") -> "Axes":
        """Those of arrays of ndim dimensions; the first of three is heads if grouped, else batch."""
        if layout not in LAYOUTS:
            raise ValueError(f"layout: expected 'BHSD' or 'BSHD', got {layout!r}")
        if not 2 <= ndim <= 4:
            raise ValueError(f"{name}: expected 2 to 4 dimensions, got {ndim}")
        heads = ndim == 4 or (ndim == 3 and grouped)
        return cls(batch=ndim - 2 - heads > 0, heads=heads, swapped=heads and layout == "BSHD")

    def expand(self, array: Array, inner: int = 2) -> Array:
        """A view (batch, heads, inner dimensions) of an array that may lack batch, heads or both."""
        if not self.heads:
            array = np.expand_dims(array, array.ndim - inner)
        return array if self.batch else array[np.newaxis]

    def lead(self, batch: int, heads: int) -> Tuple[int, ...]:
        """The caller's dimensions before those of queries and keys."""
        return (batch,) * self.batch + (heads,) * self.heads

    def expand_rows(self, array: Array) -> Array:
        """A view (batch, heads, rows, columns) of query, key, value or output."""
        return self.expand(array.swapaxes(-3, -2) if self.swapped else array)

    def rows_shape(self, batch: int, heads: int, rows: int, columns: int) -> Tuple[int, ...]:
        """The caller's shape of an array of rows."""
        inner = (rows, heads) if self.swapped else (heads, rows) if self.heads else (rows,)
        return (batch,) * self.batch + inner + (columns,)


class Sizes:
    """What the library calls the sizes of attention, and the shape of what a call returns."""

    axes: Axes  # of queries, keys and all that has a number for each of them
    batch: int
    heads_q: int
    heads_kv: int
    len_q: int
    len_k: int
    dim: int
    dim_v: int
    axes_out: Axes
    heads_out: int
    dim_out: int

    def shape_out(self) -> Tuple[int, ...]:
        """The caller's shape of the output."""
        return self.axes_out.rows_shape(self.batch, self.heads_out, self.len_q, self.dim_out)


class Problem(Sizes):
    """query, key and value as views (batch, heads, rows, columns) that fit each other."""

    def __init__(self, given: Tuple[Any, Any, Any], enable_gqa: bool, layout: str) -> None:
        arrays = [as_floats(name, array) for name, array in zip(("query", "key", "value"), given)]
        self.axes = Axes.of(arrays[0].ndim, layout, enable_gqa)
        for name, array in zip(("key", "value"), arrays[1:]):
            if array.ndim != arrays[0].ndim:
                raise ValueError(f"{name}: expected {arrays[0].ndim} dimensions, as query has, "
                                 f"got {array.ndim}")
        self.query, self.key, self.value = (self.axes.expand_rows(with_rows(array)) for array in arrays)
        self._check_sizes()
        self.batch = self._common("batch size", 0, (self.query, self.key, self.value))
        self.heads_kv = self._common("number of heads", 1, (self.key, self.value))
        self.heads_q = self._heads_of_query(enable_gqa)
        self.len_q, self.dim = self.query.shape[2:]
        self.len_k, self.dim_v = self.value.shape[2:]
        self.axes_out, self.heads_out, self.dim_out = self.axes, self.heads_q, self.dim_v
        self.query = self._spread("query", self.query, self.heads_q)
        self.key = self._spread("key", self.key, self.heads_kv)
        self.value = self._spread("value", self.value, self.heads_kv)

    def _check_sizes(self) -> None:
        if self.key.shape[3] != self.query.shape[3]:
            raise ValueError(f"key: expected the head size {self.query.shape[3]}, as query has, "
                             f"got {self.key.shape[3]}")
        if self.value.shape[2] != self.key.shape[2]:
            raise ValueError(f"value: expected the length {self.key.shape[2]}, as key has, "
                             f"got {self.value.shape[2]}")

    @staticmethod
    def _common(what: str, axis: int, arrays: Sequence[Array]) -> int:
        sizes = {array.shape[axis] for array in arrays}
        common = sizes - {1} or {1}
        if len(common) > 1:
            raise ValueError(f"query, key, value: expected one {what}, got {sorted(sizes)}")
        return common.pop()

    def _heads_of_query(self, enable_gqa: bool) -> int:
        heads, heads_kv = self.query.shape[1], self.heads_kv
        if enable_gqa:
            if heads and (heads_kv == 0 or heads % heads_kv):
                raise ValueError(f"query: expected a multiple of the key's {heads_kv} heads, got {heads}")
        elif heads == 1:
            return heads_kv
        elif heads_kv not in (1, heads):
            raise ValueError(f"query: expected {heads_kv} heads, as key has, got {heads}; enable_gqa=True "
                             "shares key heads among query heads")
        return heads

    def _spread(self, name: str, array: Array, heads: int) -> Array:
        return broadcast(name, array, (self.batch, heads) + array.shape[2:])
