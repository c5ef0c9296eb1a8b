"""self_tests.py - the self-attention layer: against float64, and the arrays that it takes and refuses.

SPDX-License-Identifier: BSD-3-Clause
"""
import numpy as np

import attn
from attention_tests import random_norm, random_rules, random_score
from oracle import self_attention
from support import BindingTest, Foreign, normal


def random_weights(rng, width, rules, dim, dim_v=None, dim_output=None):
    """weight_q, weight_k, weight_v and, with dim_output, weight_o; each with a bias or without."""
    dim_v, heads, heads_kv = dim_v or dim, rules["num_heads"], rules["num_kv_heads"]
    rows = {"q": heads * dim, "k": heads_kv * dim, "v": heads_kv * dim_v}
    weights = {f"weight_{name}": normal(rng, count, width) / np.float32(width ** 0.5)
               for name, count in rows.items()}
    if dim_output:
        weights["weight_o"] = normal(rng, dim_output, heads * dim_v) / np.float32((heads * dim_v) ** 0.5)
    for name in list(weights):
        if rng.random() < 0.5:
            weights["bias" + name[6:]] = normal(rng, len(weights[name]))
    return weights


def packed(weights):
    """The same with weight_qkv, and bias_qkv where there is one of any bias."""
    result = {name: array for name, array in weights.items() if name.endswith("_o")}
    result["weight_qkv"] = np.concatenate([weights[f"weight_{name}"] for name in "qkv"])
    if any(f"bias_{name}" in weights for name in "qkv"):
        zeros = {f"bias_{name}": np.zeros(len(weights[f"weight_{name}"]), np.float32) for name in "qkv"}
        result["bias_qkv"] = np.concatenate([{**zeros, **weights}[name] for name in zeros])
    return result


