"""oracle.py - attention by the formulas, in float64 and with the whole score matrix.

SPDX-License-Identifier: BSD-3-Clause
"""
import numpy as np


def column(numbers, batch):
    """One number, or one for each batch entry: (batch, 1, 1, 1)."""
    return np.broadcast_to(np.asarray(numbers, dtype=np.int64), (batch,)).reshape(-1, 1, 1, 1)


def in_window(distance, window, dilation):
    """distance: key minus the window's middle."""
    left, right = window
    inside = np.ones(distance.shape, bool)
    if left >= 0:
        inside &= distance >= -left * dilation
    if right >= 0:
        inside &= distance <= right * dilation
    return inside if dilation == 1 else inside & (distance % dilation == 0)


def given_masks(rules):
    """Those that are given, bool or added."""
    return [rules[name] for name in ("attn_mask", "attn_bias") if rules.get(name) is not None]


def visible(shape, rules, middle):
    """Which keys each query sees: (batch, heads, queries, keys)."""
    batch, _, len_q, len_k = shape
    i, j = np.arange(len_q).reshape(-1, 1), np.arange(len_k)
    position = i + column(rules.get("offset", 0), batch)
    seen = np.ones(shape, bool)
    if rules.get("window") is not None:
        inside = in_window(j - middle, rules["window"], rules.get("window_dilation", 1))
        seen &= inside | (j < rules.get("window_prefix", 0))
    if rules.get("is_causal"):
        seen &= j <= position
    seen &= j < column(rules.get("kv_lengths", len_k), batch)
    seen &= i < column(rules.get("query_lengths", len_q), batch)
    for mask in given_masks(rules):
        seen &= mask if mask.dtype == bool else mask > -np.inf
    return seen


def raw_scores(query, key, rules):
    """What is scaled."""
    function, weight = rules.get("score_function", "dot"), rules.get("score_weight")
    if function == "additive":
        return np.tanh(query[:, :, :, np.newaxis] + key[:, :, np.newaxis]) @ np.asarray(weight, np.float64)
    if function == "general":
        query = query @ np.asarray(weight, np.float64)
    return query @ key.swapaxes(-1, -2)


def score_stages(query, key, rules, position):
    """The scores before and after the softcap, and after all that is added; nothing masked."""
    scale, dot = rules.get("scale"), rules.get("score_function", "dot") == "dot"
    if scale is None:
        scale = 1 / np.sqrt(query.shape[3]) if dot else 1
    stages = [scale * raw_scores(query, key, rules)]
    cap = rules.get("softcap", 0.0)
    stages.append(cap * np.tanh(stages[0] / cap) if cap else stages[0])
    added = stages[1]
    slopes = rules.get("alibi_slopes")
    for mask in given_masks(rules):
        added = added if mask.dtype == bool else added + mask
    if slopes is not None:
        added = added - np.reshape(slopes, (-1, 1, 1)) * np.abs(position - np.arange(key.shape[2]))
    return stages + [added]


def softmax_rows(scores, sinks):
    """The weights and the log-sum-exp of each row; a row of -inf has weights of 0."""
    rows = scores
    if sinks is not None:
        sink = np.broadcast_to(np.reshape(sinks, (-1, 1, 1)), scores.shape[:3] + (1,))
        rows = np.concatenate((scores, sink), axis=3)
    with np.errstate(divide="ignore", invalid="ignore"):
        top = rows.max(axis=3, keepdims=True, initial=-np.inf)
        top = np.where(np.isneginf(top), 0, top)
        total = np.exp(rows - top).sum(axis=3, keepdims=True)
        weights = np.where(total > 0, np.exp(scores - top) / total, 0)
        return weights, (np.log(total) + top)[..., 0]


def predicted(query, predict, lengths):
    matrix, vector = (np.asarray(array, np.float64) for array in predict)
    energy = np.tanh(query @ matrix.T) @ vector
    return column(lengths, len(query))[..., 0] / (1 + np.exp(-energy))


def finish(output, tolerance, rules):
    """The output with residual and norm, and its tolerance: an error before a norm grows with the norm's
    factor, as no norm turns a row by more than that."""
    residual, gain, shift = (np.asarray(rules.get(name, default), np.float64) for name, default in
                             (("residual", 0), ("norm_gain", 1), ("norm_shift", 0)))
    output, tolerance = output + residual, tolerance + 5e-7 * np.abs(residual)
    norm, epsilon, factor = rules.get("norm"), rules.get("norm_epsilon", 1e-5), None
    if norm == "layer":
        output = output - output.mean(axis=-1, keepdims=True)
    if norm == "l2":
        factor = 1 / np.maximum(np.linalg.norm(output, axis=-1, keepdims=True), epsilon)
    elif norm is not None:
        factor = 1 / np.sqrt((output ** 2).mean(axis=-1, keepdims=True) + epsilon)
    if factor is not None:
        output = output * factor
        tolerance = factor * np.linalg.norm(tolerance, axis=-1, keepdims=True)
    return output * gain + shift, np.abs(gain) * (tolerance + 5e-7 * np.abs(output)) + 5e-7 * np.abs(shift)


