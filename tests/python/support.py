"""support.py - what the binding's tests share.

SPDX-License-Identifier: BSD-3-Clause
"""
import unittest

import numpy as np

import attn
from oracle import attention


class Foreign:
    """An array of another library: nothing but DLPack."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def normal(rng, *shape):
    return rng.standard_normal(shape, dtype=np.float32)


def inputs(seed, batch=2, heads=3, len_q=9, len_k=11, dim=8, dim_v=None, heads_kv=None):
    """query, key, value of (batch, heads, rows, columns)."""
    rng, heads_kv, dim_v = np.random.default_rng(seed), heads_kv or heads, dim if dim_v is None else dim_v
    return (normal(rng, batch, heads, len_q, dim), normal(rng, batch, heads_kv, len_k, dim),
            normal(rng, batch, heads_kv, len_k, dim_v))


class BindingTest(unittest.TestCase):
    def assert_same_bits(self, got, expected):
        self.assertEqual(got.shape, expected.shape)
        self.assertEqual(np.ascontiguousarray(got).tobytes(), np.ascontiguousarray(expected).tobytes())

    def assert_close(self, got, expected, tolerance, what=""):
        """Infinities and NaN are where they should be, and all else is within the tolerance."""
        self.assertEqual(got.shape, expected.shape, what)
        self.assertEqual(got.dtype, np.float32, what)
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(got[~finite], expected[~finite], what)
        with np.errstate(invalid="ignore"):
            wrong = ~(np.abs(got - expected) <= tolerance) & finite
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            self.fail(f"{what}: {wrong.sum()} of {wrong.size} differ; at {at} expected {expected[at]}, "
                      f"got {got[at]}")

    def check(self, arrays, rules, function=attn.scaled_dot_product_attention):
        """A call with these rules against the oracle, all of its results; returns the output."""
        wants = {"return_lse": True, "return_weights": True, "return_scores": rules.get("return_scores", 2)}
        results = function(*arrays, **{"enable_gqa": True, **rules, **wants})
        want = attention(*arrays, rules)
        self.assert_close(results[0], want["output"], want["tolerance"], f"output with {rules.keys()}")
        scores = want["scores"][wants["return_scores"]]
        for name, got, expected in zip(("lse", "weights", "scores"), results[1:],
                                       (want["lse"], want["weights"], scores)):
            self.assert_close(got, expected, 2e-6 * want["largest"], f"{name} with {rules.keys()}")
        if "norm" in rules or "residual" in rules:
            return results[0]
        unseen = ~want["seen"].any(axis=3)
        self.assertEqual(np.abs(results[0][unseen]).max(initial=0), 0)
        self.assertFalse(np.signbit(results[0][unseen]).any())
        return results[0]
