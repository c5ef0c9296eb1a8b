"""_self.py - the self-attention layer.

SPDX-License-Identifier: BSD-3-Clause
"""
import ctypes
import inspect
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from ._arrays import (Array, ArrayLike, as_floats, float_vector, has_rows, integer, positive, strides_of,
                      with_rows, word)
from ._attention import Arrays, Window
from ._call import Call, Choices
from ._context import Context
from ._library import ROPES, SelfArgs
from ._shapes import Axes, Sizes

NAMES = ("qkv", "q", "k", "v", "o")


class Rope(NamedTuple):
    """How positions turn queries and keys, as self_attention has it."""

    kind: Any
    dim: Any
    base: Any


class Layer(Sizes):
    """x, and weights and biases that fit it."""

    def __init__(self, x: Any, weights: Sequence[Any], biases: Sequence[Any],
                 heads: Tuple[int, int]) -> None:
        self.x = with_rows(as_floats("x", x))
        if not 2 <= self.x.ndim <= 3 or self.x.shape[-1] == 0:
            raise ValueError(f"x: expected the shape (B, N, E) or (N, E), E at least 1, got {self.x.shape}")
        self.heads_q, self.heads_kv = heads
        self._check_which(dict(zip(NAMES, weights)), dict(zip(NAMES, biases)))
        self.weights = {name: np.ascontiguousarray(as_floats("weight_" + name, weight))
                        for name, weight in zip(NAMES, weights) if weight is not None}
        self._set_dims()
        self._check_weights()
        self.biases = {name: float_vector("bias_" + name, bias, len(self.weights[name]))
                       for name, bias in zip(NAMES, biases) if bias is not None}
        self._set_sizes()

    @staticmethod
    def _check_which(weights: Dict[str, Any], biases: Dict[str, Any]) -> None:
        """Packed or one by one, and no bias without its weight."""
        packed = weights["qkv"] is not None
        for name in ("qkv", "q", "k", "v"):
            wanted = (name == "qkv") == packed
            if wanted and weights[name] is None:
                raise ValueError(f"weight_{name}: expected an array, as weight_qkv is not given, got None")
            for kind, array in (("weight", weights[name]), ("bias", biases[name])):
                if array is not None and not wanted:
                    raise ValueError(f"{kind}_{name}: expected None, as weight_qkv is "
                                     f"{'' if packed else 'not '}given, got an array")
        if biases["o"] is not None and weights["o"] is None:
            raise ValueError("bias_o: expected None, as weight_o is not given, got an array")

    def _set_dims(self) -> None:
        """The head sizes, from the rows of the weights."""
        if "qkv" in self.weights and "o" in self.weights:
            self.dim_v = self._columns_per_head()
            self.dim = self._rows_per_head("qkv", self.heads_q + self.heads_kv, self.heads_kv * self.dim_v)
        elif "qkv" in self.weights:
            self.dim = self.dim_v = self._rows_per_head("qkv", self.heads_q + 2 * self.heads_kv)
        else:
            self.dim = self._rows_per_head("q", self.heads_q)
            self.dim_v = self._rows_per_head("v", self.heads_kv)

    def _rows_per_head(self, name: str, heads: int, others: int = 0) -> int:
        """Of a weight that has so many other rows."""
        shape, width = self.weights[name].shape, self.x.shape[-1]
        if len(shape) != 2 or shape[1] != width or shape[0] <= others or (shape[0] - others) % heads:
            rows = f"{heads} * D" + (f" + {others}" if others else "")
            raise ValueError(f"weight_{name}: expected the shape ({rows}, {width}), got {shape}")
        return (shape[0] - others) // heads

    def _columns_per_head(self) -> int:
        shape, heads = self.weights["o"].shape, self.heads_q
        if len(shape) != 2 or shape[1] == 0 or shape[1] % heads:
            raise ValueError(f"weight_o: expected the shape (E_out, {heads} * Dv), got {shape}")
        return shape[1] // heads

    def _check_weights(self) -> None:
        """The weights that the head sizes do not come from."""
        if "k" in self.weights:
            rows, shape = self.heads_kv * self.dim, self.weights["k"].shape
            if shape != (rows, self.x.shape[-1]):
                raise ValueError(f"weight_k: expected the shape ({rows}, {self.x.shape[-1]}), got {shape}")
        if "o" in self.weights:
            width, shape = self.heads_q * self.dim_v, self.weights["o"].shape
            if len(shape) != 2 or shape[0] == 0 or shape[1] != width:
                raise ValueError(f"weight_o: expected the shape (E_out, {width}), got {shape}")

    def _set_sizes(self) -> None:
        batched = self.x.ndim == 3
        self.axes = Axes(batch=batched, heads=True, swapped=False)
        self.axes_out, self.heads_out = Axes(batch=batched, heads=False, swapped=False), 1
        self.batch, self.len_q = self.x.shape[0] if batched else 1, self.x.shape[-2]
        self.len_k = self.rows_out = self.len_q
        self.dim_out = len(self.weights["o"]) if "o" in self.weights else self.heads_q * self.dim_v


