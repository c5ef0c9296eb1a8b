"""_call.py - one call of attention: from Python's arguments to attn_args, and back to arrays.

SPDX-License-Identifier: BSD-3-Clause
"""
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ._arrays import (Array, address_of, as_array, as_floats, broadcast, deliver, float_vector, has_rows,
                      hint, int_vector, integer, number, positive, strides_of, with_rows, with_strides,
                      word, writable)
from ._context import Context, context_or_default
from ._library import NORMS, SCORES, Args, Plan, Sized
from ._shapes import Problem, Sizes


class Choices(NamedTuple):
    """All that a caller may choose, by the names of the functions that take it."""

    attn_mask: Any = None
    attn_bias: Any = None
    is_causal: Any = False
    scale: Any = None
    enable_gqa: Any = False
    out: Any = None
    window: Any = None
    window_prefix: Any = 0
    window_dilation: Any = 1
    softcap: Any = 0.0
    alibi_slopes: Any = None
    sinks: Any = None
    offset: Any = 0
    kv_lengths: Any = None
    query_lengths: Any = None
    kv_starts: Any = None
    query_starts: Any = None
    return_lse: Any = False
    return_weights: Any = False
    return_scores: Any = None
    layout: Any = "BHSD"
    centers: Any = None
    predict: Any = None
    sigma: Any = None
    score_function: Any = "dot"
    score_weight: Any = None
    residual: Any = None
    norm: Any = None
    norm_gain: Any = None
    norm_shift: Any = None
    norm_epsilon: Any = 1e-5

    @classmethod
    def of(cls, given: Dict[str, Any]) -> "Choices":
        """Those among a function's arguments: what its locals() are before its first statement."""
        return cls(**{name: given[name] for name in cls._fields if name in given})