def rotated(heads, positions, rules):
    """heads: (batch, heads, rows, dim), turned by their positions, (batch, rows)."""
    dim, base = rules.get("rope_dim") or heads.shape[3], rules.get("rope_base", 10000.0)
    angles = positions[:, np.newaxis, :, np.newaxis] * base ** (-np.arange(0, dim, 2) / dim)
    if rules["rope"] == "half":
        first, second = np.arange(dim // 2), np.arange(dim // 2) + dim // 2
    else:
        first, second = np.arange(0, dim, 2), np.arange(1, dim, 2)
    turned, x, y = heads.copy(), heads[..., first], heads[..., second]
    turned[..., first] = x * np.cos(angles) - y * np.sin(angles)
    turned[..., second] = y * np.cos(angles) + x * np.sin(angles)
    return turned


def self_attention(x, weights, rules):
    """A layer on x (batch, rows, width) with weight_q, weight_k, weight_v, and weight_o and biases where
    there are any, by name; the results of a call, as of attention(). The tolerance is for queries, keys and
    values of about 1, which the library rounds."""
    x = np.asarray(x, np.float64)
    arrays = []
    for name, heads in (("q", "num_heads"), ("k", "num_kv_heads"), ("v", "num_kv_heads")):
        rows = x @ weights["weight_" + name].T.astype(np.float64) + weights.get("bias_" + name, 0)
        arrays.append(rows.reshape(*rows.shape[:2], rules[heads], -1).swapaxes(1, 2))
    if rules.get("rope"):
        positions = np.arange(x.shape[1]) + column(rules.get("offset", 0), len(x))[:, :, 0, 0]
        arrays[:2] = (rotated(array, positions, rules) for array in arrays[:2])
    inner = {name: rule for name, rule in rules.items() if name != "residual" and "norm" not in name}
    want = attention(*arrays, inner)
    output, tolerance = (want[name].swapaxes(1, 2).reshape(*x.shape[:2], -1)
                         for name in ("output", "tolerance"))
    tolerance = 2 * tolerance + 1e-6 * want["largest"]
    if "weight_o" in weights:
        matrix = weights["weight_o"].T.astype(np.float64)
        output, tolerance = output @ matrix + weights.get("bias_o", 0), tolerance @ np.abs(matrix)
    output, want["tolerance"] = finish(output, tolerance, rules)
    exists = np.arange(x.shape[1]).reshape(-1, 1) < column(rules.get("query_lengths", x.shape[1]), len(x))[:, 0]
    want["output"] = np.where(exists, output, 0)
    return want


def attention(query, key, value, rules):
    """The results of a call with these keyword arguments, by name; with them the largest score and
    the tolerance of the output: 2e-6 of sum p |v|, more where scores are large. All arrays are
    (batch, heads, rows, columns)."""
    query, key, value = (np.asarray(array, np.float64) for array in (query, key, value))
    group = query.shape[1] // key.shape[1] if key.shape[1] else 1
    key, value = np.repeat(key, group, axis=1), np.repeat(value, group, axis=1)
    shape = query.shape[:3] + key.shape[2:3]
    position = np.arange(shape[2]).reshape(-1, 1) + column(rules.get("offset", 0), shape[0])
    centers = rules.get("centers")
    if rules.get("predict") is not None:
        centers = predicted(query, rules["predict"], rules.get("kv_lengths", shape[3]))
    middle = position if centers is None else np.asarray(centers, np.float64)[..., np.newaxis]
    stages = score_stages(query, key, rules, position)
    seen = visible(shape, rules, middle)
    stages[2] = np.where(seen, stages[2], -np.inf)
    weights, lse = softmax_rows(stages[2], rules.get("sinks"))
    exists_q = np.arange(shape[2]).reshape(-1, 1) < column(rules.get("query_lengths", shape[2]), shape[0])
    exists_k = np.arange(shape[3]) < column(rules.get("kv_lengths", shape[3]), shape[0])
    stages = [np.where(exists_q & exists_k, stage, -np.inf) for stage in stages]
    lse = np.where(exists_q[..., 0], lse, -np.inf)  # not even a sink
    if centers is not None:
        sigma = rules.get("sigma") or rules["window"][0] / 2
        weights = weights * np.exp(-(np.arange(shape[3]) - middle) ** 2 / (2 * sigma ** 2))
    output = weights @ value
    largest = max(1.0, *(np.abs(stage[np.isfinite(stage)]).max(initial=0) for stage in stages))
    tolerance = 2e-6 * largest * (weights @ np.abs(value)) + 1e-30
    output, tolerance = finish(output, tolerance, rules)
    output = np.where(exists_q, output, 0)  # not even a residual
    return {"output": output, "lse": lse, "weights": weights, "scores": stages, "seen": seen,
            "largest": largest, "tolerance": tolerance}
