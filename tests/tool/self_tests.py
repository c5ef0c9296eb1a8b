"""self_tests.py - attn self: the layer against the formula, and refusals of all that does not fit together.

SPDX-License-Identifier: BSD-3-Clause
"""
import json
import os
import re

import numpy as np

from harness import ToolTest, layer, visible
from variation_tests import Varied


class Layer(Varied):
    """A layer of some sizes in files, with or without each of its parts."""

    def choose_layer(self, batch=2, heads=4, heads_kv=2, length=9, dim_model=24, dim=8, dim_v=6, rank=3):
        self.shape = (batch, heads, length, length)
        self.rank = rank + 1  # that of the query, were it a file
        self.heads, self.dim = (heads, heads_kv), dim
        self.layer_x = self.normal(batch, length, dim_model)
        rows = {"q": heads * dim, "k": heads_kv * dim, "v": heads_kv * dim_v}
        self.weights = {letter: self.matrix(rows[letter], dim_model) for letter in "qkv"}
        self.biases = {}
        self.output_shape = (batch, length, heads * dim_v)[3 - rank:]

    def matrix(self, rows, columns):
        return self.normal(rows, columns) / np.float32(np.sqrt(columns))

    def add_projection(self, dim_output):
        self.weights["o"] = self.matrix(dim_output, self.output_shape[-1])
        self.output_shape = self.output_shape[:-1] + (dim_output,)

    def add_biases(self, letters):
        for letter in letters:
            self.biases[letter] = self.normal(len(self.weights[letter]))

    def save_layer(self, packed=False):
        """Saves it; returns the command line."""
        command = ["self", "-x", self.save_as("x.npy", self.layer_x[(0,) * (4 - self.rank)]), "--heads",
                   str(self.heads[0])]
        if self.heads[0] != self.heads[1]:
            command += ["--heads-kv", str(self.heads[1])]
        for kind, arrays in (("weight", self.weights), ("bias", self.biases)):
            arrays = dict(arrays)
            if packed and "q" in arrays:
                arrays["qkv"] = np.concatenate([arrays.pop(letter) for letter in "qkv"])
            for letters, array in arrays.items():
                command += [f"--{kind}-{letters}", self.save_as(f"{kind}-{letters}.npy", array)]
        return command

    def verify(self, options, formula, packed=False):
        """Checks all results, and the scores at one of the stages."""
        stage = int(self.random.integers(3))
        self.ok(*self.save_layer(packed), "-o", "out.npy", "--weights", "w.npy", "--lse", "l.npy", "--scores", "s.npy",
                "--scores-stage", str(stage), *options)
        formula = dict(formula)
        if formula.get("centers") is not None:
            formula["centers"] = formula["centers"].reshape(self.shape[:3])
        if "residual" in formula.get("norm", {}):
            formula["norm"] = dict(formula["norm"])
            formula["norm"]["residual"] = formula["norm"]["residual"].reshape(self.shape[0], self.shape[2], -1)
        expected = layer(self.layer_x, self.heads, self.weights, self.biases, **formula)
        drop = (0,) * (4 - self.rank)
        scores = expected.scores[2]
        self.check_files(("out.npy", expected.output[drop]), ("w.npy", expected.weights[drop]),
                         ("l.npy", expected.lse[drop]), ("s.npy", expected.scores[stage][drop]), scores=scores)


