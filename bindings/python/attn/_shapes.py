"""_shapes.py - the caller's dimensions and the library's four: batch, head, row, column.

SPDX-License-Identifier: BSD-3-Clause
"""
from typing import Any, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ._arrays import Array, as_array, as_floats, broadcast, with_rows

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
    rows_out: int
    dim_out: int

    def shape_out(self) -> Tuple[int, ...]:
        """The caller's shape of the output."""
        return self.axes_out.rows_shape(self.batch, self.heads_out, self.rows_out, self.dim_out)


class Packing:
    """Where the sequences of an array begin that has their rows one after another, or none has."""

    def __init__(self, name: str, given: Any) -> None:
        self.name = name
        self.starts: Optional[Array] = None
        if given is None:
            return
        starts = as_array(name, given)
        if starts.dtype.kind not in "iu":
            raise TypeError(f"{name}: expected whole numbers, got {starts.dtype}")
        if starts.ndim != 1 or starts.size == 0:
            raise ValueError(f"{name}: expected the shape (B + 1,), got {starts.shape}")
        self.starts = np.ascontiguousarray(starts, dtype=np.int64)

    def __bool__(self) -> bool:
        return self.starts is not None

    def longest(self, rows: int) -> int:
        """The length of the longest sequence, of an array of so many rows."""
        if self.starts is None:
            return rows
        if self.starts[0] != 0 or self.starts[-1] != rows:
            raise ValueError(f"{self.name}: expected to begin with 0 and end with {rows}, the number of "
                             f"rows, got {self.starts[0]} and {self.starts[-1]}")
        return int(np.diff(self.starts).max(initial=0))

    def check_count(self, batch: int) -> None:
        """It has a number for each sequence and one more."""
        if self.starts is not None and len(self.starts) != batch + 1:
            raise ValueError(f"{self.name}: expected {batch + 1} numbers, as there are {batch} sequences, "
                             f"got {len(self.starts)}")


class Problem(Sizes):
    """query, key and value as views (batch, heads, rows, columns) that fit each other; packed sequences are
    one batch entry."""

    def __init__(self, given: Tuple[Any, Any, Any], starts: Tuple[Any, Any], enable_gqa: bool,
                 layout: str) -> None:
        arrays = [as_floats(name, array) for name, array in zip(("query", "key", "value"), given)]
        self.starts_q, self.starts_k = Packing("query_starts", starts[0]), Packing("kv_starts", starts[1])
        self.axes_out, axes_k = self._axes(arrays, layout, enable_gqa)
        self.axes = self.axes_out._replace(batch=self.axes_out.batch or axes_k.batch or bool(self.starts_q))
        self.query = self.axes_out.expand_rows(with_rows(arrays[0]))
        self.key, self.value = (axes_k.expand_rows(with_rows(array)) for array in arrays[1:])
        self._check_sizes()
        self.batch = self._count_sequences()
        self.heads_kv = self._common("number of heads", (self.key.shape[1], self.value.shape[1]))
        self.heads_q = self._heads_of_query(enable_gqa)
        self.rows_out, self.dim = self.query.shape[2:]
        self.len_q = self.starts_q.longest(self.rows_out)
        self.len_k = self.starts_k.longest(self.key.shape[2])
        self.heads_out, self.dim_v = self.heads_q, self.value.shape[3]
        self.dim_out = self.dim_v
        self.query = self._spread("query", self.query, self.heads_q, self.starts_q)
        self.key = self._spread("key", self.key, self.heads_kv, self.starts_k)
        self.value = self._spread("value", self.value, self.heads_kv, self.starts_k)

    def _axes(self, arrays: Sequence[Array], layout: str, grouped: bool) -> Tuple[Axes, Axes]:
        """Those of query, and those of key and value."""
        if not self.starts_q and not self.starts_k:
            axes_q = axes_k = Axes.of(arrays[0].ndim, layout, grouped)
        else:
            name, packed = ("query", arrays[0]) if self.starts_q else ("key", arrays[1])
            if packed.ndim not in (2, 3):
                raise ValueError(f"{name}: expected 2 or 3 dimensions, as its sequences are packed, "
                                 f"got {packed.ndim}")
            axes = Axes.of(packed.ndim, layout, grouped=True)
            axes_q, axes_k = (axes._replace(batch=not starts) for starts in (self.starts_q, self.starts_k))
        for name, array, axes in zip(("query", "key", "value"), arrays, (axes_q, axes_k, axes_k)):
            ndim = 2 + axes.batch + axes.heads
            if array.ndim != ndim:
                raise ValueError(f"{name}: expected {ndim} dimensions, to go with the others, "
                                 f"got {array.ndim}")
        return axes_q, axes_k

    def _check_sizes(self) -> None:
        if self.key.shape[3] != self.query.shape[3]:
            raise ValueError(f"key: expected the head size {self.query.shape[3]}, as query has, "
                             f"got {self.key.shape[3]}")
        if self.value.shape[2] != self.key.shape[2]:
            raise ValueError(f"value: expected the length {self.key.shape[2]}, as key has, "
                             f"got {self.value.shape[2]}")

    def _count_sequences(self) -> int:
        """The batch size: that of the arrays that have one, else the number of packed sequences."""
        packings = self.starts_q, self.starts_k, self.starts_k
        sizes = [len(packing.starts) - 1 if packing.starts is not None else array.shape[0]
                 for packing, array in zip(packings, (self.query, self.key, self.value))]
        batch = self._common("batch size", sizes)
        for packing in packings:
            packing.check_count(batch)
        return batch

    @staticmethod
    def _common(what: str, sizes: Sequence[int]) -> int:
        common = set(sizes) - {1} or {1}
        if len(common) > 1:
            raise ValueError(f"query, key, value: expected one {what}, got {sorted(set(sizes))}")
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

    def _spread(self, name: str, array: Array, heads: int, packing: Packing) -> Array:
        batch = 1 if packing else self.batch
        return broadcast(name, array, (batch, heads) + array.shape[2:])
