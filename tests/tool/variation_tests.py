"""variation_tests.py - attn run: windows, masks, biases, lengths and all else that varies the formula.

SPDX-License-Identifier: BSD-3-Clause
"""
import os

import numpy as np

from harness import ToolTest, attention


def standard_slopes(heads):
    """ALiBi's, as its authors' code makes them."""
    if heads & (heads - 1) == 0:
        start = 2.0 ** -(2.0 ** -(np.log2(heads) - 3))
        return [start * start ** h for h in range(heads)]
    power = 2 ** int(np.log2(heads))
    return standard_slopes(power) + standard_slopes(2 * power)[0::2][:heads - power]


class Varied(ToolTest):
    """Queries, keys and values of some shape, and files and options that vary the formula on them."""

    def choose(self, batch=2, heads_q=4, heads_kv=2, len_q=9, len_k=13, dim=8, dim_v=6, rank=4):
        self.shape = (batch, heads_q, len_q, len_k)
        self.rank = rank
        shapes = (batch, heads_q, len_q, dim), (batch, heads_kv, len_k, dim), (batch, heads_kv, len_k, dim_v)
        self.x = tuple(self.normal(*shape[4 - rank:]) for shape in shapes)
        self.dim = dim
        self.output_shape = self.x[0].shape[:-1] + (dim_v,)

    def save_as(self, name, array):
        self.save(name, array)
        return name

    def broadcast_shape(self):
        """A shape that broadcasts to that of the scores."""
        shape = [length if self.random.random() < 0.6 else 1 for length in self.shape]
        return tuple(shape[self.random.integers(4):])

    def lengths(self, most):
        """A number for each batch entry, the type of the file's numbers chosen at random."""
        numbers = self.random.integers(0, most + 1, self.shape[0])
        return numbers, numbers.astype(self.random.choice(["<i4", "<i8", "<f4"]))

    # Each of these makes one variation: what it adds to the command line, and to the formula.

    def vary_causal(self):
        return ["--causal"], {"causal": True}

    def vary_offset(self):
        offset = int(self.random.integers(-self.shape[2], self.shape[3] + 1))
        return ["--offset", str(offset)], {"offset": offset}

    def vary_window(self):
        window = tuple(int(side) for side in self.random.integers(-1, 6, 2))
        return ["--window", "{},{}".format(*window)], {"window": window}

    def vary_wide_window(self):
        options, formula = self.vary_window()
        prefix = int(self.random.integers(0, 5))
        dilation = int(self.random.integers(1, 4))
        return (options + ["--window-prefix", str(prefix), "--window-dilation", str(dilation)],
                {"prefix": prefix, "dilation": dilation, **formula})

    def vary_mask(self):
        mask = self.random.random(self.broadcast_shape()) < 0.7
        file = mask.astype(self.random.choice(["|b1", "|u1"]))
        return ["--mask", self.save_as("mask.npy", file)], {"mask": mask}

    def vary_bias(self):
        bias = self.normal(*self.broadcast_shape())
        bias[self.random.random(bias.shape) < 0.2] = -np.inf
        return ["--bias", self.save_as("bias.npy", bias)], {"bias": bias}

    def vary_softcap(self):
        return ["--softcap", "0.75"], {"softcap": 0.75}

    def vary_scale(self):
        return ["--scale=-0.5"], {"scale": -0.5}

    def vary_alibi(self):
        return ["--alibi"], {"slopes": np.array(standard_slopes(self.shape[1]))}

    def vary_slopes(self):
        slopes = self.normal(self.shape[1])
        return ["--alibi-slopes", self.save_as("slopes.npy", slopes)], {"slopes": slopes}

    def vary_sinks(self):
        sinks = self.normal(self.shape[1])
        return ["--sinks", self.save_as("sinks.npy", sinks)], {"sinks": sinks}

    def vary_kv_lengths(self):
        numbers, file = self.lengths(self.shape[3])
        return ["--kv-lengths", self.save_as("kv.npy", file)], {"kv_lengths": numbers}

    def vary_query_lengths(self):
        numbers, file = self.lengths(self.shape[2])
        return ["--query-lengths", self.save_as("queries.npy", file)], {"query_lengths": numbers}

    def vary_centers(self):
        """Replaces any other window: the last option holds."""
        centers = self.random.uniform(-3, self.shape[3] + 3, self.shape[:3]).astype(np.float32)
        centers[..., 0] = 4  # the edges of its window are keys
        centers = centers[(0,) * (4 - self.rank)]
        options = ["--local-p", self.save_as("centers.npy", centers), "--window", "3,3", "--window-dilation", "1"]
        formula = {"centers": centers, "window": (3, 3), "dilation": 1}
        if self.random.random() < 0.5:
            return options + ["--sigma", "2.25"], {"sigma": 2.25, **formula}
        return options, formula

    def vary_score(self):
        if self.random.random() < 0.5:
            name, weight = "general", self.normal(self.dim, self.dim) / np.float32(self.dim)
        else:
            name, weight = "additive", self.normal(self.dim)
        return (["--score-function", name, "--score-weight", self.save_as("score.npy", weight)],
                {"score": {"score_function": name, "score_weight": weight}})

    def vary_norm(self):
        norm = {"norm": str(self.random.choice(["none", "l2", "rms", "layer"]))}
        options = ["--norm", norm["norm"]]
        if norm["norm"] != "none" and self.random.random() < 0.7:
            norm["epsilon"] = 0.125
            options.append("--norm-epsilon=0.125")
        for name, option, shape in (("gain", "--norm-gain", self.output_shape[-1:]),
                                    ("shift", "--norm-shift", self.output_shape[-1:]),
                                    ("residual", "--residual", self.output_shape)):
            if self.random.random() < 0.5:
                norm[name] = self.normal(*shape)
                options += [option, self.save_as(f"{name}.npy", norm[name])]
        return options, {"norm": norm}

    def choose_variations(self):
        """Some of all, but not those that exclude each other."""
        chosen = [name for name in self.NAMES if self.random.random() < 0.35]
        if "vary_alibi" in chosen and "vary_slopes" in chosen:
            chosen.remove("vary_alibi")
        chosen.sort(key="vary_centers".__eq__)  # which must be the last of the windows
        options, formula = [], {}
        for name in chosen:
            more, terms = getattr(self, name)()
            options += more
            formula.update(terms)
        return options, formula

    def verify(self, options, formula):
        """Checks all results and the scores at one of the stages."""
        stage = int(self.random.integers(3))
        self.check(*self.x, "--scores", "scores.npy", "--scores-stage", str(stage), *options, **formula)
        expected = attention(*self.x, **formula)
        self.check_files(("scores.npy", expected.scores[stage]), scores=expected.scores[stage])
        if "norm" in formula:  # which changes rows that see no key as well
            return
        empty = np.isneginf(expected.scores[2]).all(axis=-1)
        self.assertFalse(self.load("out.npy")[empty].tobytes().strip(b"\0"), "+0.0 where nothing is seen")