def random_rope(rng, dim):
    rules = {"rope": str(rng.choice(["half", "interleaved"]))}
    if rng.random() < 0.5:
        rules["rope_dim"] = 2 * int(rng.integers(1, dim // 2 + 1))
    if rng.random() < 0.3:
        rules["rope_base"] = 500.0
    return rules


class AgainstOracle(BindingTest):
    def check_layer(self, x, weights, rules):
        stage = rules.get("return_scores", 2)
        got = attn.self_attention(x, **weights, **{**rules, "return_lse": True, "return_weights": True,
                                                   "return_scores": stage})
        want = self_attention(x, weights, rules)
        largest = want["largest"]
        self.assert_close(got[0], want["output"], want["tolerance"], f"output with {rules.keys()}")
        for name, result, expected in zip(("lse", "weights", "scores"), got[1:],
                                          (want["lse"], want["weights"], want["scores"][stage])):
            self.assert_close(result, expected, 1e-5 * largest, f"{name} with {rules.keys()}")

    def check_random(self, seed, longest):
        rng = np.random.default_rng(seed)
        batch, heads_kv, length = (int(rng.integers(1, most)) for most in (4, 3, longest))
        rules = {"num_heads": heads_kv * int(rng.integers(1, 4)), "num_kv_heads": heads_kv}
        width, dim, dim_v, dim_output = (int(number) for number in rng.integers(2, 40, 4))
        x, one_by_one = normal(rng, batch, length, width), rng.random() < 0.5
        projected = rng.random() < 0.7
        dim_v = dim_v if one_by_one or projected else dim
        weights = random_weights(rng, width, rules, dim, dim_v, dim_output if projected else None)
        if not projected:
            dim_output = rules["num_heads"] * dim_v
        rules.update(random_rules(rng, (batch, rules["num_heads"], length, length)))
        for maker, chance in ((lambda: random_rope(rng, dim if dim % 2 == 0 else 2), 0.5),
                              (lambda: random_score(rng, dim), 0.2),
                              (lambda: random_norm(rng, (batch, length, dim_output)), 0.4)):
            if rng.random() < chance:
                rules.update(maker())
        if "rope" in rules and dim % 2:
            rules["rope_dim"] = 2
        self.check_layer(x, weights, rules)
        if not one_by_one:
            rules["return_scores"] = None
            self.assert_same_bits(attn.self_attention(x, **packed(weights), **rules),
                                  attn.self_attention(x, **weights, **rules))

    def test_random_layers(self):
        for seed in range(300):
            with self.subTest(seed=seed):
                self.check_random(seed, 20)

    def test_random_layers_over_many_tiles(self):
        for seed in range(1000, 1020):
            with self.subTest(seed=seed):
                self.check_random(seed, 400)

    def test_each_rope(self):
        rng, heads = np.random.default_rng(1), {"num_heads": 4, "num_kv_heads": 2}
        x, weights = normal(rng, 2, 12, 24), random_weights(rng, 24, heads, 8)
        for rope in ("half", "interleaved"):
            for part in ({}, {"rope_dim": 4}, {"rope_base": 100.0}, {"offset": 7}, {"offset": [5, -3]}):
                self.check_layer(x, weights, {**heads, **part, "rope": rope})

    def test_local_p(self):
        rng, heads = np.random.default_rng(2), {"num_heads": 4, "num_kv_heads": 2}
        x, weights = normal(rng, 2, 12, 24), random_weights(rng, 24, heads, 8, dim_output=16)
        centers = rng.uniform(-1, 13, (2, 4, 12)).astype(np.float32)
        self.check_layer(x, weights, {**heads, "window": (4, 3), "centers": centers, "return_scores": 0})
        predict = normal(rng, 5, 8) / 8, normal(rng, 5)
        output = attn.self_attention(x, **weights, **heads, window=(99, 99), predict=predict, sigma=6.0)
        want = self_attention(x, weights, {**heads, "window": (99, 99), "predict": predict, "sigma": 6.0})
        self.assert_close(output, want["output"], 10 * want["tolerance"])


class Arrays(BindingTest):
    def setUp(self):
        rng = np.random.default_rng(3)
        self.heads = {"num_heads": 4, "num_kv_heads": 2, "rope": "half", "is_causal": True}
        self.x = normal(rng, 2, 12, 16)
        self.weights = random_weights(rng, 16, self.heads, 6, dim_output=16)
        self.weights["bias_o"] = normal(rng, 16)

    def layer(self, x=None, **options):
        return attn.self_attention(self.x if x is None else x, **{**self.weights, **self.heads, **options})

    def test_two_dimensions(self):
        wants = {"return_lse": True, "return_weights": True, "return_scores": 1}
        mask = np.random.default_rng(4).random((4, 12, 12)) < 0.7
        for part, all_of_them in zip(self.layer(self.x[1], attn_mask=mask, **wants),
                                     self.layer(attn_mask=mask, **wants)):
            self.assert_same_bits(part, all_of_them[1])

    def test_views(self):
        want = self.layer()
        around = np.full((4, 15, 20), np.nan, np.float32)
        around[1:3, 2:14, 3:19] = self.x
        self.assert_same_bits(self.layer(around[1:3, 2:14, 3:19]), want)
        self.assert_same_bits(self.layer(np.ascontiguousarray(self.x[:, ::-1])[:, ::-1]), want)
        self.assert_same_bits(self.layer(np.asfortranarray(self.x)), want)
        self.assert_same_bits(self.layer(Foreign(self.x)), want)
        turned = {name: np.asfortranarray(array) for name, array in self.weights.items()}
        self.assert_same_bits(self.layer(**turned), want)
        same = np.broadcast_to(self.x[:1], self.x.shape)
        self.assert_same_bits(self.layer(same), self.layer(np.array(same)))

    def test_out(self):
        want = self.layer()
        for shape, part in (((2, 12, 16), np.s_[:]), ((2, 30, 20), np.s_[:, 3:27:2, 2:18]),
                            ((2, 12, 16), np.s_[:, ::-1]), ((2, 12, 32), np.s_[..., ::2]),
                            ((12, 2, 16), None)):
            around = np.zeros(shape, np.float32)
            out = around.swapaxes(0, 1) if part is None else around[part]
            self.assertIs(self.layer(out=out), out)
            self.assert_same_bits(out, want)
            self.assertEqual(np.count_nonzero(around), out.size)
        out = np.zeros((2, 16), np.float32)
        self.layer(self.x[:, :1], out=out[:, np.newaxis])
        self.assert_same_bits(out, self.layer(self.x[:, :1])[:, 0])

    def test_out_is_x_and_the_residual(self):
        norm = {"norm": "layer", "norm_gain": np.arange(16), "norm_shift": np.ones(16)}
        want, x = self.layer(residual=self.x, **norm), self.x.copy()
        self.assertIs(self.layer(x, residual=x, out=x, **norm), x)
        self.assert_same_bits(x, want)

    def test_the_same_bits_for_any_number_of_threads(self):
        rng = np.random.default_rng(5)
        x, heads = normal(rng, 2, 700, 96), {"num_heads": 6, "num_kv_heads": 3, "rope": "interleaved"}
        weights = random_weights(rng, 96, heads, 16, dim_output=200)
        want, got = (attn.self_attention(x, **weights, **heads, context=attn.Context(threads=threads))
                     for threads in (1, 3))
        self.assert_same_bits(got, want)
        self.assert_same_bits(attn.self_attention(x[1], **weights, **heads), want[1])

    def test_explain(self):
        plan = attn.explain_self(self.x, **self.weights, **self.heads)
        self.assertEqual((plan["path"], plan["engine"] in ("blas", "builtin")), ("tiled", True))
        rows = sum(len(self.weights[f"weight_{name}"]) for name in "qkv") + self.weights["weight_o"].shape[1]
        self.assertGreater(plan["scratch_bytes"], 2 * 12 * rows * 4)  # q, k, v and the heads' outputs
        alone = attn.explain_self(self.x[:1], **self.weights, **self.heads, context=attn.Context(threads=1))
        self.assertLess(alone["scratch_bytes"], plan["scratch_bytes"])
        hidden = attn.explain_self(self.x, **self.weights, **self.heads, offset=-12)
        self.assertEqual((hidden["path"], hidden["tasks"]), ("empty", 0))
        with self.assertRaisesRegex(TypeError, "unexpected keyword argument 'layout'"):
            attn.explain_self(self.x, **self.weights, **self.heads, layout="BHSD")
        with self.assertRaisesRegex(ValueError, "^softcap: expected"):
            attn.explain_self(self.x, **self.weights, **self.heads, softcap=-1)

    def test_padding_is_never_read(self):
        lengths = {"kv_lengths": [5, 9], "query_lengths": [7, 3]}
        want, x = self.layer(**lengths), self.x.copy()
        x[0, 7:] = x[1, 9:] = np.nan
        self.assert_same_bits(self.layer(x, **lengths), want)
        self.assert_same_bits(want[0, 7:], np.zeros((5, 16), np.float32))

    def test_sizes_of_zero(self):
        for shape in ((0, 12, 16), (2, 0, 16), (0, 16)):
            output, lse = self.layer(np.zeros(shape, np.float32), return_lse=True)
            self.assertEqual((output.shape, lse.shape), (shape, (*shape[:-2], 4, shape[-2])))


class Refused(BindingTest):
    def refused(self, sentence, error=ValueError, x=np.zeros((2, 12, 16), np.float32), **options):
        """A layer with other options is refused; a tuple stands for an array of that shape."""
        arguments = {"num_heads": 4, "num_kv_heads": 2, "weight_q": (24, 16), "weight_k": (12, 16),
                     "weight_v": (10, 16), "weight_o": (30, 20), **options}
        given = {name: np.zeros(value, np.float32) if isinstance(value, tuple) else value
                 for name, value in arguments.items()}
        with self.assertRaisesRegex(error, f"^{sentence}"):
            attn.self_attention(x, **given)

    def test_weights(self):
        none = {"weight_q": None, "weight_k": None, "weight_v": None}
        self.refused(r"weight_q: expected the shape \(4 \* D, 16\), got \(25, 16\)", weight_q=(25, 16))
        self.refused(r"weight_q: expected the shape \(4 \* D, 16\), got \(16, 24\)", weight_q=(16, 24))
        self.refused(r"weight_q: expected the shape \(4 \* D, 16\), got \(0, 16\)", weight_q=(0, 16))
        self.refused(r"weight_k: expected the shape \(12, 16\), got \(24, 16\)", weight_k=(24, 16))
        self.refused(r"weight_v: expected the shape \(2 \* D, 16\), got \(5, 16\)", weight_v=(5, 16))
        self.refused(r"weight_o: expected the shape \(E_out, 20\), got \(20, 30\)", weight_o=(20, 30))
        self.refused(r"weight_o: expected the shape \(E_out, 20\), got \(0, 20\)", weight_o=(0, 20))
        self.refused(r"weight_qkv: expected the shape \(8 \* D, 16\), got \(46, 16\)", **none,
                     weight_qkv=(46, 16), weight_o=None)
        for rows in (47, 10):
            self.refused(rf"weight_qkv: expected the shape \(6 \* D \+ 10, 16\), got \({rows}, 16\)", **none,
                         weight_qkv=(rows, 16))
        self.refused(r"weight_o: expected the shape \(E_out, 4 \* Dv\), got \(20, 30\)", **none,
                     weight_qkv=(46, 16), weight_o=(20, 30))
        self.refused("weight_v: expected an array, as weight_qkv is not given, got None", weight_v=None)
        self.refused("weight_q: expected None, as weight_qkv is given, got an array", weight_qkv=(48, 16))
        self.refused("weight_q: expected float32, got float64; weight_q.astype", TypeError,
                     weight_q=np.zeros((24, 16)))

    def test_biases(self):
        self.refused(r"bias_q: expected the shape \(24,\), got \(12,\)", bias_q=(12,))
        self.refused(r"bias_o: expected the shape \(30,\), got \(20,\)", bias_o=(20,))
        self.refused("bias_qkv: expected None, as weight_qkv is not given, got an array", bias_qkv=(46,))
        self.refused("bias_o: expected None, as weight_o is not given", bias_o=(20,), weight_o=None)

    def test_x_and_heads(self):
        self.refused(r"x: expected the shape \(B, N, E\) or \(N, E\), E at least 1, got \(16,\)",
                     x=np.zeros(16, np.float32))
        self.refused("x: expected .*, E at least 1", x=np.zeros((3, 0), np.float32))
        self.refused("x: expected float32, got float64", TypeError, x=np.zeros((3, 16)))
        self.refused("num_heads: expected a multiple of num_kv_heads, 3, got 4", num_kv_heads=3)
        self.refused("num_heads: expected at least 1, got 0", num_heads=0)
        self.refused("num_kv_heads: expected at least 1, got -1", num_kv_heads=-1)
        self.refused("num_heads: expected a whole number, got float", TypeError, num_heads=4.0)

    def test_rope(self):
        self.refused("rope: expected one of None, 'half', 'interleaved', got 'neox'", rope="neox")
        self.refused("rope: expected 'half' or 'interleaved', as rope_dim is given", rope_dim=4)
        self.refused("rope_dim: expected an even number, got 3", rope="half", rope_dim=3)
        self.refused("rope_dim: expected an even number above 0, got 0", rope="half", rope_dim=0)
        self.refused("rope_dim: expected 0 to 6, got 8", rope="half", rope_dim=8)
        self.refused("rope_base: expected a number above 0, got 0", rope="half", rope_base=0)

    def test_options(self):
        self.refused(r"out: expected the shape \(2, 12, 30\), got \(2, 12, 16\)", out=(2, 12, 16))
        self.refused(r"residual: expected a shape that broadcasts to \(2, 12, 30\)", residual=(2, 12, 16))
        self.refused(r"norm_gain: expected the shape \(30,\)", norm_gain=(16,))
        self.refused("window: expected one, as centers or predict is given", centers=(12,))
        self.refused("window: expected at least -1", window=-2)
        self.refused("kv_lengths: expected 0 to 12, got 13", kv_lengths=13)