class SelfAttention(Call):
    """The arguments of one call of attn_self."""

    def __init__(self, layer: Layer, rope: Rope, choices: Choices) -> None:
        self._layer = layer
        self._self = SelfArgs(dim_model=layer.x.shape[-1], dim_output=layer.dim_out)
        self._set_rope(rope)
        super().__init__(layer, choices)
        self._self.attention = ctypes.addressof(self._args)

    def run(self, context: Optional[Context]) -> Any:
        """The output, or a tuple of it and all else that was asked for."""
        return self.call("attn_self", self._self, context)

    def explain(self, context: Optional[Context]) -> Dict[str, Any]:
        """What run() would do."""
        return self.explain_call("attn_explain_self", self._self, context)

    def _set_rope(self, rope: Rope) -> None:
        self._self.rope = word("rope", rope.kind, ROPES)
        self._self.rope_base = positive("rope_base", rope.base)
        if rope.dim is None:
            return
        if rope.kind is None:
            raise ValueError("rope: expected 'half' or 'interleaved', as rope_dim is given, got None")
        self._self.rope_dim = integer("rope_dim", rope.dim)
        if self._self.rope_dim == 0:  # to the library 0 means all
            raise ValueError("rope_dim: expected an even number above 0, got 0")

    def _set_inputs(self) -> None:
        layer = self._layer
        self._point_rows("x", layer.axes_out.expand_rows(layer.x))
        for prefix, arrays in (("weight_", layer.weights), ("bias_", layer.biases)):
            for name, array in arrays.items():
                self._point(prefix + name, array, self._self)

    def _point_rows(self, name: str, rows: Array) -> None:
        self._point(name, rows, self._self)
        self._point(name + "_strides", strides_of(rows[:, 0], 2), self._self)

    def _point_output(self, rows: Array) -> None:
        self._point_rows("output", rows)

    def _writable(self, output: Array) -> bool:
        """Its rows follow each other, at a distance that BLAS takes."""
        step = output.strides[-2] // output.itemsize
        return has_rows(output) and output.shape[-1] <= step < 1 << 31


