"""run_tests.py - attn run: results, comparisons, refusals.

SPDX-License-Identifier: BSD-3-Clause
"""
import json
import os
import re

import numpy as np

from harness import OCR, ToolTest, attention, visible


class Run(ToolTest):
    def test_textbook(self):
        x = np.array([[1, 2, 3, 4]], np.float32)
        self.save_inputs(x, x, x)
        self.ok(*self.INPUTS, "-o", "out.npy")
        self.assertEqual(self.load("out.npy").tolist(), [[1, 2, 3, 4]])

    def test_shapes(self):
        self.check(self.normal(5, 8), self.normal(7, 8), self.normal(7, 8))
        self.check(self.normal(3, 5, 8), self.normal(3, 7, 8), self.normal(3, 7, 8))
        self.check(self.normal(2, 3, 65, 15), self.normal(2, 3, 130, 15), self.normal(2, 3, 130, 15))
        self.check(self.normal(2, 3, 5, 8), self.normal(2, 3, 7, 8), self.normal(2, 3, 7, 11))
        self.check(self.normal(2, 6, 5, 8), self.normal(2, 2, 7, 8), self.normal(2, 2, 7, 3))
        self.check(self.normal(6, 5, 8), self.normal(1, 7, 8), self.normal(1, 7, 3))

    def test_packed(self):
        for shape in ((3, 9, 8), (3, 4, 9, 8), (3, 2, 4, 9, 8)):
            qkv = self.normal(*shape)
            self.save("qkv.npy", qkv)
            self.ok("run", "--qkv", "qkv.npy", "--output=out.npy", "--weights", "w.npy", "--lse", "l.npy")
            expected = attention(*qkv)
            self.check_files(("out.npy", expected.output), ("w.npy", expected.weights), ("l.npy", expected.lse))

    def test_scale(self):
        x = [self.normal(2, 9, 16) for _ in range(3)]
        for scale in ("1", "0", "-0.5", "+2.5e-1", "0x1p-3"):
            value = float.fromhex(scale) if "x" in scale else float(scale)
            self.check(*x, "--scale", scale, scale=value)
        self.check(*x, "--scale=-1", scale=-1)

    def test_causal(self):
        x = self.normal(2, 9, 16), self.normal(2, 13, 16), self.normal(2, 13, 16)
        self.check(*x, "--causal", causal=True)
        for offset in (0, 4, -3, -9, 20, 2**63 - 1, -(2**63)):
            self.check(*x, "--causal", "--offset", str(offset), causal=True, offset=offset)

    def test_same_bits(self):
        self.save("qkv.npy", self.normal(3, 2, 4, 150, 24))
        outputs = []
        for threads in ("0", "1", "2", "3", "7"):
            self.ok("run", "--qkv", "qkv.npy", "-o", "out.npy", "--threads", threads)
            outputs.append(self.load("out.npy").tobytes())
        self.assertEqual(len(set(outputs)), 1)

    def test_instruction_sets_and_engines(self):
        x = [self.normal(3, 40, 20) for _ in range(3)]
        info = json.loads(self.ok("info", "--json"))
        self.assertIn("isa      " + info["isa"], self.check(*x, "--isa", "auto"))
        self.assertIn("isa      reference", self.check(*x, "--isa", "reference"))
        for isa in ("avx2", "avx512", "amx"):
            self.check(*x, "--isa", isa)  # a cap: no error where the CPU has less
        for engine in ("builtin",) if info["blas"] == "none" else ("blas", "builtin"):
            self.assertIn(f"engine   {engine}", self.check(*x, "--engine", engine))

    def test_report(self):
        self.save_inputs(self.normal(2, 4, 700, 32), self.normal(2, 2, 900, 32), self.normal(2, 2, 900, 40))
        self.save("kv.npy", np.array([900, 611]))
        self.save("queries.npy", np.array([402, 700]))
        lengths = {"kv_lengths": [900, 611], "query_lengths": [402, 700]}
        with_lengths = ["--kv-lengths", "kv.npy", "--query-lengths", "queries.npy"]
        cases = [([], {}), (with_lengths, lengths)]
        for offset in (0, 37, -650, 850):
            cases.append((["--causal", f"--offset={offset}"], {"causal": True, "offset": offset}))
        for window in ((300, 200), (-1, 30), (90, -1), (-1, -1)):
            for offset in (0, 500, -300):
                options = ["--window={},{}".format(*window), f"--offset={offset}", *with_lengths]
                rules = {"window": window, "offset": offset, **lengths}
                cases.append((options, rules))
                cases.append((options + ["--window-prefix=250"], {"prefix": 250, **rules}))
                cases.append((options + ["--window-dilation=3", "--causal", "--window-prefix=170"],
                              {"dilation": 3, "causal": True, "prefix": 170, **rules}))
        for options, rules in cases:
            report = self.ok(*self.INPUTS, "--threads", "2", *options)
            self.assertIn("query    2 x 4 x 700 x 32\nkey      2 x 2 x 900 x 32\n"
                          "value    2 x 2 x 900 x 40\noutput   2 x 4 x 700 x 40\n", report)
            self.assertRegex(report, r"\nthreads  2\nplan     tiled, tiles of \d+ x \d+, \d+ tasks, \d+.\d KiB")
            pairs = int(np.sum(visible((2, 1, 700, 900), **rules)))
            seconds = float(re.search(r"^time     (\S+) s$", report, re.M).group(1))
            speed = float(re.search(r"^speed    (\S+) GFLOP/s$", report, re.M).group(1))
            flops = 2 * 4 * pairs * (32 + 40)  # 2 x heads x pairs of all entries x (D + Dv)
            self.assertAlmostEqual(speed * 1e9 * seconds / flops, 1, delta=0.03, msg=options)
        self.assertEqual(self.ok(*self.INPUTS, "--quiet"), "")

    def test_empty_arrays(self):
        full = [(2, 4, 5, 8), (2, 4, 7, 8), (2, 4, 7, 6)]
        for changes in ({0: 0}, {1: 0}):  # batch, heads: of all three
            shapes = [tuple(changes.get(axis, n) for axis, n in enumerate(shape)) for shape in full]
            self.check(*(self.normal(*shape) for shape in shapes))
        self.check(self.normal(2, 4, 0, 8), self.normal(*full[1]), self.normal(*full[2]))
        self.check(self.normal(*full[0]), self.normal(2, 4, 0, 8), self.normal(2, 4, 0, 6))
        self.check(self.normal(*full[0]), self.normal(*full[1]), self.normal(2, 4, 7, 0))
        self.check(self.normal(*full[0]), self.normal(2, 4, 0, 8), self.normal(2, 4, 0, 0))
        self.save("none.npy", self.normal(0))
        self.save("residual.npy", self.normal(2, 4, 5, 0))
        self.check(self.normal(*full[0]), self.normal(*full[1]), self.normal(2, 4, 7, 0), "--norm=layer", "--norm-gain",
                   "none.npy", "--norm-shift", "none.npy", "--residual", "residual.npy")
        self.save_inputs(self.normal(5, 0), self.normal(7, 0), self.normal(7, 3))
        self.error(4, "dim", *self.INPUTS)
        self.save_inputs(self.normal(2, 4, 5, 8), self.normal(2, 0, 7, 8), self.normal(2, 0, 7, 8))
        self.error(3, "k.npy: expected at least 1 head, got 0", *self.INPUTS)

    def test_npy_versions(self):
        x = self.normal(4, 5)
        for version in ((1, 0), (2, 0), (3, 0)):
            with open(self.path("x.npy"), "wb") as file:
                np.lib.format.write_array(file, x, version=version)
            self.ok("run", "-q", "x.npy", "-k", "x.npy", "-v", "x.npy", "-o", "out.npy")
            np.testing.assert_allclose(self.load("out.npy"), attention(x, x, x).output, rtol=1e-5, atol=1e-6)

    def test_ocr(self):
        for block in ("block1", "block2"):
            file = {name: os.path.join(OCR, f"{block}_{name}.npy") for name in ("qkv", "output", "weights")}
            report = self.ok("run", "--qkv", file["qkv"], "--compare", file["output"], "--tolerance", "2e-6",
                             "--compare-weights", file["weights"], "--weights-tolerance", "2e-6")
            self.assertEqual(len(re.findall(r"^error    \S+ \((output|weights), ", report, re.M)), 2)
            self.ok("run", "--qkv", file["qkv"], "-o", "out.npy", "--weights", "w.npy")
            np.testing.assert_allclose(self.load("out.npy"), np.load(file["output"]), rtol=0, atol=2e-6)
            np.testing.assert_allclose(self.load("w.npy"), np.load(file["weights"]), rtol=0, atol=2e-6)


