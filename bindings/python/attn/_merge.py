"""_merge.py - joins the results of attention over disjoint keys.

SPDX-License-Identifier: BSD-3-Clause
"""
import ctypes
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from ._arrays import Array, ArrayLike, Floats, address_of, as_floats, strides_of, with_rows, with_strides
from ._context import Context, context_or_default
from ._library import MergeArgs
from ._shapes import Axes


def merge(outputs: Sequence[ArrayLike], lses: Sequence[ArrayLike], *, layout: str = "BHSD",
          context: Optional[Context] = None) -> Tuple[Floats, Floats]:
    """Attention over all keys from the results over disjoint sets of them: (output, lse).

    outputs: one array for each set, all of the same shape, (B, H, N, Dv), (B, N, Dv) or (N, Dv).
    lses: their log-sum-exps (return_lse=True), (B, H, N), (B, N) or (N). Sets that a query saw no key of,
        with -inf, do not count for it. A sink belongs to exactly one set.
    layout: "BSHD": the outputs are (B, N, H, Dv).

    >>> import attn, numpy
    >>> q, k, v = numpy.random.default_rng(1).standard_normal((3, 8, 4), dtype=numpy.float32)
    >>> parts = [attn.scaled_dot_product_attention(q, k[i], v[i], return_lse=True)
    ...          for i in (slice(0, 3), slice(3, 8))]
    >>> output, lse = attn.merge(*zip(*parts))
    >>> numpy.allclose(output, attn.scaled_dot_product_attention(q, k, v), atol=1e-6)
    True
    """
    parts, sums = _same_shape("outputs", outputs), _same_shape("lses", lses)
    axes = Axes.of(parts[0].ndim, layout, name="outputs")
    output = np.empty(parts[0].shape, np.float32)
    rows = axes.expand_rows(output)
    shape = axes.lead(*rows.shape[:2]) + (rows.shape[2],)
    if len(sums) != len(parts):
        raise ValueError(f"lses: expected {len(parts)} arrays, as outputs has, got {len(sums)}")
    if sums[0].shape != shape:
        raise ValueError(f"lses: expected the shape {shape}, got {sums[0].shape}")
    parts = [axes.expand_rows(part) for part in parts]
    sums = [axes.expand(part, 1) for part in sums]
    if rows.shape[3] == 0:  # to the library there is a column: give it one that nobody sees
        rows = np.empty(rows.shape[:3] + (1,), np.float32)
        parts = [np.zeros(rows.shape, np.float32)] * len(parts)
    lse = np.empty(shape, np.float32)
    _run((_same_strides([with_rows(part) for part in parts]), rows),
         (_same_strides([with_strides(part) for part in sums]), axes.expand(lse, 1)), context)
    return output, lse


def _same_shape(name: str, given: Sequence[Any]) -> List[Array]:
    arrays = [as_floats(name, array) for array in given]
    if not arrays:
        raise ValueError(f"{name}: expected at least one array, got none")
    for array in arrays:
        if array.shape != arrays[0].shape:
            raise ValueError(f"{name}: expected one shape, got {arrays[0].shape} and {array.shape}")
    return arrays


def _same_strides(arrays: List[Array]) -> List[Array]:
    if all(array.strides == arrays[0].strides for array in arrays):
        return arrays
    return [np.array(array, order="C") for array in arrays]


def _run(outputs: Tuple[List[Array], Array], lses: Tuple[List[Array], Array],
         context: Optional[Context]) -> None:
    """The parts and the whole of both, with all of the library's axes."""
    batch, heads, len_q, dim_v = outputs[1].shape
    args = MergeArgs(parts=len(outputs[0]), batch=batch, heads=heads, len_q=len_q, dim_v=dim_v)
    kept = []
    for name, (parts, whole) in (("output", outputs), ("lse", lses)):
        addresses = (ctypes.c_void_p * len(parts))(*(address_of(part) for part in parts))
        strides = strides_of(parts[0], 3), strides_of(whole, 3)
        kept += [addresses, *strides]
        setattr(args, name + "s", ctypes.addressof(addresses))
        setattr(args, name + "s_strides", address_of(strides[0]))
        setattr(args, name, address_of(whole))
        setattr(args, name + "_strides", address_of(strides[1]))
    context_or_default(context).run("attn_merge", args)