Varied.NAMES = [name for name in dir(Varied) if name.startswith("vary_")]


class Variations(Varied):
    def test_each_alone(self):
        for name in self.NAMES:
            for rank, heads_q, heads_kv in ((4, 4, 2), (4, 6, 1), (3, 3, 3), (2, 1, 1)):
                self.choose(rank=rank, batch=2 if rank == 4 else 1, heads_q=heads_q, heads_kv=heads_kv)
                with self.subTest(name, rank=rank):
                    self.verify(*getattr(self, name)())

    def test_random_combinations(self):
        for trial in range(120):
            rank = int(self.random.choice([2, 3, 4, 4]))
            group, heads_kv = (int(n) for n in self.random.integers(1, 4, 2))
            if rank == 2:
                group = heads_kv = 1
            self.choose(batch=int(self.random.integers(1, 4)) if rank == 4 else 1, heads_q=group * heads_kv,
                        heads_kv=heads_kv, len_q=int(self.random.integers(1, 80)), rank=rank,
                        len_k=int(self.random.integers(1, 300)), dim=int(self.random.integers(1, 20)))
            options, formula = self.choose_variations()
            with self.subTest(trial=trial, options=options, shape=self.shape):
                self.verify(options, formula)

    def test_no_keys(self):
        self.choose(len_k=0)
        for name in self.NAMES:
            with self.subTest(name):
                self.verify(*getattr(self, name)())

    def test_window_edges(self):
        self.choose(batch=1, heads_q=1, heads_kv=1, len_q=6, len_k=11)
        largest = 2**63 - 1
        for left, right in ((0, 0), (2, 0), (0, 2), (-1, 0), (0, -1), (-1, -1), (10, 10), (largest, 1), (1, largest),
                            (largest, largest)):
            for offset in (0, 5, -6, 11, -20, 2**62, -2**62):
                options = ["--window", f"{left},{right}", f"--offset={offset}"]
                with self.subTest(left=left, right=right, offset=offset):
                    self.verify(options, {"window": (left, right), "offset": offset})

    def test_slopes(self):
        """Bare slopes: all else in the scores is 0."""
        for heads in (1, 2, 3, 6, 8, 12, 20):
            self.save_inputs(*(np.zeros((heads, 2, 4), np.float32) for _ in range(3)))
            self.ok(*self.INPUTS, "--alibi", "--scores", "s.npy", "--scores-stage", "2")
            scores = self.load("s.npy")
            np.testing.assert_allclose(-scores[:, 0, 1], standard_slopes(heads), rtol=1e-6)
            np.testing.assert_array_equal(scores[:, [0, 1], [0, 1]], 0)

    def test_default_stage(self):
        self.choose()
        self.check(*self.x, "--softcap", "1", "--causal", "--scores", "s.npy", causal=True, softcap=1)
        self.check_files(("s.npy", attention(*self.x).scores[0]))

    def test_padding_is_not_read(self):
        self.choose()
        self.save("kv.npy", np.array([7, 0]))
        self.save("queries.npy", np.array([4, 9]))
        options = ["--kv-lengths", "kv.npy", "--query-lengths", "queries.npy"]
        lengths = {"kv_lengths": [7, 0], "query_lengths": [4, 9]}
        self.verify(options, lengths)
        clean = self.load("out.npy").tobytes()
        for x, ends in zip(self.x, ([4, 9], [7, 0], [7, 0])):
            for b, end in enumerate(ends):
                x[b, :, end:] = np.nan
        self.save_inputs(*self.x)
        self.ok(*self.INPUTS, *options, "-o", "out.npy")
        self.assertEqual(self.load("out.npy").tobytes(), clean)


