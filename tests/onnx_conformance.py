#!/usr/bin/env python3
"""onnx_conformance.py - runs ONNX's Attention cases through the Python binding: onnx_conformance.py FOLDER

SPDX-License-Identifier: BSD-3-Clause
FOLDER has cases.json, a list of cases: each with a name, the operator's attributes, and an .npy file for
each input and output. Prints a line for each case that fails and ends with "N passed, M failed"; exits with
1 if any failed, and with 77, which CTest takes for "skipped", where NumPy or the cases are missing.
"""
import json
import pathlib
import sys

SKIPPED = 77
try:
    import numpy as np
except ImportError:
    print("skipped: needs NumPy")
    sys.exit(SKIPPED)

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "bindings" / "python"))
import attn

STAGES = 3  # qk_matmul_output_mode counts from 0; this one is the weights
TOLERANCE = {"float16": {"rtol": 5e-3, "atol": 1e-3}, "float32": {"rtol": 1e-3, "atol": 1e-7}}  # ONNX's own


def load(folder, files):
    return {name: np.load(folder / file) for name, file in files.items()}


def to_float32(array):
    return array.astype(np.float32) if array.dtype == np.float16 else array


def split_heads(array, heads):
    """(batch, length, heads * size) as a view (batch, heads, length, size), which four dimensions are."""
    if array.ndim == 4:
        return array
    return array.reshape(array.shape[:2] + (heads, -1)).swapaxes(1, 2)


def join_heads(array):
    return array.swapaxes(1, 2).reshape(array.shape[0], array.shape[2], -1)


def with_past(past, array):
    return array if past is None else np.concatenate((past, array), axis=2)


def padded(mask, len_k):
    """A mask whose last dimension covers all keys: those that it lacks are masked."""
    missing = len_k - mask.shape[-1]
    fill = False if mask.dtype == np.bool_ else -np.inf
    return np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, missing)], constant_values=fill)


def arguments(inputs, attributes, len_q, len_k):
    """The operator's attributes and optional inputs as the binding's arguments."""
    options = {"is_causal": bool(attributes.get("is_causal", 0)), "scale": attributes.get("scale"),
               "softcap": attributes.get("softcap", 0.0), "enable_gqa": True}
    window = attributes.get("left_window_size", -1), attributes.get("right_window_size", -1)
    if window != (-1, -1):
        options["window"] = window
    if "attn_mask" in inputs:
        options["attn_mask"] = padded(inputs["attn_mask"], len_k)
    if "past_key" in inputs:
        options["offset"] = inputs["past_key"].shape[2]
    if "nonpad_kv_seqlen" in inputs:
        options["kv_lengths"] = inputs["nonpad_kv_seqlen"]
        options["offset"] = inputs["nonpad_kv_seqlen"] - len_q
    return options


def attention(inputs, attributes, wants_scores):
    """The operator: its outputs by name."""
    query = split_heads(inputs["Q"], attributes.get("q_num_heads"))
    key = with_past(inputs.get("past_key"), split_heads(inputs["K"], attributes.get("kv_num_heads")))
    value = with_past(inputs.get("past_value"), split_heads(inputs["V"], attributes.get("kv_num_heads")))
    options = arguments(inputs, attributes, query.shape[2], key.shape[2])
    mode = attributes.get("qk_matmul_output_mode", 0)
    options["return_weights"] = wants_scores and mode == STAGES
    options["return_scores"] = mode if wants_scores and mode < STAGES else None
    result = attn.scaled_dot_product_attention(query, key, value, **options)
    output, scores = result if wants_scores else (result, None)
    return {"Y": join_heads(output) if inputs["Q"].ndim == 3 else output, "present_key": key,
            "present_value": value, "qk_matmul_output": scores}


def differences(name, got, expected):
    """What is wrong with an output, in words; nothing if it is right."""
    if got.shape != expected.shape:
        return [f"{name}: expected the shape {expected.shape}, got {got.shape}"]
    tolerance = TOLERANCE[expected.dtype.name]
    wrong = ~np.isclose(got.astype(expected.dtype), expected, equal_nan=True, **tolerance)
    if not wrong.any():
        return []
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    return [f"{name}: {wrong.sum()} of {wrong.size} numbers differ, the first at {first}: expected "
            f"{expected[first]}, got {got[first]}"]


def run(folder, case):
    """Runs a case: what is wrong, in words."""
    inputs = {name: to_float32(array) for name, array in load(folder, case["inputs"]).items()}
    expected = load(folder, case["outputs"])
    try:
        got = attention(inputs, case["attributes"], "qk_matmul_output" in expected)
    except (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        return [f"{type(error).__name__}: {error}"]
    return [problem for name, array in expected.items() for problem in differences(name, got[name], array)]


def main():
    if len(sys.argv) != 2:
        print("usage: onnx_conformance.py FOLDER", file=sys.stderr)
        sys.exit(2)
    folder = pathlib.Path(sys.argv[1])
    if not (folder / "cases.json").is_file():
        print(f"skipped: no cases.json in {folder}")
        sys.exit(SKIPPED)
    cases = json.loads((folder / "cases.json").read_text())
    failed = 0
    for case in cases:
        problems = run(folder, case)
        failed += bool(problems)
        for problem in problems:
            print(f"FAILED {case['name']}: {problem}")
    print(f"{len(cases) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