class Self(Layer):
    def test_parts(self):
        for packed in (False, True):
            for rank in (2, 3):
                for biases, dim_output in (("", None), ("qkv", None), ("", 7), ("qkvo", 24), ("o", 30)):
                    with self.subTest(packed=packed, rank=rank, biases=biases, dim_output=dim_output):
                        self.choose_layer(batch=2 if rank == 3 else 1, rank=rank, dim_v=6 if dim_output else 8)
                        if dim_output:
                            self.add_projection(dim_output)
                        self.add_biases(biases)
                        self.verify([], {}, packed)

    def test_single_biases(self):
        for letters in ("q", "k", "v", "qv"):
            self.choose_layer()
            self.add_biases(letters)
            self.verify([], {})

    def test_values_of_their_own_size(self):
        self.choose_layer(dim=8, dim_v=3)  # which only separate weights can tell
        self.verify([], {})

    def test_rope(self):
        self.choose_layer(dim_v=8)
        for kind in ("half", "interleaved"):
            for dim in (None, 2, 6, 8):
                for base, offset in ((None, 0), (500.0, 37), (None, -4)):
                    options, rope = ["--rope", kind, f"--offset={offset}"], {"kind": kind}
                    if dim is not None:
                        options, rope = options + ["--rope-dim", str(dim)], {"dim": dim, **rope}
                    if base is not None:
                        options, rope = options + ["--rope-base", str(base)], {"base": base, **rope}
                    with self.subTest(options=options):
                        self.verify(options, {"rope": rope, "offset": offset})
        self.verify(["--rope", "none"], {})

    def test_each_variation(self):
        for name in self.NAMES:
            for rank, heads, heads_kv in ((3, 4, 2), (3, 3, 3), (2, 4, 1)):
                self.choose_layer(batch=2 if rank == 3 else 1, rank=rank, heads=heads, heads_kv=heads_kv)
                self.add_projection(20)
                self.add_biases("qo")
                with self.subTest(name, rank=rank):
                    self.verify(*getattr(self, name)())

    def test_random_combinations(self):
        for trial in range(25):
            rank = int(self.random.choice([2, 3]))
            group, heads_kv, dim, dim_v = (int(n) for n in self.random.integers(1, 12, 4))
            packed = bool(self.random.random() < 0.5)
            self.choose_layer(batch=int(self.random.integers(1, 4)) if rank == 3 else 1, heads=group * heads_kv,
                              heads_kv=heads_kv, length=int(self.random.integers(1, 200)), rank=rank,
                              dim_model=int(self.random.integers(1, 300)), dim=2 * dim, dim_v=dim_v)
            if packed or self.random.random() < 0.5:
                self.add_projection(int(self.random.integers(1, 150)))
                self.add_biases("o" if self.random.random() < 0.5 else "")
            self.add_biases("qkv" if self.random.random() < 0.5 else "")
            options, formula = self.choose_variations()
            if self.random.random() < 0.5:
                kind = str(self.random.choice(["half", "interleaved"]))
                options, formula = options + ["--rope", kind], {"rope": {"kind": kind}, **formula}
            with self.subTest(trial=trial, options=options, shape=self.shape):
                self.verify(options, formula, packed)

    def test_padding_is_not_read(self):
        self.choose_layer()
        self.add_projection(24)
        self.save("lengths.npy", np.array([5, 0]))
        options = ["--kv-lengths", "lengths.npy", "--query-lengths", "lengths.npy"]
        self.verify(options, {"kv_lengths": [5, 0], "query_lengths": [5, 0]}, packed=True)
        clean = self.load("out.npy").tobytes()
        self.layer_x[0, 5:] = self.layer_x[1] = np.nan
        self.ok(*self.save_layer(packed=True), *options, "-o", "out.npy")
        self.assertEqual(self.load("out.npy").tobytes(), clean)

    def test_no_rows(self):
        for sizes in ({"length": 0}, {"batch": 0}):
            self.choose_layer(**sizes)
            self.add_projection(5)
            self.verify([], {})

    def test_same_bits(self):
        self.choose_layer(length=300, dim_model=200, dim=40, dim_v=40)
        self.add_projection(200)
        outputs = set()
        for threads in ("0", "1", "2", "5"):
            self.ok(*self.save_layer(packed=True), "--causal", "--threads", threads, "-o", "out.npy")
            outputs.add(self.load("out.npy").tobytes())
        self.assertEqual(len(outputs), 1)

    def test_report(self):
        self.choose_layer(length=400, dim_model=96, dim=32, dim_v=24)
        self.add_projection(80)
        isa, engine = (json.loads(self.ok("info", "--json"))[key] for key in ("isa", "engine"))
        report = self.ok(*self.save_layer(), "--threads", "2", "--window=50,0")
        self.assertIn(f"x        2 x 400 x 96\noutput   2 x 400 x 80\nengine   {engine}", report)
        self.assertIn(f"\nisa      {isa}\nthreads  2\n", report)
        seconds = float(re.search(r"^time     (\S+) s$", report, re.M).group(1))
        speed = float(re.search(r"^speed    (\S+) GFLOP/s$", report, re.M).group(1))
        pairs = int(np.sum(visible(self.shape, window=(50, 0))))
        flops = 2 * pairs * (32 + 24) + 2 * 2 * 400 * sum(weight.size for weight in self.weights.values())
        self.assertAlmostEqual(speed * 1e9 * seconds / flops, 1, delta=0.03)
        plan = re.search(r"^plan     tiled, tiles of \d+ x \d+, \d+ tasks, (\S+) KiB of scratch$", report, re.M)
        rows = sum(len(self.weights[name]) for name in "qkv") + self.weights["o"].shape[1]
        self.assertGreater(float(plan.group(1)) * 1024, 2 * 400 * rows * 4)  # q, k, v and the heads' outputs
        self.assertEqual(self.ok(*self.save_layer(), "--quiet"), "")

    def test_compare(self):
        self.choose_layer()
        command = self.save_layer()
        self.ok(*command, "-o", "out.npy", "--weights", "w.npy")
        report = self.ok(*command, "--compare", "out.npy", "--tolerance", "0", "--compare-weights", "w.npy",
                         "--weights-tolerance", "0")
        self.assertIn("error    0 (output", report)
        self.save("off.npy", self.load("out.npy") + np.float32(0.5))
        self.error(1, "off.npy: expected a maximum absolute error", *command, "--compare", "off.npy", "--tolerance",
                   "0.25")
        self.error(3, "y.npy: expected the result's shape 2 x 9 x 24, got", *command, "--compare",
                   self.save_as("y.npy", self.normal(2, 9, 23)))


