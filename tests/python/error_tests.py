"""error_tests.py - what the binding refuses: the type of the error, and the sentence.

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import subprocess
import sys

import numpy as np

import attn
from support import BindingTest, inputs

sdpa, local = attn.scaled_dot_product_attention, attn.local_attention


class Attention(BindingTest):
    def refused(self, error, sentence, function=sdpa, arrays=None, **options):
        with self.assertRaises(error) as raised:
            function(*(arrays or inputs(0)), **options)
        self.assertRegex(str(raised.exception), f"^{sentence}")

    def test_types(self):
        query, key, value = inputs(0)
        self.refused(TypeError, r"query: expected float32, got float64; query.astype\(numpy.float32\) conv",
                     arrays=(query.astype(np.float64), key, value))
        self.refused(TypeError, r"value: expected float32, got float16; value.astype\(numpy.float32\)",
                     arrays=(query, key, value.astype(np.float16)))
        self.refused(TypeError, "key: expected float32, got int64$",
                     arrays=(query, key.astype(np.int64), value))
        self.refused(TypeError, "query: expected float32, got object", arrays=(None, key, value))
        self.refused(TypeError, "query: expected float32, got >f4",
                     arrays=(query.astype(">f4"), key, value))

    def test_shapes(self):
        query, key, value = inputs(0)
        self.refused(ValueError, "query: expected 2 to 4 dimensions, got 1",
                     arrays=(query[0, 0, 0], key, value))
        self.refused(ValueError, "key: expected 4 dimensions, to go with the others, got 3",
                     arrays=(query, key[0], value))
        self.refused(ValueError, "key: expected the head size 8, as query has, got 7",
                     arrays=(query, key[..., :7], value))
        self.refused(ValueError, "value: expected the length 11, as key has, got 10",
                     arrays=(query, key, value[:, :, :10]))
        self.refused(ValueError, r"query, key, value: expected one batch size, got \[2, 3\]",
                     arrays=(query, key, np.zeros((3, 3, 11, 8), np.float32)))
        self.refused(ValueError, "query: expected 2 heads, as key has, got 3; enable_gqa=True",
                     arrays=(query, key[:, :2], value[:, :2]))
        self.refused(ValueError, "query: expected a multiple of the key's 2 heads, got 3",
                     arrays=(query, key[:, :2], value[:, :2]), enable_gqa=True)
        self.refused(ValueError, "layout: expected 'BHSD' or 'BSHD', got 'SBHD'", layout="SBHD")

    def test_numbers(self):
        self.refused(ValueError, "dropout_p: expected 0, as there is no dropout, got 0.1", dropout_p=0.1)
        self.refused(ValueError, "scale: expected a finite number, got nan", scale=np.nan)
        self.refused(ValueError, "scale: expected a finite number, got inf", scale=1e300)
        self.refused(TypeError, "scale: expected a number, got str", scale="half")
        self.refused(ValueError, "softcap: expected a finite number of at least 0, got -1", softcap=-1)
        self.refused(TypeError, "offset: expected a whole number, got float", offset=1.5)
        self.refused(ValueError, "offset: expected a number of 64 bits", offset=2 ** 63)
        self.refused(TypeError, "offset: expected whole numbers, got float64", offset=[1.5, 2])
        self.refused(ValueError, r"offset: expected the shape \(2,\), got \(3,\)", offset=[1, 2, 3])
        self.refused(ValueError, "return_scores: expected 0 to 2, got 3", return_scores=3)
        self.refused(TypeError, "return_scores: expected None, 0, 1 or 2, got True", return_scores=True)

    def test_windows(self):
        self.refused(ValueError, "window: expected at least -1, got -2", window=(-2, 0))
        self.refused(ValueError, r"window: expected \(left, right\), got 3 numbers", window=(1, 2, 3))
        self.refused(TypeError, "window: expected a whole number, got float", window=(1.0, 0))
        self.refused(ValueError, "window_prefix: expected at least 0, got -1", window=1, window_prefix=-1)
        self.refused(ValueError, "window_dilation: expected at least 1, got 0", window=1, window_dilation=0)
        self.refused(ValueError, "window: expected one, as window_prefix or", window_prefix=2)
        self.refused(TypeError, "window: expected .*, got None", local, window=None)

    def test_masks_and_vectors(self):
        self.refused(TypeError, r"attn_mask: expected bool \(True attends\) or float32 .*, got uint8$",
                     attn_mask=np.ones((9, 11), np.uint8))
        self.refused(TypeError, "attn_mask: .*, got float64; attn_mask.astype", attn_mask=np.ones((9, 11)))
        self.refused(ValueError, r"attn_mask: expected a shape that broadcasts to \(2, 3, 9, 11\), got",
                     attn_mask=np.ones((9, 10), bool))
        self.refused(ValueError, "attn_mask: expected a shape", attn_mask=np.ones((1, 2, 3, 9, 11), bool))
        self.refused(ValueError, r"sinks: expected the shape \(3,\), got \(2,\)", sinks=[1, 2])
        self.refused(ValueError, r"alibi_slopes: expected the shape \(3,\), got \(\)", alibi_slopes=1)
        self.refused(ValueError, "kv_lengths: expected 0 to 11, got 12 for", kv_lengths=[3, 12])
        self.refused(ValueError, "query_lengths: expected 0 to 9, got -1 for batch", query_lengths=[3, -1])
        self.refused(TypeError, "kv_lengths: expected whole numbers, got float64", kv_lengths=[3.0, 4.0])

    def test_masks_and_biases(self):
        bias, sentence = np.zeros((9, 11), np.float32), "attn_bias: expected None, as attn_mask is float32"
        self.refused(ValueError, sentence, attn_mask=bias, attn_bias=bias)
        self.refused(TypeError, "attn_bias: expected float32, got bool", attn_bias=bias > 0)
        self.refused(TypeError, "attn_bias: .*, got float64; attn_bias.astype", attn_bias=np.zeros(11))
        self.refused(ValueError, r"attn_bias: expected a shape that broadcasts to \(2, 3, 9, 11\)",
                     attn_bias=bias[:, :10], attn_mask=bias > 0)

    def test_centers(self):
        matrix, vector = np.zeros((4, 8), np.float32), np.zeros(4, np.float32)
        self.refused(ValueError, "centers: expected", local, window=2, predict=(matrix, vector),
                     centers=np.zeros(9, np.float32))
        self.refused(ValueError, r"centers: expected a shape that broadcasts to \(2, 3, 9\)", local,
                     window=2, centers=np.zeros(8, np.float32))
        self.refused(TypeError, "centers: expected float32, got", local, window=2, centers=np.zeros(9))
        self.refused(ValueError, r"predict: expected the shapes \(P, 8\) and \(P,\), got \(4, 7\) and",
                     local, window=2, predict=(matrix[:, :7], vector))
        self.refused(TypeError, r"predict: expected a tuple \(W, v\)", local, window=2, predict=matrix)
        self.refused(ValueError, "sigma: expected a number above 0, got 0", local, window=2, sigma=0)
        self.refused(ValueError, "sigma: expected 0 where centers are neither", local, window=2, sigma=1)

    def test_scores_and_norms(self):
        self.refused(ValueError, "score_function: expected one of 'dot', 'general', 'additive', got 'x'",
                     score_function="x")
        self.refused(ValueError, r"score_weight: expected an array of the shape \(8, 8\), got None",
                     score_function="general")
        self.refused(ValueError, r"score_weight: expected the shape \(8,\), got \(8, 8\)",
                     score_function="additive", score_weight=np.zeros((8, 8), np.float32))
        self.refused(ValueError, "score_weight: expected None, as score_function is 'dot'",
                     score_weight=np.zeros(8, np.float32))
        self.refused(TypeError, "score_weight: expected float32", score_function="additive",
                     score_weight=np.zeros(8))
        self.refused(ValueError, "norm: expected one of None, 'l2', 'rms', 'layer', got 'x'", norm="x")
        self.refused(ValueError, "norm: expected one of None", norm=[])
        self.refused(ValueError, "norm_epsilon: expected a number above 0, got 0", norm_epsilon=0)
        self.refused(ValueError, "norm_epsilon: expected a number above 0, got nan", norm_epsilon=np.nan)
        self.refused(ValueError, "norm_epsilon: expected a finite number", norm_epsilon=1e300)
        self.refused(ValueError, r"norm_shift: expected the shape \(8,\), got \(9,\)",
                     norm_shift=np.ones(9))
        self.refused(ValueError, r"residual: expected a shape that broadcasts to \(2, 3, 9, 8\)",
                     residual=np.zeros((9, 7), np.float32))
        self.refused(TypeError, "residual: expected float32", residual=np.zeros(8))

    def test_explain(self):
        self.refused(ValueError, "softcap: expected", attn.explain, softcap=-1)
        self.refused(TypeError, ".*unexpected keyword argument 'dropout_p'", attn.explain, dropout_p=0)

    def test_a_refused_call_writes_nothing_and_the_next_one_works(self):
        arrays, out = inputs(0), np.full((2, 3, 9, 8), 7, np.float32)
        self.refused(ValueError, "softcap", arrays=arrays, softcap=-1, out=out)
        self.assertTrue((out == 7).all())
        sdpa(*arrays, out=out)
        self.assertFalse((out == 7).any())


class Loading(BindingTest):
    def run_python(self, program, **environment):
        return subprocess.run([sys.executable, "-c", program], env={**os.environ, **environment}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def test_no_library(self):
        result = self.run_python("import attn", ATTN_LIBRARY="/nowhere/libattn.so.0")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("ImportError: /nowhere/libattn.so.0: expected the library libattn", result.stdout)

    def test_another_library(self):
        result = self.run_python("import attn", ATTN_LIBRARY="libc.so.6")
        self.assertIn("ImportError: libc.so.6: expected the library libattn", result.stdout)

    def test_environment(self):
        result = self.run_python("import attn; attn.show_config()", ATTN_ISA="sse9")
        self.assertIn("ValueError: ATTN_ISA: expected reference, avx2, avx512, neon or amx, got", result.stdout)
        result = self.run_python("import attn; print(attn.Context().info()['isa'])", ATTN_ISA="reference")
        self.assertEqual(result.stdout, "reference\n")