class Prediction(Varied):
    def predict(self, matrix, vector, lengths):
        """Luong's centers, on keys of these lengths."""
        q, matrix, vector = (x.astype(np.float64) for x in (self.x[0], matrix, vector))
        energy = np.tanh(q @ matrix.T) @ vector
        return np.broadcast_to(lengths, (self.shape[0],))[:, None, None] / (1 + np.exp(-energy))

    def test_prediction(self):
        for rows, window, lengths in ((1, 2, None), (8, 3, None), (5, 6, [13, 4]), (70, 40, [90, 111])):
            self.choose(len_k=13 if lengths is None else max(lengths))
            options, formula = ["--window", f"{window},{window}"], {"window": (window, window)}
            if lengths is not None:
                self.save("kv.npy", np.array(lengths))
                options, formula = options + ["--kv-lengths", "kv.npy"], {"kv_lengths": lengths, **formula}
            edge = 0.0
            while edge < 1e-3:  # or rounding might move a window's edge to another key
                matrix, vector = self.normal(rows, 8) * 0.5, self.normal(rows) * 0.5
                centers = self.predict(matrix, vector, self.shape[3] if lengths is None else lengths)
                edge = np.abs(centers - np.round(centers)).min()
            self.save("matrix.npy", matrix)
            self.save("vector.npy", vector)
            options += ["--predict-w", "matrix.npy", "--predict-v", "vector.npy"]
            self.verify(options, {"centers": centers, **formula})
            self.verify([*options, "--sigma=1.5", "--causal", "--softcap=2"],
                        {"centers": centers, "sigma": 1.5, "causal": True, "softcap": 2, **formula})


