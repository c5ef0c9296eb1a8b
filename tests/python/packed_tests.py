"""packed_tests.py - sequences one after another without padding, against float64 and against each alone.

SPDX-License-Identifier: BSD-3-Clause
"""
import numpy as np

import attn
from attention_tests import random_norm, random_rules, random_score, random_sizes
from oracle import attention
from support import BindingTest, inputs, normal

sdpa = attn.scaled_dot_product_attention


def starts_of(lengths):
    return np.concatenate(([0], np.cumsum(lengths)))


def pack(padded, lengths):
    """(heads, rows, columns) of (batch, heads, rows, columns)."""
    return np.concatenate([array[:, :length] for array, length in zip(padded, lengths)], axis=1)


def random_lengths(rng, batch, longest):
    """One of them the longest."""
    lengths = rng.integers(0, longest + 1, batch)
    lengths[rng.integers(0, batch)] = longest
    return lengths


class AgainstOracle(BindingTest):
    def random_case(self, seed, longest):
        """Padded arrays, the lengths of their sequences, and rules."""
        rng = np.random.default_rng(seed)
        sizes = random_sizes(rng, longest)
        shape = tuple(sizes[name] for name in ("batch", "heads", "len_q", "len_k"))
        rules = random_rules(rng, shape)
        if rng.random() < 0.3:
            rules.update(random_score(rng, sizes["dim"]))
        lengths = [random_lengths(rng, sizes["batch"], sizes[name]) for name in ("len_q", "len_k")]
        return rng, inputs(seed, **sizes), lengths, rules

    def check_packed(self, arrays, lengths, rules, padded_side=None, function=sdpa):
        """Both sides are packed, or the one that is not padded ("query" or "kv"). The residual in the rules
        is padded as the output is."""
        given, options = list(arrays), {"enable_gqa": True, "return_scores": 2, **rules}
        if padded_side != "query":
            given[0], options["query_starts"] = pack(arrays[0], lengths[0]), starts_of(lengths[0])
            if "residual" in rules:
                options["residual"] = pack(rules["residual"], lengths[0])
        if padded_side != "kv":
            given[1:] = (pack(array, lengths[1]) for array in arrays[1:])
            options["kv_starts"] = starts_of(lengths[1])
        results = function(*given, **options, return_lse=True, return_weights=True)
        limits = {}
        for name, side, count in (("query_lengths", "query", lengths[0]), ("kv_lengths", "kv", lengths[1])):
            limits[name] = rules.get(name, 1 << 30) if side == padded_side else count
            limits[name] = np.minimum(np.minimum(limits[name], rules.get(name, 1 << 30)),
                                      arrays[0 if side == "query" else 1].shape[2])
        want = attention(*arrays, {**rules, **limits})
        output, tolerance = want["output"], np.broadcast_to(want["tolerance"], want["output"].shape)
        if padded_side != "query":
            output, tolerance = pack(output, lengths[0]), pack(tolerance, lengths[0])
        self.assert_close(results[0], output, tolerance, f"output with {rules.keys()}")
        scores = want["scores"][options["return_scores"]]
        for name, got, expected in zip(("lse", "weights", "scores"), results[1:],
                                       (want["lse"], want["weights"], scores)):
            self.assert_close(got, expected, 2e-6 * want["largest"], f"{name} with {rules.keys()}")

    def test_random_options(self):
        for seed in range(300):
            with self.subTest(seed=seed):
                rng, arrays, lengths, rules = self.random_case(seed, 20)
                if rng.random() < 0.3:
                    norm = random_norm(rng, (*arrays[0].shape[:3], arrays[2].shape[3]))
                    if "residual" in norm:
                        norm["residual"] = np.broadcast_to(norm["residual"],
                                                           (*arrays[0].shape[:3], arrays[2].shape[3]))
                    rules.update(norm)
                self.check_packed(arrays, lengths, rules, rng.choice([None, "query", "kv"]))

    def test_random_options_over_many_tiles(self):
        for seed in range(1000, 1020):
            with self.subTest(seed=seed):
                self.check_packed(*self.random_case(seed, 300)[1:])

    def test_centers(self):
        for seed in range(30):
            with self.subTest(seed=seed):
                rng, arrays, lengths, rules = self.random_case(seed, 20)
                centers = rng.uniform(-2, 22, arrays[0].shape[:3]).astype(np.float32)
                rules = {"window": (4, 3), "centers": centers, "is_causal": bool(seed % 2)}
                self.check_packed(arrays, lengths, rules, function=attn.local_attention)


