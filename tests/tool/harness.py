"""harness.py - what the tests of the attn command share: a folder for each test, and the formula.

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import subprocess
import tempfile
import unittest

import numpy as np

OCR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/ocr-attention")


def attention(q, k, v, scale=None, offset=None):
    """The formula in float64: output, weights and log-sum-exp; offset None: not causal."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    if q.ndim > 2 and q.shape[-3] != k.shape[-3]:
        k, v = (np.repeat(x, q.shape[-3] // k.shape[-3], axis=-3) for x in (k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    if offset is not None:
        i, j = np.indices(scores.shape[-2:])
        scores = np.where(j - i <= offset, scores, -np.inf)
    top = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = e.sum(axis=-1, keepdims=True)
    weights = e / np.where(total == 0, 1, total)
    with np.errstate(divide="ignore"):
        lse = (np.log(total) + np.where(total == 0, 0, top))[..., 0] if scores.shape[-1] else \
            np.full(scores.shape[:-1], -np.inf)
    return weights @ v, weights, lse


class ToolTest(unittest.TestCase):
    """A folder of its own for each test, and the tool run in it."""

    tool = ""  # the command's path, set by test_tool.py

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.random = np.random.default_rng(7)

    def path(self, name):
        return os.path.join(self.folder, name)

    def save(self, name, array):
        np.save(self.path(name), array)

    def load(self, name):
        return np.load(self.path(name), allow_pickle=False)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)

    def normal(self, *shape):
        return self.random.standard_normal(shape).astype(np.float32)

    def run_tool(self, *arguments, **options):
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.run([self.tool, *arguments], cwd=self.folder, timeout=300, check=False, **options)

    def ok(self, *arguments, code=0, **options):
        """Runs it; expects success and nothing on stderr; returns what it printed."""
        result = self.run_tool(*arguments, **options)
        self.assertEqual((result.returncode, result.stderr), (code, b""), arguments)
        return result.stdout.decode() if result.stdout is not None else ""

    def error(self, code, words, *arguments, **options):
        """Expects that exit code, one line on stderr with those words, and no temporary file."""
        result = self.run_tool(*arguments, **options)
        sentence = result.stderr.decode()
        self.assertEqual(result.returncode, code, (arguments, sentence))
        self.assertRegex(sentence, r"\Aattn: [^\n]+\n\Z")
        self.assertIn(words, sentence)
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".attn")], [])
        return result.stdout.decode() if result.stdout is not None else ""

    def save_inputs(self, q, k, v):
        for name, array in (("q.npy", q), ("k.npy", k), ("v.npy", v)):
            self.save(name, array)

    INPUTS = ("run", "-q", "q.npy", "-k", "k.npy", "-v", "v.npy")

    def check(self, q, k, v, *options, **formula):
        """Runs on q, k, v and checks output, weights and LSE against the formula."""
        self.save_inputs(q, k, v)
        report = self.ok(*self.INPUTS, "-o", "out.npy", "--weights", "w.npy", "--lse", "l.npy", *options)
        for name, expected in zip(("out.npy", "w.npy", "l.npy"), attention(q, k, v, **formula)):
            got = self.load(name)
            self.assertEqual((got.dtype, got.shape), (np.dtype("<f4"), expected.shape), name)
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=5e-6, err_msg=name)
        return report
