"""attention_tests.py - what the attention functions compute: the options, alone and in random combination.

SPDX-License-Identifier: BSD-3-Clause
"""
import numpy as np

import attn
from oracle import attention
from support import BindingTest, inputs, normal


def random_window(rng, len_k):
    return tuple(int(side) for side in rng.integers(-1, max(2, len_k // 2), 2))


def random_seen(rng, shape):
    """bool, of which some entries mask, and one that broadcasts."""
    shape = tuple(1 if rng.random() < 0.3 else size for size in shape)[rng.integers(0, 4):]
    return rng.random(shape) < 0.7


def random_bias(rng, shape):
    """The same in float32."""
    seen = random_seen(rng, shape)
    return np.where(seen, normal(rng, *seen.shape), np.float32(-np.inf))


def random_mask(rng, shape):
    return random_seen(rng, shape) if rng.random() < 0.5 else random_bias(rng, shape)


def random_score(rng, dim):
    """Another score function."""
    if rng.random() < 0.5:
        return {"score_function": "general", "score_weight": normal(rng, dim, dim) / np.float32(dim)}
    return {"score_function": "additive", "score_weight": normal(rng, dim)}


def random_norm(rng, shape):
    """For outputs of a shape: a norm or only some of what comes with it."""
    rules = {"norm": rng.choice([None, "l2", "rms", "layer"])}
    if rng.random() < 0.5:
        rules["residual"] = normal(rng, *shape[rng.integers(0, len(shape)):])
    if rng.random() < 0.5:
        rules["norm_gain"], rules["norm_shift"] = normal(rng, shape[-1]), normal(rng, shape[-1])
    if rng.random() < 0.5:
        rules["norm_epsilon"] = float(rng.choice([0.5, 1e-3]))
    return rules


def random_rules(rng, shape):
    """Each option with a chance of three in ten, for (batch, heads, len_q, len_k)."""
    batch, heads, len_q, len_k = shape
    makers = {
        "is_causal": lambda: True,
        "scale": lambda: float(rng.normal()),
        "softcap": lambda: float(rng.uniform(0.5, 5)),
        "window": lambda: random_window(rng, len_k),
        "attn_mask": lambda: random_mask(rng, shape),
        "attn_bias": lambda: random_bias(rng, shape),
        "alibi_slopes": lambda: normal(rng, heads),
        "sinks": lambda: normal(rng, heads),
        "offset": lambda: rng.integers(-len_q, len_k + 1, batch if rng.random() < 0.5 else ()),
        "kv_lengths": lambda: rng.integers(0, len_k + 1, batch),
        "query_lengths": lambda: rng.integers(0, len_q + 1, batch),
        "return_scores": lambda: int(rng.integers(0, 3)),
    }
    rules = {name: make() for name, make in makers.items() if rng.random() < 0.3}
    if "attn_bias" in rules and rules.get("attn_mask", np.bool_()).dtype != bool:
        del rules["attn_mask"]
    if "window" in rules and rng.random() < 0.5:
        rules["window_prefix"] = int(rng.integers(0, 4))
        rules["window_dilation"] = int(rng.integers(1, 4))
    return rules


def random_sizes(rng, longest):
    heads_kv = int(rng.integers(1, 3))
    return {"batch": int(rng.integers(1, 4)), "heads": heads_kv * int(rng.integers(1, 4)),
            "heads_kv": heads_kv, "len_q": int(rng.integers(1, longest)),
            "len_k": int(rng.integers(1, longest)),
            "dim": int(rng.integers(1, 40)), "dim_v": int(rng.integers(1, 40))}


class AgainstOracle(BindingTest):
    def case(self, seed, longest):
        """Arrays, and rules that fit them."""
        rng = np.random.default_rng(seed)
        sizes = random_sizes(rng, longest)
        arrays = inputs(seed, **sizes)
        shape = tuple(sizes[name] for name in ("batch", "heads", "len_q", "len_k"))
        rules = random_rules(rng, shape)
        if rng.random() < 0.3:
            rules.update(random_score(rng, sizes["dim"]))
        if rng.random() < 0.3:
            rules.update(random_norm(rng, (*shape[:3], sizes["dim_v"])))
        return rng, arrays, rules

    def test_plain(self):
        self.check(inputs(0), {})

    def test_random_options(self):
        for seed in range(400):
            with self.subTest(seed=seed):
                _, arrays, rules = self.case(seed, 20)
                self.check(arrays, rules)

    def test_random_options_over_many_tiles(self):
        for seed in range(1000, 1030):
            with self.subTest(seed=seed):
                _, arrays, rules = self.case(seed, 400)
                self.check(arrays, rules)

    def test_local(self):
        for seed in range(100):
            with self.subTest(seed=seed):
                rng, arrays, rules = self.case(seed, 40)
                rules.setdefault("window", random_window(rng, arrays[1].shape[2]))
                self.check(arrays, rules, attn.local_attention)

    def test_centers(self):
        for seed in range(100):
            with self.subTest(seed=seed):
                rng, arrays, rules = self.case(seed, 40)
                len_k, window = arrays[1].shape[2], rng.integers(1, 12, 2)
                rules["window"] = tuple(int(side) for side in window)
                rules.pop("window_dilation", None)
                if rng.random() < 0.5:
                    rules["sigma"] = float(rng.uniform(0.5, 9))
                if rng.random() < 0.5:
                    rules["centers"] = rng.uniform(-3, len_k + 3, arrays[0].shape[:3]).astype(np.float32)
                else:
                    predict_dim = int(rng.integers(1, 9))
                    matrix = normal(rng, predict_dim, arrays[0].shape[3])
                    rules["predict"] = matrix, normal(rng, predict_dim)
                self.check_near_centers(arrays, rules)

    def check_near_centers(self, arrays, rules):
        """A predicted middle is rounded, and the Gaussian with it: the tolerance is wider."""
        output, weights = attn.local_attention(*arrays, enable_gqa=True, return_weights=True,
                                               **{name: rule for name, rule in rules.items()
                                                  if name != "return_scores"})
        want = attention(*arrays, rules)
        factor = 1 if "centers" in rules else 20
        self.assert_close(output, want["output"], factor * want["tolerance"] + 1e-6, f"{rules}")
        self.assert_close(weights, want["weights"], factor * 2e-6, f"{rules}")

    def test_one_number_is_a_window_to_both_sides(self):
        arrays = inputs(3)
        self.assert_same_bits(attn.local_attention(*arrays, 2), attn.local_attention(*arrays, (2, 2)))
        self.assert_same_bits(attn.local_attention(*arrays, (2, 1)),
                              attn.scaled_dot_product_attention(*arrays, window=(2, 1)))

    def test_alignment(self):
        arrays = inputs(4, len_q=2, len_k=5)
        for options, last in (({}, [[0], [1]]), ({"offset": 3}, [[3], [4]])):
            _, weights = attn.scaled_dot_product_attention(*arrays, is_causal=True, return_weights=True,
                                                           **options)
            np.testing.assert_array_equal(weights[0, 0] > 0, np.arange(5) <= last)

    def test_masked_garbage_does_not_leak(self):
        query, key, value = inputs(5)
        mask = np.ones((9, 11), bool)
        mask[:, 4] = False
        clean = attn.scaled_dot_product_attention(query, key, value, mask, kv_lengths=9)
        key[:, :, [4, 9, 10]] = np.nan
        value[:, :, [4, 9, 10]] = np.inf
        poisoned = attn.scaled_dot_product_attention(query, key, value, mask, kv_lengths=9)
        self.assert_same_bits(poisoned, clean)

    def test_visible_nan_propagates(self):
        query, key, value = inputs(6)
        query[0, 0, 0, 0] = np.nan
        output = attn.scaled_dot_product_attention(query, key, value)
        self.assertTrue(np.isnan(output[0, 0, 0]).all())
        self.assertTrue(np.isfinite(output[0, 0, 1:]).all())

    def test_alibi_slopes(self):
        np.testing.assert_array_equal(attn.alibi_slopes(8), 0.5 ** np.arange(1, 9))
        between = np.float32([2 ** (-i / 2) for i in (1, 3, 5, 7)])
        np.testing.assert_array_equal(attn.alibi_slopes(12)[8:], between)
        self.assertEqual(attn.alibi_slopes(1).tolist(), [2.0 ** -8])
        self.assertEqual(attn.alibi_slopes(0).shape, (0,))


class Empty(BindingTest):
    def test_sizes_of_zero(self):
        for name in ("batch", "heads", "len_q"):
            with self.subTest(size=name):
                arrays = [np.zeros(array.shape, np.float32) for array in inputs(0)]
                axis = ("batch", "heads", "len_q").index(name)
                emptied = [np.delete(array, slice(None), axis) if axis < 2 or array is arrays[0] else array
                           for array in arrays]
                output, lse, weights = attn.scaled_dot_product_attention(*emptied, return_lse=True,
                                                                         return_weights=True)
                self.assertEqual((output.size, lse.size, weights.size), (0, 0, 0))
                self.assertEqual(output.shape, emptied[0].shape)

    def test_no_keys(self):
        query, key, value = inputs(0)
        output, lse, weights = attn.scaled_dot_product_attention(query, key[:, :, :0], value[:, :, :0],
                                                                 return_lse=True, return_weights=True)
        self.assertEqual((output == 0).sum(), output.size)
        self.assertTrue(np.isneginf(lse).all())
        self.assertEqual(weights.shape, (2, 3, 9, 0))

    def test_no_columns_of_values(self):
        query, key, value = inputs(0, len_q=5)
        whole = attn.scaled_dot_product_attention(query, key, value, return_lse=True, return_weights=True)
        output, lse, weights = attn.scaled_dot_product_attention(query, key, value[..., :0],
                                                                 return_lse=True, return_weights=True)
        self.assertEqual(output.shape, (2, 3, 5, 0))
        self.assert_same_bits(lse, whole[1])
        self.assert_same_bits(weights, whole[2])

    def test_no_columns_of_keys(self):
        query, key, value = inputs(0)
        with self.assertRaisesRegex(ValueError, "^dim: expected 1 to"):
            attn.scaled_dot_product_attention(query[..., :0], key[..., :0], value)

    def test_no_key_heads(self):
        query, key, value = inputs(0)
        for grouped in (False, True):
            with self.assertRaisesRegex(ValueError, "^query: expected .*0 heads"):
                attn.scaled_dot_product_attention(query, key[:, :0], value[:, :0], enable_gqa=grouped)