class VariationErrors(Varied):
    def setUp(self):
        super().setUp()
        self.choose()
        self.save_inputs(*self.x)

    def refused(self, code, words, *options):
        self.error(code, words, *self.INPUTS, "-o", "out.npy", *options)
        self.assertFalse(os.path.exists(self.path("out.npy")))

    def test_command_line(self):
        for words, *options in (
                ("--window-prefix: expected --window beside it", "--window-prefix", "1"),
                ("--window-dilation: expected --window beside it", "--window-dilation", "1"),
                ("--alibi-slopes: expected no --alibi beside it", "--alibi", "--alibi-slopes", "x.npy"),
                ("--local-p: expected --window beside it", "--local-p", "x.npy"),
                ("--local-p: expected no --predict-w or --predict-v beside it", "--local-p", "x.npy", "--predict-v",
                 "x.npy", "--window=1,1"),
                ("--predict-w: expected --predict-v beside it", "--predict-w", "x.npy", "--window=1,1"),
                ("--predict-v: expected --predict-w beside it", "--predict-v", "x.npy", "--window=1,1"),
                ("--predict-w: expected --window beside it", "--predict-w", "x.npy", "--predict-v", "x.npy"),
                ("--sigma: expected --local-p or --predict-w beside it", "--sigma", "1", "--window=1,1"),
                ("--score-weight: expected --score-function general or additive beside it", "--score-weight", "x.npy"),
                ("--score-function: expected --score-weight beside it", "--score-function", "general"),
                ("--score-function: expected one of dot, general, additive, got 'x'", "--score-function", "x"),
                ("--norm-epsilon: expected --norm beside it", "--norm-epsilon", "1"),
                ("--norm: expected one of none, l2, rms, layer, got 'x'", "--norm", "x"),
                ("--scores-stage: expected --scores beside it", "--scores-stage", "0"),
                ("s.npy: expected a file of its own", "--scores", "s.npy", "--weights", "s.npy"),
                ("--alibi: expected no value", "--alibi=yes")):
            self.refused(2, words, *options)

    def test_numbers(self):
        for text in ("", "1", "1,", ",1", "1,2,3", "1,2,", "1;2", "1, 2", " 1,2", "1,2 ", "1.5,2", "-2,0", "0,-2",
                     "a,b", "9223372036854775808,0", "0,9223372036854775808", "1e2,1", "--causal"):
            self.refused(2, "--window: expected two whole numbers from -1 to 9223372036854775807, "
                         f"separated by a comma, got '{text}'", "--window", text)
        for text in ("-1", "", "x", "9223372036854775808"):
            self.refused(2, "--window-prefix: expected a whole number from 0 to", "--window=1,1", "--window-prefix",
                         text)
            self.refused(2, "--window-dilation: expected a whole number from 1 to", "--window=1,1",
                         "--window-dilation", text)
        self.refused(2, "--window-dilation: expected a whole number from 1 to", "--window=1,1", "--window-dilation=0")
        for text in ("3", "-1", "1.0", "", "all"):
            self.refused(2, f"--scores-stage: expected a whole number from 0 to 2, got '{text}'", "--scores", "s.npy",
                         "--scores-stage", text)
        for option in ("--softcap", "--sigma", "--norm-epsilon"):
            for text in ("0", "-1", "-0.0", "1e-50", "1e39", "nan", "inf", "", "1 "):
                self.refused(2, f"{option}: expected a finite number above 0, got '{text}'", option, text)

    def test_types(self):
        floats, flags, integers = "float32 ('<f4')", "bool ('|b1') or uint8 ('|u1')", "int32, int64 or float32"
        self.save("float.npy", self.normal(2))
        self.save("flag.npy", np.zeros(2, bool))
        self.save("double.npy", np.zeros(2))
        self.save("short.npy", np.zeros(2, np.int16))
        for option, wanted, names in (
                ("mask", flags, "float double short"), ("bias", floats, "flag double"),
                ("alibi-slopes", floats, "flag double"), ("sinks", floats, "flag short"),
                ("kv-lengths", integers, "flag double short"), ("query-lengths", integers, "flag double short")):
            for name in names.split():
                self.refused(3, f"{name}.npy: expected ", f"--{option}", f"{name}.npy")
                self.assertIn(wanted, self.run_tool(*self.INPUTS, f"--{option}", f"{name}.npy").stderr.decode())
            self.refused(3, "none.npy: cannot be opened", f"--{option}", "none.npy")
        for option in ("local-p", "predict-w", "predict-v"):
            beside = [f"--{name}=double.npy" for name in ("predict-w", "predict-v") if option in
                      ("predict-w", "predict-v") and name != option]
            self.refused(3, "double.npy: expected little-endian float32", "--window=1,1", f"--{option}", "double.npy",
                         *beside)

    def test_values(self):
        self.save("mask.npy", np.array([1, 0] * 6 + [2], np.uint8))
        self.refused(3, "mask.npy: expected 0 or 1 everywhere, got another number at index 12", "--mask", "mask.npy")
        for numbers in ([1, 2.5], [1, np.nan], [1, np.inf], [1, 1e30]):
            self.save("kv.npy", np.array(numbers, np.float32))
            self.refused(3, "kv.npy: expected a whole number everywhere, got another number at index 1",
                         "--kv-lengths", "kv.npy")
        for length in (-1, 14):  # the library's sentence
            self.save("kv.npy", np.array([13, length]))
            self.refused(4, "lengths_k: expected 0 to 13", "--kv-lengths", "kv.npy")
        self.save("centers.npy", self.normal(2, 4, 9))
        self.refused(4, "sigma: expected", "--local-p", "centers.npy", "--window=0,0")
        self.refused(4, "window_dilation: expected", "--local-p", "centers.npy", "--window=2,2", "--window-dilation=2")

    def test_shapes(self):
        for option, words, *shapes in (
                ("mask", "a shape that broadcasts to 2 x 4 x 9 x 13, got", (), (12,), (9, 1, 2), (13, 9), (2, 4, 9),
                 (3, 1, 1, 1), (1, 1, 1, 1, 13), (0,)),
                ("bias", "a shape that broadcasts to 2 x 4 x 9 x 13, got", (), (12,), (2, 1, 9, 12)),
                ("alibi-slopes", "one number for each query head: 4, got", (), (2,), (1, 4), (0,)),
                ("sinks", "one number for each query head: 4, got", (), (5,), (4, 1)),
                ("kv-lengths", "one number for each batch entry: 2, got", (), (3,), (2, 1)),
                ("query-lengths", "one number for each batch entry: 2, got", (), (1,), (1, 2)),
                ("residual", "the output's shape 2 x 4 x 9 x 6, got", (), (6,), (9, 6), (2, 4, 9, 8)),
                ("norm-gain", "one number for each column of the output: 6, got", (), (8,), (1, 6), (0,)),
                ("norm-shift", "one number for each column of the output: 6, got", (), (5,), (6, 1)),
                ("local-p", "one center for each query: 2 x 4 x 9, got", (), (9,), (4, 9), (2, 4, 9, 1), (2, 9, 4))):
            kind = {"mask": bool, "kv-lengths": int, "query-lengths": int}.get(option, np.float32)
            for shape in shapes:
                self.save("x.npy", np.zeros(shape, kind))
                self.refused(3, f"x.npy: expected {words}", f"--{option}", "x.npy",
                             *(["--window=1,1"] if option == "local-p" else []))
        for name, words, *shapes in (
                ("general", "a row and a column for each column of the query: 8 x 8, got", (), (8,), (8, 7), (7, 8)),
                ("additive", "one number for each column of the query: 8, got", (), (7,), (8, 8), (8, 1))):
            for shape in shapes:
                self.save("x.npy", np.zeros(shape, np.float32))
                self.refused(3, f"x.npy: expected {words}", "--score-function", name, "--score-weight", "x.npy")
        predict = ["--window=2,2", "--predict-w", "w.npy", "--predict-v", "v.npy"]
        for matrix, vector, words in (
                ((3, 7), (3,), "w.npy: expected as many columns as the query has: 3 x 8, got 3 x 7"),
                ((8,), (8,), "w.npy: expected as many columns"), ((), (1,), "w.npy: expected as many columns"),
                ((3, 8), (4,), "v.npy: expected one number for each row of --predict-w: 3, got 4"),
                ((3, 8), (3, 1), "v.npy: expected one number for each row")):
            self.save("w.npy", np.zeros(matrix, np.float32))
            self.save_inputs(*self.x)
            self.save("vector.npy", np.zeros(vector, np.float32))
            predict[-1] = "vector.npy"
            self.refused(3, words.replace("v.npy", "vector.npy"), *predict)
        self.save("w.npy", np.zeros((0, 8), np.float32))
        self.save("vector.npy", np.zeros(0, np.float32))
        self.refused(4, "predict_dim: expected", *predict)