class Call:
    """The arguments of one call, and the arrays that they point to. What attends to what, and where the
    output goes, is for subclasses to say."""

    def __init__(self, sizes: Sizes, choices: Choices) -> None:
        self._choices, self._sizes = choices, sizes
        self._args = Args(batch=sizes.batch, heads_q=sizes.heads_q, heads_kv=sizes.heads_kv,
                          len_q=sizes.len_q, len_k=sizes.len_k, dim=sizes.dim, dim_v=max(sizes.dim_v, 1))
        self._inputs: List[Array] = []
        self._set_inputs()
        self._set_rules()
        self._set_window()
        self._set_mask()
        self._set_vectors()
        self._set_centers()
        self._set_score()
        self._set_norm()
        self._output = self._set_output()
        self._results = self._set_results()

    def call(self, function: str, args: Sized, context: Optional[Context]) -> Any:
        """Calls the library: the output, or a tuple of it and all else that was asked for."""
        context_or_default(context).run(function, args)
        output = deliver(*self._output)
        return (output, *self._results) if self._results else output

    def explain_call(self, function: str, args: Sized, context: Optional[Context]) -> Dict[str, Any]:
        """Has the library explain a call."""
        plan = Plan()
        context_or_default(context).run(function, args, plan)
        return plan.values()

    def _set_inputs(self) -> None:
        raise NotImplementedError

    def _point_output(self, rows: Array) -> None:
        raise NotImplementedError

    def _writable(self, output: Array) -> bool:
        """The library can write to the caller's array itself."""
        return has_rows(output)

    def _point(self, name: str, array: Array, args: Optional[Sized] = None) -> None:
        """A field of the arguments points to an array, which lives until the call is over."""
        setattr(args or self._args, name, address_of(array))
        self._inputs.append(array)

    def _point_strided(self, name: str, array: Array, count: int) -> None:
        self._point(name, array)
        self._point(name + "_strides", strides_of(array, count))

    def _set_rules(self) -> None:
        choices, args = self._choices, self._args
        args.causal = bool(choices.is_causal)
        args.softcap = number("softcap", choices.softcap)
        if choices.scale is not None:
            args.has_scale, args.scale = 1, number("scale", choices.scale)
        if choices.return_scores is not None:
            if isinstance(choices.return_scores, bool):
                raise TypeError(f"return_scores: expected None, 0, 1 or 2, got {choices.return_scores}")
            args.scores_stage = integer("return_scores", choices.return_scores, 32)

    def _set_window(self) -> None:
        choices, args = self._choices, self._args
        prefix = integer("window_prefix", choices.window_prefix)
        dilation = integer("window_dilation", choices.window_dilation)
        if dilation < 1:
            raise ValueError(f"window_dilation: expected at least 1, got {dilation}")
        if choices.window is not None:
            args.has_window, args.window_prefix, args.window_dilation = 1, prefix, dilation
            args.window_left, args.window_right = _window(choices.window)
        elif prefix != 0 or dilation != 1:
            raise ValueError("window: expected one, as window_prefix or window_dilation is given, got None")
        elif choices.centers is not None or choices.predict is not None:
            raise ValueError("window: expected one, as centers or predict is given, got None")

    def _set_mask(self) -> None:
        choices, inner = self._choices, (self._sizes.len_q, self._sizes.len_k)
        fields = {}
        if choices.attn_mask is not None:
            mask = as_array("attn_mask", choices.attn_mask)
            if mask.dtype not in (np.bool_, np.float32):
                raise TypeError("attn_mask: expected bool (True attends) or float32 (added), "
                                f"got {mask.dtype}{hint('attn_mask', mask)}")
            fields["mask" if mask.dtype == np.bool_ else "bias"] = "attn_mask", mask
        if choices.attn_bias is not None:
            if "bias" in fields:
                raise ValueError("attn_bias: expected None, as attn_mask is float32 and added, got an array")
            fields["bias"] = "attn_bias", as_floats("attn_bias", choices.attn_bias)
        for field, (name, array) in fields.items():
            self._point_strided(field, self._spread(name, with_strides(array), inner), 4)

    def _spread(self, name: str, array: Array, inner: Tuple[int, ...]) -> Array:
        """A view (batch, heads, *inner) of an array that broadcasts from the right to it."""
        sizes = self._sizes
        shape = sizes.axes.lead(sizes.batch, sizes.heads_q) + inner
        return sizes.axes.expand(broadcast(name, array, shape), len(inner))

    def _set_vectors(self) -> None:
        choices, sizes = self._choices, self._sizes
        for name, heads in (("alibi_slopes", choices.alibi_slopes), ("sinks", choices.sinks)):
            if heads is not None:
                self._point(name, float_vector(name, heads, sizes.heads_q))
        for name, field, numbers in (("kv_lengths", "lengths_k", choices.kv_lengths),
                                     ("query_lengths", "lengths_q", choices.query_lengths)):
            if numbers is not None:
                self._point(field, int_vector(name, numbers, sizes.batch))
        offset = as_array("offset", choices.offset)
        if offset.ndim == 0:
            self._args.offset = integer("offset", choices.offset)
        else:
            self._point("offsets", int_vector("offset", offset, sizes.batch))

    def _set_centers(self) -> None:
        choices, args = self._choices, self._args
        if choices.centers is not None:
            centers = with_strides(as_floats("centers", choices.centers))
            self._point_strided("centers", self._spread("centers", centers, (self._sizes.len_q,)), 3)
        if choices.predict is not None:
            matrix, vector = _predict(choices.predict, self._sizes.dim)
            args.predict_dim = len(vector)
            self._point("predict_matrix", matrix)
            self._point("predict_vector", vector)
        if choices.sigma is not None:
            args.sigma = positive("sigma", choices.sigma)

    def _set_score(self) -> None:
        choices, dim = self._choices, self._sizes.dim
        self._args.score_function = word("score_function", choices.score_function, SCORES)
        shapes: Dict[str, Optional[Tuple[int, ...]]] = {"general": (dim, dim), "additive": (dim,)}
        shape = shapes.get(choices.score_function)
        if choices.score_weight is None:
            if shape is not None:
                raise ValueError(f"score_weight: expected an array of the shape {shape}, got None")
            return
        if shape is None:
            raise ValueError("score_weight: expected None, as score_function is 'dot', got an array")
        weight = as_floats("score_weight", choices.score_weight)
        if weight.shape != shape:
            raise ValueError(f"score_weight: expected the shape {shape}, got {weight.shape}")
        self._point("score_weight", np.ascontiguousarray(weight))

    def _set_norm(self) -> None:
        choices, sizes, args = self._choices, self._sizes, self._args
        args.norm = word("norm", choices.norm, NORMS)
        args.norm_epsilon = positive("norm_epsilon", choices.norm_epsilon)
        for name, numbers in (("norm_gain", choices.norm_gain), ("norm_shift", choices.norm_shift)):
            if numbers is not None:
                vector = float_vector(name, numbers, sizes.dim_out)
                self._point(name, vector if vector.size else np.zeros(1, np.float32))
        if choices.residual is not None and sizes.dim_out > 0:
            residual = as_floats("residual", choices.residual)
            residual = with_rows(broadcast("residual", residual, sizes.shape_out()))
            self._point_strided("residual", sizes.axes_out.expand_rows(residual), 3)

    def _set_output(self) -> Tuple[Array, Optional[Array]]:
        """Where the library writes, and the caller's array if there is one."""
        sizes, given = self._sizes, None
        if self._choices.out is not None:
            given = writable("out", self._choices.out, sizes.shape_out())
        memory = given
        if memory is None or not self._writable(memory) or self._shares(memory):
            memory = np.zeros(sizes.shape_out(), np.float32)
        self._point_output(sizes.axes_out.expand_rows(memory))
        return memory, given

    def _shares(self, output: Array) -> bool:
        return any(np.may_share_memory(output, array) for array in self._inputs)

    def _set_results(self) -> List[Array]:
        choices, sizes = self._choices, self._sizes
        matrix = (sizes.len_q, sizes.len_k)
        wanted = (("lse", choices.return_lse, matrix[:1]), ("weights", choices.return_weights, matrix),
                  ("scores", choices.return_scores is not None, matrix))
        results = []
        for name, want, inner in wanted:
            if want:
                shape = sizes.axes.lead(sizes.batch, sizes.heads_q) + inner
                results.append(np.empty(shape, np.float32))
                self._point_strided(name, sizes.axes.expand(results[-1], len(inner)), 3)
        return results


