"""_attention.py - attention of queries to keys, to all or to those in a window.

SPDX-License-Identifier: BSD-3-Clause
"""
from typing import Any, Dict, Optional, Sequence, Tuple, Union

from ._arrays import ArrayLike
from ._call import Attention, Choices
from ._context import Context

Window = Union[int, Tuple[int, int]]
Arrays = Any  # one numpy.ndarray, or a tuple of them where more than the output is asked for


def scaled_dot_product_attention(
        query: ArrayLike, key: ArrayLike, value: ArrayLike, attn_mask: Optional[ArrayLike] = None,
        dropout_p: float = 0.0, is_causal: bool = False, scale: Optional[float] = None,
        enable_gqa: bool = False, *, attn_bias: Optional[ArrayLike] = None,
        out: Optional[ArrayLike] = None, window: Optional[Window] = None, window_prefix: int = 0,
        window_dilation: int = 1, softcap: float = 0.0,
        alibi_slopes: Optional[ArrayLike] = None, sinks: Optional[ArrayLike] = None,
        offset: Union[int, ArrayLike] = 0, kv_lengths: Optional[ArrayLike] = None,
        query_lengths: Optional[ArrayLike] = None, kv_starts: Optional[ArrayLike] = None,
        query_starts: Optional[ArrayLike] = None, score_function: str = "dot",
        score_weight: Optional[ArrayLike] = None, residual: Optional[ArrayLike] = None,
        norm: Optional[str] = None, norm_gain: Optional[ArrayLike] = None,
        norm_shift: Optional[ArrayLike] = None, norm_epsilon: float = 1e-5, return_lse: bool = False,
        return_weights: bool = False, return_scores: Optional[int] = None, layout: str = "BHSD",
        context: Optional[Context] = None) -> Arrays:
    """softmax(scale * query key^T) value, with PyTorch's arguments, defaults and alignment.

    query: (B, Hq, Nq, D); key: (B, Hkv, Nk, D); value: (B, Hkv, Nk, Dv); or all without heads, (B, N, D),
        or without a batch either, (N, D). float32. A batch size or number of heads of 1 is broadcast.
        With query_starts or kv_starts they are packed, see there.
    attn_mask: bool, True where a query may attend to a key; or float32, added to the scores. Broadcast from
        the right to (B, Hq, Nq, Nk). Unlike PyTorch it may be given together with is_causal.
    dropout_p: must be 0.
    is_causal: query i sees key j only if j <= i + offset.
    scale: any finite number; None: 1 / sqrt(D), and 1 for another score function than "dot".
    enable_gqa: Hq may be a multiple of Hkv; query head h reads key head h // (Hq // Hkv). Arrays of three
        dimensions are then (H, N, D).

    Beyond PyTorch:

    attn_bias: float32, added to the scores as such an attn_mask is; beside an attn_mask of bool.
    out: an array for the output, of float32. It may overlap the inputs.
    window: (left, right), of which -1 is unbounded: query i sees key j only if p - left <= j <= p + right,
        where p = i + offset; one number w is (w, w).
    window_prefix: so many first keys are inside every window.
    window_dilation: d > 1: of a window, which is d times as wide, only each d-th key from p.
    softcap: c > 0: scores become c * tanh(score / c), before the mask.
    alibi_slopes: (Hq), see alibi_slopes(); -slope * |p - j| is added.
    sinks: (Hq), one more score for each row, in the sum of its softmax only.
    offset: the position of query 0 among the keys: 0 aligns the top left corner as PyTorch does, Nk - Nq
        the bottom right one; one number, or (B).
    kv_lengths, query_lengths: (B); keys beyond are never read, queries beyond have an output of 0.
    query_starts, kv_starts: (B + 1), from 0 to the number of rows: sequences of different lengths, one after
        another without padding (cu_seqlens of FlashAttention). query and output, or key and value, are then
        (H, rows, D), or (rows, D), sequence b being rows starts[b] to starts[b + 1] - 1. Nq or Nk is the
        length of the longest, to which lse, weights, scores, masks and centers are padded, with a batch.
    score_function: what is scaled: "dot": q . k; "general": q^T W k (Luong); "additive": v . tanh(q + k)
        (Bahdanau), where
    score_weight: is W (D, D) or v (D).
    residual: added to the output; broadcast from the right to its shape. Each row is then normalised:
    norm: "l2": x / max(|x|, epsilon); "rms": x / sqrt(mean(x^2) + epsilon); "layer": (x - mean(x)) /
        sqrt(variance(x) + epsilon); then multiplied by norm_gain (Dv) and shifted by norm_shift (Dv).
    return_lse: also returns the log-sum-exp of each row, (B, Hq, Nq).
    return_weights: also returns the softmax, (B, Hq, Nq, Nk).
    return_scores: also returns the scores, (B, Hq, Nq, Nk): 0: scale * query key^T; 1: after the softcap;
        2: after all that is added and masked.
    layout: "BSHD": query, key, value and output are (B, N, H, D), packed (rows, H, D); all else is as above.
    context: see Context.

    Returns the output (B, Hq, Nq, Dv), or a tuple of it and those of lse, weights and scores that were
    asked for, in this order. A query that sees no key has an output of 0, before what residual and norm
    make of it, and a log-sum-exp of -inf.

    Raises TypeError, ValueError or MemoryError with a sentence that names the argument; RuntimeError if the
    context is in use.

    >>> import attn, numpy
    >>> x = numpy.eye(3, dtype=numpy.float32)
    >>> out, weights = attn.scaled_dot_product_attention(x, x, x, is_causal=True, return_weights=True)
    >>> weights.round(3)
    array([[1.   , 0.   , 0.   ],
           [0.36 , 0.64 , 0.   ],
           [0.264, 0.264, 0.471]], dtype=float32)

    Sequences of 1 and 2 rows, packed:

    >>> out, weights = attn.scaled_dot_product_attention(x, x, x, query_starts=[0, 1, 3], kv_starts=[0, 1, 3],
    ...                                                  return_weights=True)
    >>> out.shape
    (3, 3)
    >>> weights.round(2)
    array([[[1.  , 0.  ],
            [0.  , 0.  ]],
    <BLANKLINE>
           [[0.64, 0.36],
            [0.36, 0.64]]], dtype=float32)
    """
    choices = Choices.of(locals())
    if dropout_p != 0:
        raise ValueError(f"dropout_p: expected 0, as there is no dropout, got {dropout_p}")
    return Attention((query, key, value), choices).run("attn_global", context)