class Packed(BindingTest):
    def setUp(self):
        self.lengths, self.starts = (3, 5, 0, 2), [0, 3, 8, 8, 10]
        self.arrays = [array[0] for array in inputs(0, batch=1, heads=4, heads_kv=2, len_q=10, len_k=10)]
        self.options = {"query_starts": self.starts, "kv_starts": self.starts, "is_causal": True,
                        "enable_gqa": True}

    def test_each_sequence_alone(self):
        output, lse, weights = sdpa(*self.arrays, **self.options, return_lse=True, return_weights=True)
        self.assertEqual((output.shape, lse.shape, weights.shape), ((4, 10, 8), (4, 4, 5), (4, 4, 5, 5)))
        for entry, (first, length) in enumerate(zip(self.starts, self.lengths)):
            rows = np.s_[:, first:first + length]
            alone, alone_lse = sdpa(*(array[rows] for array in self.arrays), is_causal=True, enable_gqa=True,
                                    return_lse=True)
            self.assert_close(output[rows], alone, 1e-6)
            self.assert_close(lse[entry, :, :length], alone_lse, 1e-6)
            self.assertTrue(np.isneginf(lse[entry, :, length:]).all())
            self.assertEqual(np.count_nonzero(weights[entry, :, length:]), 0)

    def test_layouts_and_dimensions(self):
        want = sdpa(*self.arrays, **self.options)
        swapped = [np.ascontiguousarray(array.swapaxes(0, 1)) for array in self.arrays]
        output = sdpa(*swapped, **self.options, layout="BSHD")
        self.assertTrue(output.flags.c_contiguous)
        self.assert_same_bits(output.swapaxes(0, 1), want)
        alone, lse = sdpa(*(array[0] for array in self.arrays), **self.options, return_lse=True)
        self.assert_close(alone, want[0], 1e-6)  # another number of heads may have other tiles
        self.assertEqual(lse.shape, (4, 5))

    def test_views_and_out(self):
        want = sdpa(*self.arrays, **self.options)
        interleaved = np.stack((self.arrays[1], self.arrays[2]), axis=2)  # heads, rows, which, columns
        views = [self.arrays[0][:, ::-1].copy()[:, ::-1], interleaved[:, :, 0], interleaved[:, :, 1]]
        around = np.full((4, 14, 20), 7, np.float32)
        out = around[:, 2:12, 6:14]
        self.assertIs(sdpa(*views, **self.options, out=out), out)
        self.assert_same_bits(out, want)
        self.assertEqual((around != 7).sum(), out.size)
        lengths = {"query_lengths": [3, 1, 0, 2]}
        sdpa(*self.arrays, **self.options, **lengths, out=out)
        self.assert_same_bits(out, sdpa(*self.arrays, **self.options, **lengths))
        self.assertEqual(np.count_nonzero(out[:, 4:8]), 0)

    def test_garbage_of_other_sequences_does_not_leak(self):
        want = sdpa(*self.arrays, **self.options)
        for array in self.arrays:
            array[:, 3:8] = np.nan
        output = sdpa(*self.arrays, **self.options)
        for rows in (np.s_[:, :3], np.s_[:, 8:]):
            self.assert_same_bits(output[rows], want[rows])
        self.assertTrue(np.isnan(output[:, 3:8]).all())

    def test_nothing(self):
        rng = np.random.default_rng(1)
        for starts, batch in (([0], 0), ([0, 0, 0], 2)):
            query, key, value = (normal(rng, 4, 0, 8) for _ in range(3))
            output, lse = sdpa(query, key, value, query_starts=starts, kv_starts=starts, return_lse=True)
            self.assertEqual((output.shape, lse.shape), ((4, 0, 8), (batch, 4, 0)))

    def test_explain(self):
        plan, padded = attn.explain(*self.arrays, **self.options), np.zeros((4, 4, 5, 8), np.float32)
        want = attn.explain(padded, padded[:, :2], padded[:, :2], is_causal=True, enable_gqa=True)
        self.assertEqual(plan, want)

    def refused(self, error, sentence, *arrays, **options):
        with self.assertRaisesRegex(error, f"^{sentence}"):
            sdpa(*(arrays or self.arrays), **{**self.options, **options})

    def test_refused(self):
        query, key, value = self.arrays
        self.refused(ValueError, "query_starts: expected to begin with 0 and end with 10, .*, got 0 and 9",
                     query_starts=[0, 3, 8, 8, 9])
        self.refused(ValueError, "kv_starts: expected to begin with 0 and end with 10, .*, got 1 and 10",
                     kv_starts=[1, 3, 8, 8, 10])
        self.refused(ValueError, "query_starts: expected steps of 0 to 8, got 3 after 8",
                     query_starts=[0, 8, 3, 8, 10])
        self.refused(ValueError, r"query_starts: expected the shape \(B \+ 1,\), got \(\)", query_starts=10)
        self.refused(ValueError, r"kv_starts: expected the shape \(B \+ 1,\), got \(0,\)",
                     kv_starts=np.zeros(0, int))
        self.refused(TypeError, "kv_starts: expected whole numbers, got float64", kv_starts=[0.0, 10.0])
        self.refused(ValueError, r"query, key, value: expected one batch size, got \[2, 4\]",
                     kv_starts=[0, 4, 10])
        self.refused(ValueError, "kv_starts: expected 5 numbers, as there are 4 sequences, got 2",
                     kv_starts=[0, 10])
        self.refused(ValueError, "query: expected 2 or 3 dimensions, as its sequences are packed, got 4",
                     query[np.newaxis], key, value)
        self.refused(ValueError, "value: expected 3 dimensions, to go with the others, got 4",
                     query, key, value[np.newaxis])
        self.refused(ValueError, "key: expected 4 dimensions, to go with the others, got 3", kv_starts=None)
        self.refused(ValueError, r"out: expected the shape \(4, 10, 8\), got",
                     out=np.zeros((4, 9, 8), np.float32))
        self.refused(ValueError, r"attn_mask: expected a shape that broadcasts to \(4, 4, 5, 5\)",
                     attn_mask=np.ones((10, 10), bool))
        with self.assertRaisesRegex(TypeError, "unexpected keyword argument 'query_starts'"):
            attn.self_attention(query[0], np.zeros((24, 8), np.float32), num_heads=1, query_starts=[0, 10])