class Attention(Call):
    """Attention of queries to keys."""

    def __init__(self, arrays: Tuple[Any, Any, Any], choices: Choices) -> None:
        starts = choices.query_starts, choices.kv_starts
        self._problem = Problem(arrays, starts, bool(choices.enable_gqa), choices.layout)
        super().__init__(self._problem, choices)

    def run(self, function: str, context: Optional[Context]) -> Any:
        """The output, or a tuple of it and all else that was asked for."""
        return self.call(function, self._args, context)

    def explain(self, context: Optional[Context]) -> Dict[str, Any]:
        """What run() would do."""
        return self.explain_call("attn_explain", self._args, context)

    def _writable(self, output: Array) -> bool:
        """It leaves no row of packed sequences as it was."""
        return has_rows(output) and not (self._problem.starts_q and self._choices.query_lengths is not None)

    def _set_inputs(self) -> None:
        problem, value = self._problem, self._problem.value
        if problem.dim_v == 0:  # to the library 0 means dim: give it a column that nobody sees
            value = broadcast("value", np.zeros(1, np.float32), value.shape[:3] + (1,))
        for name, array in (("query", problem.query), ("key", problem.key), ("value", value)):
            self._point_strided(name, array, 3)
        for name, packing in (("starts_q", problem.starts_q), ("starts_k", problem.starts_k)):
            if packing.starts is not None:
                self._point(name, packing.starts)

    def _point_output(self, rows: Array) -> None:
        if self._problem.dim_v == 0:
            rows = np.empty(rows.shape[:3] + (1,), np.float32)
        self._point_strided("output", rows, 3)


def _window(given: Any) -> Tuple[int, int]:
    """(left, right) as given, or one number for both."""
    if not isinstance(given, (tuple, list)):
        given = (given, given)
    if len(given) != 2:
        raise ValueError(f"window: expected (left, right), got {len(given)} numbers")
    return integer("window", given[0]), integer("window", given[1])


def _predict(given: Any, dim: int) -> Tuple[Array, Array]:
    """(W, v), dense: (P, dim) and (P)."""
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise TypeError("predict: expected a tuple (W, v) of two arrays")
    matrix, vector = (np.ascontiguousarray(as_floats("predict", array)) for array in given)
    if vector.ndim != 1 or matrix.shape != (len(vector), dim):
        raise ValueError(f"predict: expected the shapes (P, {dim}) and (P,), got {matrix.shape} and "
                         f"{vector.shape}")
    return matrix, vector