class Compare(ToolTest):
    def setUp(self):
        super().setUp()
        self.save("qkv.npy", self.normal(3, 4, 9, 8))
        self.ok("run", "--qkv", "qkv.npy", "-o", "out.npy", "--weights", "w.npy")

    RUN = ("run", "--qkv", "qkv.npy")

    def test_pass_and_fail(self):
        self.assertIn("error    0 (output", self.ok(*self.RUN, "--compare", "out.npy", "--tolerance", "0"))
        off = self.load("out.npy")
        off[2, 3, 4] += 0.25
        self.save("off.npy", off)
        self.assertIn("error    0.25 (output", self.ok(*self.RUN, "--compare", "off.npy"))
        self.ok(*self.RUN, "--compare", "off.npy", "--tolerance", "0.2501")
        words = "off.npy: expected a maximum absolute error of at most 0.2499, got 0.25"
        report = self.error(1, words, *self.RUN, "--compare", "off.npy", "--tolerance", "0.2499", "-o", "new.npy")
        self.assertIn("error    0.25 (output", report)
        self.assertTrue(os.path.exists(self.path("new.npy")))  # to look at
        self.assertEqual(self.error(1, words, *self.RUN, "--quiet", "--compare", "off.npy", "--tolerance",
                                    "0.2499"), "")

    def test_weights(self):
        self.ok(*self.RUN, "--compare-weights", "w.npy", "--weights-tolerance", "0")
        off = self.load("w.npy") * np.float32(1.5)
        self.save("off.npy", off)
        report = self.error(1, "off.npy: expected a maximum", *self.RUN, "--compare", "out.npy", "--tolerance",
                            "0", "--compare-weights", "off.npy", "--weights-tolerance", "1e-3")
        self.assertIn("(weights, maximum absolute)", report)

    def test_not_finite(self):
        for value in (np.nan, np.inf):
            off = self.load("out.npy")
            off[0, 0, 0] = value
            self.save("off.npy", off)
            self.error(1, "got inf", *self.RUN, "--compare", "off.npy", "--tolerance", "1e30")
        qkv = self.load("qkv.npy")
        qkv[2] = np.nan
        self.save("nan.npy", qkv)
        self.save("expected.npy", np.full((4, 9, 8), np.nan, np.float32))
        self.ok("run", "--qkv", "nan.npy", "--compare", "expected.npy", "--tolerance", "0")

    def test_wrong_shape(self):
        self.save("flat.npy", self.normal(4, 9, 7))
        self.error(3, "flat.npy: expected the result's shape 4 x 9 x 8, got 4 x 9 x 7", *self.RUN, "--compare",
                   "flat.npy", "-o", "new.npy")
        self.assertFalse(os.path.exists(self.path("new.npy")))
        self.error(3, "flat.npy: expected the result's shape 4 x 9 x 9", *self.RUN, "--compare-weights", "flat.npy")
        self.error(3, "none.npy: cannot be opened", *self.RUN, "--compare", "none.npy")


