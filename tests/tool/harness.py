"""harness.py - what the tests of the attn command share: a folder for each test, and the formula.

SPDX-License-Identifier: BSD-3-Clause
"""
import collections
import os
import subprocess
import tempfile
import unittest

import numpy as np

OCR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/ocr-attention")


Result = collections.namedtuple("Result", "output weights lse scores")


def visible(shape, causal=False, offset=0, window=None, prefix=0, dilation=1, centers=None, kv_lengths=None,
            query_lengths=None):
    """Which of (batch, heads, queries, keys) the positions leave."""
    batch, _, _, _ = shape
    i, j = (axis.astype(object) for axis in np.indices(shape[2:]))  # Python's integers: no overflow
    p = i + offset
    seen = np.ones(shape, bool)
    if causal:
        seen &= (j <= p).astype(bool)
    if window is not None:
        left, right = (side * dilation if side >= 0 else float("inf") for side in window)
        middle = p if centers is None else np.broadcast_to(centers.astype(np.float64)[..., None], shape)
        inside = (j >= middle - left) & (j <= middle + right) & ((p - j) % dilation == 0)
        seen &= (inside | (j < prefix)).astype(bool)
    for b in range(batch):
        if kv_lengths is not None:
            seen[b, :, :, kv_lengths[b]:] = False
        if query_lengths is not None:
            seen[b, :, query_lengths[b]:] = False
    return seen


def softmax(scores, sinks):
    """The weights and the log-sum-exp of each row, and of a sink for each head."""
    top = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    if sinks is not None:
        top = np.maximum(top, sinks.astype(np.float64)[:, None, None])
    top = np.where(np.isfinite(top), top, 0)
    e = np.exp(scores - top)
    total = e.sum(axis=-1, keepdims=True)
    if sinks is not None:
        total = total + np.exp(sinks.astype(np.float64)[:, None, None] - top)
    with np.errstate(divide="ignore"):
        lse = (np.log(total) + top)[..., 0]
    return e / np.where(total == 0, 1, total), lse


def products(q, k, score_function="dot", score_weight=None, scale=None):
    """The scores before all that edits them."""
    if score_function == "additive":
        scores = np.tanh(q[..., :, None, :] + k[..., None, :, :]) @ score_weight.astype(np.float64)
    else:
        scores = (q if score_weight is None else q @ score_weight.astype(np.float64)) @ np.swapaxes(k, -1, -2)
    return scores * ((1 / np.sqrt(q.shape[-1]) if score_function == "dot" else 1) if scale is None else scale)


def normed(rows, norm="none", epsilon=1e-5, gain=1, shift=0, residual=0):
    """What becomes of rows of the output that have a query."""
    rows = rows + residual
    if norm == "l2":
        rows = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), epsilon)
    if norm == "layer":
        rows = rows - rows.mean(axis=-1, keepdims=True)
    if norm in ("rms", "layer"):
        rows = rows / np.sqrt((rows ** 2).mean(axis=-1, keepdims=True) + epsilon)
    return rows * gain + shift


def finished(output, norm, query_lengths):
    """The output of batch x ... x N x columns, normed, and +0.0 where there is no query."""
    output = normed(output, **(norm or {}))
    for b, length in enumerate(query_lengths if query_lengths is not None else ()):
        output[b, ..., length:, :] = 0
    return output