def local_attention(
        query: ArrayLike, key: ArrayLike, value: ArrayLike, window: Window,
        attn_mask: Optional[ArrayLike] = None, is_causal: bool = False, scale: Optional[float] = None,
        enable_gqa: bool = False, *, attn_bias: Optional[ArrayLike] = None,
        centers: Optional[ArrayLike] = None, predict: Optional[Sequence[ArrayLike]] = None,
        sigma: Optional[float] = None, out: Optional[ArrayLike] = None, window_prefix: int = 0,
        window_dilation: int = 1, softcap: float = 0.0, alibi_slopes: Optional[ArrayLike] = None,
        sinks: Optional[ArrayLike] = None, offset: Union[int, ArrayLike] = 0,
        kv_lengths: Optional[ArrayLike] = None, query_lengths: Optional[ArrayLike] = None,
        kv_starts: Optional[ArrayLike] = None, query_starts: Optional[ArrayLike] = None,
        score_function: str = "dot",
        score_weight: Optional[ArrayLike] = None, residual: Optional[ArrayLike] = None,
        norm: Optional[str] = None, norm_gain: Optional[ArrayLike] = None,
        norm_shift: Optional[ArrayLike] = None, norm_epsilon: float = 1e-5, return_lse: bool = False,
        return_weights: bool = False, return_scores: Optional[int] = None, layout: str = "BHSD",
        context: Optional[Context] = None) -> Arrays:
    """Attention of each query to the keys in a window around it; only these are read.

    window: (left, right), or one number D for (D, D), which is Luong's local-m. "W keys including the
        query's own" of other systems is (W - 1, 0).

    Luong's local-p (EMNLP 2015): the window lies around a real number c instead of the query's position,
    c - left <= j <= c + right, and after the softmax each weight is multiplied by
    exp(-(j - c)^2 / (2 sigma^2)) and not normalised again.

    centers: c, broadcast from the right to (B, Hq, Nq); or
    predict: (W, v) of the shapes (P, D) and (P): c = Nk * sigmoid(v . tanh(W q)).
    sigma: None: half of left, as in the paper.

    All else is as in scaled_dot_product_attention.

    >>> import attn, numpy
    >>> x = numpy.eye(4, dtype=numpy.float32)
    >>> out, weights = attn.local_attention(x, x, x, window=(1, 0), return_weights=True)
    >>> weights.round(2)
    array([[1.  , 0.  , 0.  , 0.  ],
           [0.38, 0.62, 0.  , 0.  ],
           [0.  , 0.38, 0.62, 0.  ],
           [0.  , 0.  , 0.38, 0.62]], dtype=float32)
    """
    choices = Choices.of(locals())
    if window is None:
        raise TypeError("window: expected (left, right) or a number, got None")
    return Attention((query, key, value), choices).run("attn_local", context)


def explain(query: ArrayLike, key: ArrayLike, value: ArrayLike, *, context: Optional[Context] = None,
            **options: Any) -> Dict[str, Any]:
    """What a call with these arguments would do, without doing it: path, engine, threads, tasks, tile_q and
    tile_k (the queries and keys of a tile) and scratch_bytes. See explain_self for a layer.

    options: as in scaled_dot_product_attention and local_attention.

    >>> import attn, numpy
    >>> x = numpy.zeros((1, 8, 4096, 64), numpy.float32)
    >>> plan = attn.explain(x, x, x, is_causal=True)
    >>> plan["path"], plan["engine"] in ("blas", "builtin"), plan["scratch_bytes"] < 4096 * 4096
    ('tiled', True, True)
    """
    return Attention((query, key, value), Choices(**options)).explain(context)