class RunErrors(ToolTest):
    def setUp(self):
        super().setUp()
        self.save_inputs(*(self.normal(2, 5, 8) for _ in range(3)))

    def test_command_line(self):
        run = self.INPUTS
        for words, *arguments in (
                ("expected -q, -k and -v, or --qkv", "run"),
                ("expected -q, -k and -v, or --qkv", "run", "-q", "q.npy", "-k", "k.npy"),
                ("expected no -q, -k or -v", "run", "--qkv", "q.npy", "-v", "v.npy"),
                ("--nonsense: no such option", *run, "--nonsense"),
                ("-x: no such option", *run, "-x"),
                ("--sca: no such option", *run, "--sca", "1"),
                ("'more': expected no further argument", *run, "more"),
                ("'-o': expected no further argument", *run, "--", "-o"),
                ("-o: expected a value", *run, "-o"),
                ("--quiet: expected no value", *run, "--quiet=1"),
                ("--engine: expected one of auto, blas, builtin, got 'cuda'", *run, "--engine", "cuda"),
                ("--isa: expected one of auto, reference, avx2, avx512, neon, amx, got 'AVX2'", *run, "--isa", "AVX2"),
                ("--tolerance: expected --compare beside", *run, "--tolerance", "1"),
                ("--weights-tolerance: expected --compare-weights", *run, "--weights-tolerance", "1"),
                ("x.npy: expected a file of its own", *run, "-o", "x.npy", "--lse", "x.npy")):
            self.error(2, words, *arguments)

    def test_numbers(self):
        for text in ("", " 1", "1 ", "1x", "x", "nan", "inf", "-inf", "1e39", "-1e39", "1e999", "1,5", "--causal"):
            self.error(2, f"--scale: expected a finite number, got '{text}'", *self.INPUTS, "--scale", text)
        for text in ("", " 1", "1 ", "1.0", "1e2", "0x10", "-1", "1025", "99999999999999999999", "+", "-"):
            self.error(2, f"--threads: expected a whole number from 0 to 1024, got '{text}'", *self.INPUTS,
                       "--threads", text)
        for text in ("9223372036854775808", "-9223372036854775809", "1.5", ""):
            self.error(2, "--offset: expected a whole number", *self.INPUTS, "--causal", "--offset", text)
        for text in ("-1", "-1e-9", "nan", "inf"):
            self.error(2, "--tolerance: expected a finite number of at least 0", *self.INPUTS, "--compare",
                       "q.npy", "--tolerance", text)

    def test_shapes(self):
        for words, *shapes in (
                ("q.npy: expected 2, 3 or 4 dimensions, got 1", (5,), (5,), (5,)),
                ("q.npy: expected 2, 3 or 4 dimensions, got 5", *[(1, 1, 1, 5, 8)] * 3),
                ("k.npy: expected 3 dimensions, as the query has, got 2", (2, 5, 8), (5, 8), (2, 5, 8)),
                ("v.npy: expected 3 dimensions, as the query has, got 4", (2, 5, 8), (2, 5, 8), (1, 2, 5, 8)),
                ("k.npy: expected a batch of 2, got 3", (2, 1, 5, 8), (3, 1, 5, 8), (2, 1, 5, 8)),
                ("v.npy: expected a batch of 2, got 1", (2, 1, 5, 8), (2, 1, 5, 8), (1, 1, 5, 8)),
                ("k.npy: expected a head size of 8, got 9", (2, 5, 8), (2, 5, 9), (2, 5, 9)),
                ("v.npy: expected a number of heads of 1, got 2", (2, 5, 8), (1, 5, 8), (2, 5, 8)),
                ("v.npy: expected a length of 6, got 7", (2, 5, 8), (2, 6, 8), (2, 7, 8))):
            self.save_inputs(*(self.normal(*shape) for shape in shapes))
            self.error(3, words, *self.INPUTS)
        self.save_inputs(self.normal(3, 5, 8), self.normal(2, 5, 8), self.normal(2, 5, 8))
        self.error(4, "heads", *self.INPUTS, "-o", "out.npy")  # 3 is no multiple of 2: the library's sentence
        self.assertFalse(os.path.exists(self.path("out.npy")))
        for shape in ((2, 5, 8), (3, 8), (3, 1, 1, 1, 5, 8), (4, 5, 8)):
            self.save("qkv.npy", self.normal(*shape))
            self.error(3, "qkv.npy: expected 3 x", "run", "--qkv", "qkv.npy")

    def test_files(self):
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }\n"

        def file(shape, data=b"", version=1):
            text = header % shape
            return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + \
                text + data

        objects = np.array([1, "a"], object)
        with open(self.path("object.npy"), "wb") as stream:
            np.lib.format.write_array(stream, objects)
        for name, array in (("double", np.zeros((2, 3))), ("big", np.zeros((2, 3), ">f4")),
                            ("half", np.zeros((2, 3), "<f2")), ("fields", np.zeros(3, "<f4,<f4")),
                            ("fortran", np.asfortranarray(self.normal(2, 3)))):
            self.save(name + ".npy", array)
        self.write("empty.npy", b"")
        self.write("text.npy", b"1 2 3\n")
        self.write("negative.npy", file(b"-1, 3"))
        self.write("huge.npy", file(b"9223372036854775807, 9223372036854775807"))
        self.write("wrap.npy", file(b"4611686018427387904, 4"))
        self.write("large.npy", file(b"1099511627776, 64"))
        self.write("short.npy", file(b"2, 3", bytes(23)))
        self.write("long.npy", file(b"2, 3", bytes(25)))
        self.write("header.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{")
        os.mkdir(self.path("folder.npy"))
        os.mkfifo(self.path("pipe.npy"))
        for name, words in (
                ("none", "No such file"), ("folder", "regular file"), ("pipe", "regular file"), ("empty", "signature"),
                ("text", "signature"), ("object", "got '|O'"), ("double", "got '<f8'"), ("big", "got '>f4'"),
                ("half", "got '<f2'"), ("fields", "structured"), ("fortran", "Fortran order"),
                ("negative", "negative"), ("huge", "than can be counted"), ("wrap", "than can be counted"),
                ("large", "expected 281474976710656 bytes of numbers"), ("short", "expected 24 bytes of numbers"),
                ("long", "got 25"), ("header", "ends inside its header")):
            for option in ("-q", "-k", "-v"):
                arguments = [f"{name}.npy" if previous == option else argument
                             for previous, argument in zip(("",) + self.INPUTS, self.INPUTS)]
                self.error(3, words, *arguments, "-o", "out.npy")
            self.error(3, f"{name}.npy: ", "run", "--qkv", f"{name}.npy")
            self.error(3, f"{name}.npy: ", "map", f"{name}.npy", "-o", "out.svg")
        self.assertFalse(os.path.exists(self.path("out.npy")))
        self.error(3, "a?b", "run", "--qkv", "a\nb")

    def test_library_refusal(self):
        environment = dict(os.environ, ATTN_ISA="sse9")
        self.error(4, "ATTN_ISA", *self.INPUTS, env=environment)
        self.error(4, "ATTN_ISA", "info", env=environment)