def attention4(q, k, v, softcap=None, bias=0, slopes=None, mask=True, sinks=None, sigma=None, score=None, **rules):
    """The formula in float64 on arrays of four dimensions. scores has them at each of three stages; score has
    the arguments of products()."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    if q.shape[1] != k.shape[1]:
        k, v = (np.repeat(x, q.shape[1] // k.shape[1], axis=1) for x in (k, v))
    shape = q.shape[:3] + k.shape[2:3]
    seen = visible(shape, **rules)
    exists = visible(shape, kv_lengths=rules.get("kv_lengths"), query_lengths=rules.get("query_lengths"))
    scores = [products(q, k, **(score or {}))]
    scores.append(scores[0] if softcap is None else softcap * np.tanh(scores[0] / softcap))
    final = scores[1] + bias
    i, j = np.indices(shape[2:])
    if slopes is not None:
        final = final - slopes.astype(np.float64)[:, None, None] * np.abs(i + float(rules.get("offset", 0)) - j)
    seen = seen & np.broadcast_to(mask, shape) & (np.broadcast_to(bias, shape) != -np.inf)
    scores.append(np.where(seen, final, -np.inf))
    scores[:2] = (np.where(exists, stage, -np.inf) for stage in scores[:2])
    weights, lse = softmax(scores[2], sinks)
    if rules.get("query_lengths") is not None:  # what has no query has no sink
        for b, length in enumerate(rules["query_lengths"]):
            lse[b, :, length:] = -np.inf
    if rules.get("centers") is not None:
        centers = rules["centers"].astype(np.float64)[..., None]
        width = rules["window"][0] / 2 if sigma is None else sigma
        weights = weights * np.exp(-(j - centers) ** 2 / (2 * width ** 2))
    return Result(weights @ v, weights, lse, scores)


def attention(q, k, v, scale=None, score=None, norm=None, **formula):
    """The same on arrays of two to four dimensions; norm has the arguments of normed()."""
    formula["score"] = dict(score or {}, scale=scale)
    missing = (None,) * (4 - q.ndim)
    if formula.get("centers") is not None:
        formula["centers"] = formula["centers"][missing]
    result = attention4(q[missing], k[missing], v[missing], **formula)
    drop = (0,) * (4 - q.ndim)
    output = finished(result.output, norm, formula.get("query_lengths"))
    return Result(output[drop], *(x[drop] for x in result[1:3]), [x[drop] for x in result.scores])


def rotate(x, kind, offset, dim=None, base=10000.0):
    """Rotary embeddings of an array of batch x heads x N x D."""
    dim = x.shape[-1] if dim is None else dim
    n = np.arange(dim // 2)
    angle = (np.arange(x.shape[2])[:, None] + float(offset)) * base ** (-2.0 * n / dim)
    first, second = (n, n + dim // 2) if kind == "half" else (2 * n, 2 * n + 1)
    rotated = x.copy()
    rotated[..., first] = x[..., first] * np.cos(angle) - x[..., second] * np.sin(angle)
    rotated[..., second] = x[..., second] * np.cos(angle) + x[..., first] * np.sin(angle)
    return rotated


def layer(x, heads, weights, biases, rope=None, norm=None, **formula):
    """A self-attention layer on batch x N x E. heads: of query and of key; weights and biases: by the letters
    q, k, v, o; rope has the arguments of rotate()."""
    x = x.astype(np.float64)
    projected = {}
    for letter, count in zip("qkv", (heads[0], heads[1], heads[1])):
        rows = x @ weights[letter].astype(np.float64).T + biases.get(letter, 0)
        projected[letter] = rows.reshape(*rows.shape[:2], count, rows.shape[2] // count).swapaxes(1, 2)
        if rope is not None and letter != "v":
            projected[letter] = rotate(projected[letter], offset=formula.get("offset", 0), **rope)
    result = attention(*projected.values(), **formula)
    output = result.output.swapaxes(1, 2)
    output = output.reshape(*x.shape[:2], output.shape[2] * output.shape[3])
    if "o" in weights:
        output = output @ weights["o"].astype(np.float64).T + biases.get("o", 0)
    return result._replace(output=finished(output, norm, formula.get("query_lengths")))


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
        expected = attention(q, k, v, **formula)
        self.check_files(("out.npy", expected.output), ("w.npy", expected.weights), ("l.npy", expected.lse),
                         scores=expected.scores[2])
        return report

    def check_files(self, *pairs, scores=np.zeros(1)):
        """Checks files against arrays, within what float32 makes of scores of that size."""
        size = np.abs(scores, where=np.isfinite(scores), out=np.zeros(scores.shape)).max(initial=0)
        for name, expected in pairs:
            got = self.load(name)
            self.assertEqual((got.dtype, got.shape), (np.dtype("<f4"), expected.shape), name)
            np.testing.assert_allclose(got, expected, rtol=1e-5 + 3e-7 * size, atol=5e-6 + 2e-7 * size, err_msg=name)