class SelfErrors(Layer):
    def setUp(self):
        super().setUp()
        self.choose_layer()
        self.add_projection(20)
        self.add_biases("qkvo")

    def refused(self, code, words, *command):
        self.error(code, words, *command, "-o", "out.npy")
        self.assertFalse(os.path.exists(self.path("out.npy")))

    def test_command_line(self):
        command = self.save_layer(packed=True)
        self.refused(2, "self: expected -x and --heads", "self")
        self.refused(2, "self: expected -x and --heads", "self", "-x", "x.npy", "--weight-qkv", "w.npy")
        self.refused(2, "self: expected -x and --heads", "self", "--heads", "2", "--weight-qkv", "w.npy")
        parts = "self: expected --weight-qkv, or --weight-q, --weight-k and --weight-v"
        self.refused(2, parts, "self", "-x", "x.npy", "--heads", "2")
        self.refused(2, parts, "self", "-x", "x.npy", "--heads", "2", "--weight-q", "a", "--weight-k", "b")
        for letter in "qkv":
            for kind in ("weight", "bias"):
                self.refused(2, parts, *command, f"--{kind}-{letter}", "w.npy")
        bare = ["self", "-x", "x.npy", "--heads", "2"]
        packed = [*bare, "--weight-qkv", "w.npy"]
        self.refused(2, "--bias-qkv: expected --weight-qkv beside it", *bare, "--weight-q", "a", "--weight-k", "b",
                     "--weight-v", "c", "--bias-qkv", "d")
        self.refused(2, "--bias-o: expected --weight-o beside it", *packed, "--bias-o", "b.npy")
        self.refused(2, "--rope-dim: expected --rope beside it", *packed, "--rope-dim", "2")
        self.refused(2, "--rope-base: expected --rope beside it", *packed, "--rope-base", "2", "--rope", "none")
        self.refused(2, "--rope: expected one of none, half, interleaved, got 'neox'", *packed, "--rope", "neox")
        self.refused(2, "--window-prefix: expected --window beside it", *packed, "--window-prefix", "1")
        self.refused(2, "--tolerance: expected --compare beside it", *packed, "--tolerance", "1")
        self.refused(2, "'more': expected no further argument", *packed, "more")
        self.refused(2, "-q: no such option", *packed, "-q", "q.npy")
        for text in ("0", "-1", "1.5", "", "2147483648"):
            for option in ("--heads", "--heads-kv"):
                self.refused(2, f"{option}: expected a whole number from 1 to", *packed, option, text)
        for text in ("0", "1", "-2", ""):
            self.refused(2, "--rope-dim: expected a whole number from 2 to", *packed, "--rope=half", "--rope-dim", text)
        for text in ("0", "-1", "nan", "inf"):
            self.refused(2, "--rope-base: expected a finite number above 0", *packed, "--rope=half", "--rope-base", text)

    def test_files(self):
        command = self.save_layer()
        for name in [argument for argument in command if argument.endswith(".npy")]:
            with open(self.path(name), "rb") as file:
                whole = file.read()
            self.write(name, whole[:-1])
            self.refused(3, f"{name}: expected", *command)
            self.save(name, np.zeros((2, 2)))
            self.refused(3, f"{name}: expected little-endian float32", *command)
            os.remove(self.path(name))
            self.refused(3, f"{name}: cannot be opened", *command)
            self.write(name, whole)
        self.ok(*command)

    def test_shapes(self):
        """Weights and biases of a layer with E = 24, D = 8, Dv = 6, 4 heads over 2, output 20."""
        command = self.save_layer()
        for name, words, *shapes in (
                ("x", "2 or 3 dimensions, got", (), (9,), (1, 2, 9, 24)),
                ("weight-q", "2 dimensions, got", (), (32,), (1, 32, 24)),
                ("weight-q", "a multiple of 4 rows, got", (33, 24), (3, 24), (0, 24), (0, 0)),
                ("weight-q", "the shape 32 x 24, got", (32, 23), (32, 25), (32, 0)),
                ("weight-k", "2 dimensions, got", (16,), (2, 8, 24)),
                ("weight-k", "the shape 16 x 24, got", (15, 24), (17, 24), (32, 24), (0, 24), (16, 23), (24, 16)),
                ("weight-v", "a multiple of 2 rows, got", (13, 24), (1, 24), (0, 24)),
                ("weight-v", "the shape 12 x 24, got", (12, 23), (12, 0)),
                ("weight-o", "2 dimensions, got", (480,), ()),
                ("weight-o", "the shape 20 x 24, got", (20, 23), (20, 25), (20, 0), (20, 48)),
                ("weight-o", "at least 1 row, got 0", (0, 24)),
                ("bias-q", "one number for each row of its weight: 32, got", (), (31,), (33,), (32, 1), (0,)),
                ("bias-k", "one number for each row of its weight: 16, got", (), (15,), (1, 16)),
                ("bias-v", "one number for each row of its weight: 12, got", (), (11,)),
                ("bias-o", "one number for each row of its weight: 20, got", (), (24,), (19,))):
            whole = self.load(f"{name}.npy")
            for shape in shapes:
                with self.subTest(name=name, shape=shape):
                    self.save(f"{name}.npy", np.zeros(shape, np.float32))
                    self.refused(3, f"{name}.npy: expected {words}", *command)
            self.save(f"{name}.npy", whole)
        self.save("x.npy", np.zeros((2, 9, 23), np.float32))
        self.refused(3, "weight-q.npy: expected the shape 32 x 23, got 32 x 24", *command)

    def test_packed_shapes(self):
        command = self.save_layer(packed=True)
        alone = command[:7] + ["--weight-qkv", "weight-qkv.npy"]
        for name, words, *shapes in (
                ("weight-qkv", "2 dimensions, got", (), (60,), (3, 20, 24)),
                ("weight-qkv", "a multiple of 6 rows beside those of the value, got", (61, 24), (12, 24), (13, 24)),
                ("weight-qkv", "more than 2 x 6 rows, those of the value, got", (0, 24), (11, 24)),
                ("weight-qkv", "the shape 60 x 24, got", (60, 23), (60, 0)),
                ("weight-o", "a multiple of 4 columns, got", (20, 23), (20, 0), (20, 2)),
                ("weight-o", "at least 1 row, got 0", (0, 24)),
                ("bias-qkv", "one number for each row of its weight: 60, got", (), (59,), (60, 1), (0,))):
            whole = self.load(f"{name}.npy")
            for shape in shapes:
                with self.subTest(name=name, shape=shape):
                    self.save(f"{name}.npy", np.zeros(shape, np.float32))
                    self.refused(3, f"{name}.npy: expected {words}", *command)
            self.save(f"{name}.npy", whole)
        self.save("weight-o.npy", np.zeros((20, 28), np.float32))  # Dv 7 leaves 46 rows: no 6 times D
        self.refused(3, "weight-qkv.npy: expected a multiple of 6 rows beside those of the value, got 46", *command)
        self.refused(3, "weight-qkv.npy: expected a multiple of 8 rows, got 60", *alone)

    def test_heads(self):
        command = self.save_layer()
        for heads in ("5", "64", "2147483647"):
            self.refused(3, f"weight-q.npy: expected a multiple of {heads} rows, got 32", *command, "--heads", heads)
        self.refused(3, "weight-k.npy: expected the shape 8 x 24, got 16 x 24", *command, "--heads-kv", "1")
        self.refused(3, "a multiple of 2147483647 rows, got 12", *command, "--heads-kv", "2147483647")
        packed = self.save_layer(packed=True)
        most = ["--heads", "2147483647", "--heads-kv", "2147483647"]
        self.refused(3, "weight-o.npy: expected a multiple of 2147483647 columns, got 24", *packed, *most)
        self.refused(3, "weight-qkv.npy: expected a multiple of 6442450941 rows, got 60", *packed[:7], "--weight-qkv",
                     "weight-qkv.npy", *most)
        self.choose_layer(heads=3, heads_kv=2)
        self.refused(4, "heads_q: expected a multiple of heads_kv", *self.save_layer())  # the library's sentence
        self.choose_layer(dim_model=0)
        self.refused(4, "dim_model: expected", *self.save_layer())
        self.choose_layer()
        self.refused(4, "rope_dim: expected 0 to 8, got 10", *self.save_layer(), "--rope=half", "--rope-dim=10")
        self.refused(4, "rope_dim: expected an even number, got 3", *self.save_layer(), "--rope=half", "--rope-dim=3")
        self.choose_layer(dim=7)
        self.refused(4, "rope_dim: expected an even number, got 7", *self.save_layer(), "--rope=half")

    def test_variations(self):
        command = self.save_layer()
        for options, words in (
                (("--mask",), "a shape that broadcasts to 2 x 4 x 9 x 9, got"),
                (("--alibi-slopes",), "one number for each query head: 4, got"),
                (("--window=1,1", "--local-p"), "one center for each query: 2 x 4 x 9, got"),
                (("--residual",), "the output's shape 2 x 9 x 20, got"),
                (("--norm-gain",), "one number for each column of the output: 20, got"),
                (("--score-function=additive", "--score-weight"), "one number for each column of the query: 8, got"),
                (("--score-function=general", "--score-weight"),
                 "a row and a column for each column of the query: 8 x 8, got")):
            kind = bool if options == ("--mask",) else np.float32
            for shape in ((), (3,), (2, 7), (2, 4, 8), (2, 9, 20, 1)):
                self.save("y.npy", np.zeros(shape, kind))
                self.refused(3, f"y.npy: expected {words}", *command, *options, "y.npy")