def self_attention(
        x: ArrayLike, weight_qkv: Optional[ArrayLike] = None, *, weight_q: Optional[ArrayLike] = None,
        weight_k: Optional[ArrayLike] = None, weight_v: Optional[ArrayLike] = None,
        weight_o: Optional[ArrayLike] = None, bias_qkv: Optional[ArrayLike] = None,
        bias_q: Optional[ArrayLike] = None, bias_k: Optional[ArrayLike] = None,
        bias_v: Optional[ArrayLike] = None, bias_o: Optional[ArrayLike] = None, num_heads: int,
        num_kv_heads: Optional[int] = None, is_causal: bool = False, scale: Optional[float] = None,
        rope: Optional[str] = None, rope_dim: Optional[int] = None, rope_base: float = 10000.0,
        attn_mask: Optional[ArrayLike] = None, attn_bias: Optional[ArrayLike] = None,
        out: Optional[ArrayLike] = None, window: Optional[Window] = None, window_prefix: int = 0,
        window_dilation: int = 1,
        centers: Optional[ArrayLike] = None, predict: Optional[Sequence[ArrayLike]] = None,
        sigma: Optional[float] = None, softcap: float = 0.0, alibi_slopes: Optional[ArrayLike] = None,
        sinks: Optional[ArrayLike] = None, offset: Union[int, ArrayLike] = 0,
        kv_lengths: Optional[ArrayLike] = None, query_lengths: Optional[ArrayLike] = None,
        score_function: str = "dot", score_weight: Optional[ArrayLike] = None,
        residual: Optional[ArrayLike] = None, norm: Optional[str] = None,
        norm_gain: Optional[ArrayLike] = None, norm_shift: Optional[ArrayLike] = None,
        norm_epsilon: float = 1e-5, return_lse: bool = False, return_weights: bool = False,
        return_scores: Optional[int] = None, context: Optional[Context] = None) -> Arrays:
    """A self-attention layer on x: q = x Wq^T + bq, and k and v likewise; q and k turned by their position
    (RoPE); attention of each head; its output times Wo^T, plus bo; residual and norm.

    x: (B, N, E) or (N, E).

    Weights are as PyTorch has them, (out features, in features), with H query heads, Hkv key heads and head
    sizes D and Dv, which their shapes say. One whose rows do not follow each other densely is copied.

    weight_qkv: the three in one, query above key above value: (H D + Hkv D + Hkv Dv, E), where Dv is D unless
        weight_o says otherwise; or
    weight_q, weight_k, weight_v: (H D, E), (Hkv D, E) and (Hkv Dv, E).
    weight_o: (E_out, H Dv); None: no output projection, E_out is H Dv.
    bias_qkv, or bias_q, bias_k, bias_v; bias_o: one number for each row of the weight.
    num_heads: H.
    num_kv_heads: Hkv, of which H is a multiple; None: H.
    rope: None; "half": elements d and d + rope_dim / 2 of a head turn together (NeoX, Llama);
        "interleaved": 2 d and 2 d + 1 (GPT-J). The position of row i is i + offset.
    rope_dim: so many first elements of each head turn; None: all.
    rope_base: pair d turns by position * rope_base^(-2 d / rope_dim).
    out: an array for the output; may be x or the residual, which costs a copy.
    residual, norm_gain, norm_shift: of the layer's output: (B, N, E_out) and (E_out).
    window, window_prefix, window_dilation, centers, predict, sigma: as in local_attention.

    All else is as in scaled_dot_product_attention. Rows of x past both lengths are never read.

    Returns the output (B, N, E_out), or a tuple of it and those of lse (B, H, N), weights and scores
    (B, H, N, N) that were asked for, in this order; without B where x has none.

    >>> import attn, numpy
    >>> rng = numpy.random.default_rng(0)
    >>> x, packed = (rng.standard_normal(shape, dtype=numpy.float32) for shape in ((10, 32), (96, 32)))
    >>> attn.self_attention(x, packed, num_heads=4, is_causal=True, rope="half").shape
    (10, 32)
    >>> q, k, v = (x @ weight.T for weight in numpy.split(packed, 3))
    >>> numpy.allclose(attn.self_attention(x, packed, num_heads=1),
    ...                attn.scaled_dot_product_attention(q, k, v), atol=1e-5)
    True
    """
    return _call_of(locals()).run(context)


def explain_self(x: ArrayLike, weight_qkv: Optional[ArrayLike] = None, *, num_heads: int,
                 context: Optional[Context] = None, **options: Any) -> Dict[str, Any]:
    """What self_attention would do with these arguments, without doing it: scratch_bytes of the whole layer,
    all else about its attention, as in explain.

    options: as in self_attention.

    >>> import attn, numpy
    >>> x, packed = numpy.zeros((1000, 32), numpy.float32), numpy.zeros((96, 32), numpy.float32)
    >>> plan = attn.explain_self(x, packed, num_heads=4)
    >>> plan["path"], plan["scratch_bytes"] > 4 * x.nbytes  # q, k, v and the heads' outputs
    ('tiled', True)
    """
    given = inspect.signature(self_attention).bind(x, weight_qkv, num_heads=num_heads, **options)
    given.apply_defaults()
    return _call_of(given.arguments).explain(context)


def _call_of(given: Dict[str, Any]) -> SelfAttention:
    """A call with the arguments of self_attention, by name."""
    weights, biases = ([given[kind + name] for name in NAMES] for kind in ("weight_", "bias_"))
    layer = Layer(given["x"], weights, biases, _heads(given["num_heads"], given["num_kv_heads"]))
    rope = Rope(given["rope"], given["rope_dim"], given["rope_base"])
    return SelfAttention(layer, rope, Choices.of(given))


def _heads(given: Any, given_kv: Any) -> Tuple[int, int]:
    heads = integer("num_heads", given)
    heads_kv = heads if given_kv is None else integer("num_kv_heads", given_kv)
    for name, count in (("num_heads", heads), ("num_kv_heads", heads_kv)):
        if count < 1:
            raise ValueError(f"{name}: expected at least 1, got {count}")
    if heads % heads_kv:
        raise ValueError(f"num_heads: expected a multiple of num_kv_heads, {heads_kv}, got {heads}")
    return heads, heads_kv
