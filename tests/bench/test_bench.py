# test_bench.py - attn-bench: its rows and keys, its shapes and lists, and its error sentences; no time is judged.
# SPDX-License-Identifier: BSD-3-Clause
# usage: test_bench.py ATTN_BENCH
#        ATTN_BENCH_ONNXRUNTIME, if set, is where bench/rivals.sh has put ONNX Runtime
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

BENCH = sys.argv.pop(1)
PLOT = pathlib.Path(__file__).resolve().parents[2] / "bench" / "plot.py"
ALWAYS = {"shape", "batch", "heads_q", "heads_kv", "len_q", "len_k", "dim", "causal", "offset", "kv_layout", "engine", "how",
          "threads", "isa", "median_ms", "gflops", "fma_peak_gflops", "pairs_used", "pairs_taken", "probe_spread",
          "calls_per_repeat", "cpu", "blas", "blas_core", "version"}
# They may be null: nothing good on a noisy machine, no window, not memory-bound, no rival.
MAYBE = {"window_left", "window_right", "fraction_of_peak", "gbytes_per_s", "read_gbytes_per_s",
         "fraction_of_bandwidth", "ratio_to_unfused", "ratio_to_one_thread", "rss_growth_kib"}
DECODE = "1:4:1:1:2048:128:0"  # 2 MiB of keys and values


def run(*arguments, **settings):
    environment = dict(os.environ, **settings)
    return subprocess.run([BENCH, *arguments], capture_output=True, text=True, env=environment)


def bench(*arguments, **settings):
    """The table and the JSON rows of a smoke run."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows.json")
        result = run("--quick", "--max-seconds", "0.2", "--json", path, *arguments, **settings)
        assert result.returncode == 0, result
        with open(path) as file:
            return result.stdout, json.load(file)


class Rows(unittest.TestCase):
    def test_each_engine_has_a_row_with_every_key(self):
        table, rows = bench("--shapes", "T1", "--threads", "1")
        self.assertLessEqual({"auto", "builtin", "blas", "unfused"}, {row["engine"] for row in rows})
        for row in rows:
            self.assertLessEqual(ALWAYS | MAYBE, row.keys())
            self.assertEqual([key for key in ALWAYS if row[key] is None], [])
            self.assertGreater(row["median_ms"], 0)
            self.assertIn(f"\n{row['shape']}", table)

    def test_short_calls_are_timed_in_batches(self):
        _, rows = bench("--shapes", "T0", "--threads", "1", "--engine", "auto")
        self.assertGreater(rows[0]["calls_per_repeat"], 1)

    def test_memory_bound_rows_have_bandwidth_instead_of_the_peak(self):
        table, rows = bench("--shapes", DECODE + ",T1", "--threads", "1", "--engine", "auto")
        decode, tiny = rows
        for key in ("gbytes_per_s", "read_gbytes_per_s"):
            self.assertGreater(decode[key], 0)
            self.assertIsNone(tiny[key])
        self.assertIsNone(decode["fraction_of_peak"])
        self.assertIsNone(tiny["fraction_of_bandwidth"])
        self.assertIn(" GB/s", table)
        bytes_read = 2 * 4 * decode["heads_kv"] * decode["len_k"] * decode["dim"]
        self.assertAlmostEqual(decode["gbytes_per_s"] * decode["median_ms"] / (bytes_read * 1e-6), 1, places=3)

    def test_windows_and_offsets_reach_the_engines(self):
        _, rows = bench("--shapes", "2:4:2:40:70:16:1:9:-1:30,1:2:2:50:50:16:0:4:6", "--threads", "1,2")
        self.assertEqual({(row["window_left"], row["window_right"], row["offset"]) for row in rows},
                         {(9, None, 30), (4, 6, 0)})  # that the outputs agree is checked by the bench itself

    def test_heads_side_by_side_reach_the_engines(self):
        shape = "2:4:2:3:70:16:0"
        table, rows = bench("--shapes", shape, "--threads", "1,2", "--kv-layout", "bnhd", "--engine", "all")
        self.assertIn("\nkeys and values of (batch, length, heads, size)\n", table)
        self.assertEqual({row["kv_layout"] for row in rows}, {"bnhd"})
        self.assertEqual({row["engine"] for row in rows}, {"auto", "builtin", "blas", "unfused"})
        table, rows = bench("--shapes", shape, "--threads", "1", "--engine", "auto", "--kv-layout", "bhnd")
        self.assertNotIn("keys and values of", table)
        self.assertEqual({row["kv_layout"] for row in rows}, {"bhnd"})

    def test_flops_count_what_is_seen(self):
        _, rows = bench("--shapes", "1:2:2:50:50:16:1:3:-1", "--threads", "1", "--engine", "auto")
        seen = 1 + 2 + 3 + 47 * 4
        self.assertAlmostEqual(rows[0]["gflops"] * rows[0]["median_ms"] / (4 * 2 * 16 * seen * 1e-6), 1, places=3)

    def test_threads_rise_and_are_compared_with_one(self):
        _, rows = bench("--shapes", "T2", "--threads", "2,1", "--engine", "unfused,auto")
        self.assertEqual([(row["threads"], row["engine"]) for row in rows],
                         [(1, "auto"), (1, "unfused"), (2, "auto"), (2, "unfused")])
        for row in rows[:2]:
            self.assertIn(row["ratio_to_one_thread"], (None, 1))

    def test_patterns_of_names(self):
        _, rows = bench("--shapes", "T*,G12?", "--threads", "1", "--engine", "auto")
        self.assertEqual([row["shape"] for row in rows], ["T0", "T1", "T2", "G128"])


class Rivals(unittest.TestCase):
    """Each is a process of its own, and checked before it is timed."""

    def only(self, engine, shapes, *arguments, **settings):
        """The rows of this engine beside auto's, and the table's notes about it."""
        table, rows = bench("--shapes", shapes, "--threads", "1", "--max-seconds", "30", "--min-pairs", "1",
                            "--engine", "auto," + engine, *arguments, **settings)
        notes = [line for line in table.splitlines() if line.startswith(f"note: {engine}")]
        return [row for row in rows if row["engine"] == engine], notes

    def test_absent_ones_are_skipped_in_words(self):
        rows, notes = self.only("onnxruntime", "T1", "--onnxruntime", "/nowhere")
        self.assertEqual(rows, [])
        self.assertEqual(notes, ["note: onnxruntime: skipped: no libonnxruntime.so.1 in '/nowhere' or in its node_modules"])
        rows, notes = self.only("numpy", "T1", PATH="/nowhere")
        self.assertEqual((rows, notes), ([], ["note: numpy: skipped: no python3 with NumPy in PATH"]))

    def test_a_library_that_does_not_load_is_skipped_in_words(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "libonnxruntime.so.1").write_text("not a library")
            rows, notes = self.only("onnxruntime", "T1", "--onnxruntime", folder)
        self.assertEqual(rows, [])
        self.assertRegex(notes[0], r"^note: onnxruntime at T1, 1 thread\(s\): skipped: .*libonnxruntime.so.1")

    def fake_numpy(self, *lines, seconds="30"):
        """The notes about a python3 that has NumPy and then does as these lines of shell say."""
        with tempfile.TemporaryDirectory() as folder:
            fake = pathlib.Path(folder, "python3")
            fake.write_text("\n".join(["#!/bin/sh", "[ \"$2\" = 'import numpy' ] && exit 0", *lines, ""]))
            fake.chmod(0o755)
            rows, notes = self.only("numpy", "T1", "--max-seconds", seconds, PATH=folder + ":" + os.environ["PATH"])
        self.assertEqual(rows, [])
        return notes

    def test_a_wrong_output_is_not_timed(self):
        notes = self.fake_numpy("echo ready 0", "read -r _", "echo 0.5 0", "read -r _")
        self.assertEqual(notes[0], "note: numpy at T1, 1 thread(s): 0: its output differs by nan")

    def test_who_cannot_is_skipped_in_words(self):
        note = "note: numpy at T1, 1 thread(s): skipped: "
        self.assertEqual(self.fake_numpy(), [note + "its process ended"])
        self.assertEqual(self.fake_numpy("echo no time"), [note + "time"])
        self.assertEqual(self.fake_numpy("echo ready 0", "read -r _", "echo no time"), [note + "0: time"])
        self.assertEqual(self.fake_numpy("echo ready 0", "exec sleep 100", seconds="0.1"),
                         [note + "0: a call takes more than 1 s"])

    @unittest.skipUnless(importlib.util.find_spec("numpy"), "no NumPy")
    def test_numpy_says_every_rule(self):
        path = os.path.dirname(sys.executable) + ":" + os.environ["PATH"]
        rows, notes = self.only("numpy", "T1,1:4:2:30:50:8:1:-1:-1:20,2:2:2:40:40:8:0:3:5", PATH=path)
        self.assertEqual((len(rows), notes), (3, []))
        for row in rows:
            self.assertGreater(row["median_ms"], 0)
            self.assertIn("ratio_to_numpy", row)

    def test_blas_at_its_best(self):
        rows, notes = self.only("unfused-best", "T1,1:4:2:30:50:8:1:-1:-1:20", OPENBLAS_CORETYPE="Prescott")
        if notes:
            self.assertRegex(notes[0], "no kernels of BLAS are known to be better here than those it runs")
        else:
            self.assertEqual(len(rows), 2)
            self.assertNotEqual(rows[0]["how"], rows[0]["blas_core"])

    @unittest.skipUnless(os.environ.get("ATTN_BENCH_ONNXRUNTIME"), "no ATTN_BENCH_ONNXRUNTIME")
    def test_onnx_runtime_says_what_it_can(self):
        rows, notes = self.only("onnxruntime", "T1,1:4:2:1:50:8:0,1:4:2:40:40:8:1:6:-1,1:2:2:40:40:8:0:3:5")
        self.assertEqual([row["shape"] for row in rows], ["T1", "1:4:2:1:50:8:0", "1:4:2:40:40:8:1:6:-1"])
        self.assertRegex(rows[2]["how"], r"^\d+\.\d+\.\d+ GQA$")
        self.assertEqual(notes, ["note: onnxruntime at 1:2:2:40:40:8:0:3:5, 1 thread(s): skipped: "
                                 "no graph of it says this shape"])


class Plots(unittest.TestCase):
    def draw(self, folder, rows):
        path = pathlib.Path(folder, "rows.json")
        path.write_text(json.dumps(rows))
        subprocess.run([sys.executable, PLOT, folder, path], check=True, stdout=subprocess.DEVNULL)
        return {file.stem: xml.parse(file).getroot() for file in pathlib.Path(folder).glob("*.svg")}

    def test_each_kind_of_row_has_its_picture(self):
        _, rows = bench("--shapes", "T1,G128,G512,L128," + DECODE, "--threads", "1,2", "--engine", "auto,unfused")
        for row in rows:  # what a noisy machine may leave out
            row.update(ratio_to_one_thread=1.5, fraction_of_peak=None if row["gbytes_per_s"] else 0.5)
        with tempfile.TemporaryDirectory() as folder:
            pictures = self.draw(folder, rows)
        self.assertEqual(pictures.keys(), {"peak", "decode", "scaling", "growth"})
        for name, picture in pictures.items():
            texts = {node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")}
            self.assertIn("libattn", texts)
            self.assertEqual("unfused BLAS" in texts, name != "scaling")

    def test_what_has_no_number_is_a_dash(self):
        _, rows = bench("--shapes", "T1", "--threads", "1", "--engine", "auto")
        with tempfile.TemporaryDirectory() as folder:
            texts = [node.text for node in self.draw(folder, [dict(rows[0], fraction_of_peak=None)])["peak"].iter()]
        self.assertIn("–", texts)


class Words(unittest.TestCase):
    def refused(self, code, sentence, *arguments):
        result = run(*arguments)
        self.assertEqual((result.returncode, result.stdout), (code, ""))
        self.assertEqual(result.stderr, f"attn-bench: {sentence}\n")

    def test_shapes(self):
        usage = "is neither a known name nor B:Hq:Hkv:Nq:Nk:D:causal[:left:right[:offset]]"
        for wrong in ("S99", "1:2", "1:1:1:1:1:1:0:1", "1:1:1:1:1:1:0:1:1:1:1", "1:1:1:-1:1:1:0", "1:1:1:1:1:1:0:"):
            self.refused(2, f"--shapes: '{wrong}' {usage}", "--shapes", wrong)
        for wrong, sentence in (("1:1:1:0:1:1:0", "has a size of 0"),
                                ("1:3:2:1:1:1:0", "has query heads that are no multiple of its key heads"),
                                ("1:1:1:1:1:1:2", "must have causal 0 or 1"),
                                ("1:1:1:1:1:1:0:-2:0", "has a window below -1, which is unbounded"),
                                ("1:1:1:999999:999999:1:0", "is too large")):
            self.refused(2, f"--shapes: '{wrong}' {sentence}", "--shapes", wrong)
        self.refused(2, "--shapes: in '1:1:1:2:2:1:1:-1:-1:-5' no query sees a key", "--shapes", "1:1:1:2:2:1:1:-1:-1:-5")

    def test_other_options(self):
        self.refused(2, "--threads: expected numbers from 1 to 1024, got '0'", "--threads", "0")
        self.refused(2, "--engine: 'auto' is given twice", "--engine", "auto,all")
        self.refused(2, "--engine: expected auto, builtin, blas, unfused, unfused-best, onnxruntime, numpy or all, got 'x'",
                     "--engine", "x")
        self.refused(2, "--engine: 'numpy' needs auto, builtin, blas or unfused beside it, to be checked against",
                     "--engine", "numpy")
        self.refused(2, "--max-seconds: expected a number above 0, got 'x'", "--max-seconds", "x")
        self.refused(2, "--json needs a value", "--json")
        self.refused(2, "unknown option '--growth', see attn-bench --help", "--growth", "1")
        self.refused(3, "cannot write '/nowhere/x': No such file or directory", "--json", "/nowhere/x")

    def test_help_names_every_shape(self):
        text = run("--help").stdout
        for line in ("S9 +1:8:8:16384:16384:64:1:256:-1", "T0 +1:1:1:1:1:1:0", "L131072  "):
            self.assertRegex(text, "\n  " + line)


unittest.main(verbosity=2)
