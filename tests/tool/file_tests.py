"""file_tests.py - attn run: files that appear whole or not at all, and the progress bar.

SPDX-License-Identifier: BSD-3-Clause
"""
import contextlib
import os
import pty
import re
import resource
import signal
import stat
import subprocess
import time

import numpy as np

from harness import ToolTest


class Files(ToolTest):
    def setUp(self):
        super().setUp()
        self.save("qkv.npy", self.normal(3, 64, 64, 16))

    RUN = ("run", "--qkv", "qkv.npy", "--quiet")

    def test_devices(self):
        self.error(3, "/dev/full: cannot be written: No space left", *self.RUN, "-o", "/dev/full")
        self.error(3, "/dev/full: cannot be written: No space left", *self.RUN, "--weights", "/dev/full")
        self.ok(*self.RUN, "-o", "/dev/null")
        self.ok(*self.RUN, "-o", "out.npy")
        with open(self.path("out.npy"), "rb") as file:
            expected = file.read()
        self.assertEqual(self.run_tool(*self.RUN, "-o", "/dev/stdout").stdout, expected)  # a pipe
        with open(self.path("redirected.npy"), "wb") as file:
            self.ok(*self.RUN, "-o", "/dev/stdout", stdout=file)
        with open(self.path("redirected.npy"), "rb") as file:
            self.assertEqual(file.read(), expected)
        with open("/dev/full", "wb") as full:
            for arguments in (("info",), ("help",), ("--version",), ("run", "--qkv", "qkv.npy")):
                self.error(3, "standard output: cannot be written", *arguments, stdout=full)

    def test_replaced_whole_or_not_at_all(self):
        self.write("out.npy", b"old")
        for target in ("no/out.npy", ".", "out.npy/x"):
            self.error(3, "cannot be written", *self.RUN, "-o", target)
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        self.error(3, "out.npy: cannot be written: File too large", *self.RUN, "-o", "out.npy", preexec_fn=limit)
        with open(self.path("out.npy"), "rb") as file:
            self.assertEqual(file.read(), b"old")
        os.symlink("out.npy", self.path("link.npy"))
        self.ok(*self.RUN, "-o", "link.npy")
        self.assertTrue(os.path.islink(self.path("link.npy")))
        self.assertEqual(self.load("out.npy").shape, (64, 64, 16))

    def test_modes(self):
        self.ok(*self.RUN, "-o", "out.npy", preexec_fn=lambda: os.umask(0o027))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("out.npy")).st_mode), 0o640)
        if os.geteuid() == 0:
            self.skipTest("root may write everywhere")
        os.chmod(self.path("out.npy"), 0o444)
        self.error(3, "Permission denied", *self.RUN, "-o", "out.npy")

    def bytes_begun(self):
        """The size of the output that is being written under a name of its own, which may become the real one meanwhile."""
        size = 0
        for name in os.listdir(self.folder):
            if name.startswith(".attn"):
                with contextlib.suppress(FileNotFoundError):
                    size += os.stat(self.path(name)).st_size
        return size

    def test_interrupted(self):
        """An interrupt while the output is written leaves all of it or nothing."""
        self.save("q.npy", self.normal(4, 500000, 8))
        self.save("k.npy", self.normal(4, 1, 8))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = subprocess.Popen([self.tool, "run", "-q", "q.npy", "-k", "k.npy", "-v", "k.npy", "-o",
                                        "out.npy", "--quiet"], cwd=self.folder)
            while process.poll() is None and not os.path.exists(self.path("out.npy")):
                if self.bytes_begun() > 0:
                    break
                time.sleep(0.0005)
            process.send_signal(number)
            self.assertIn(process.wait(), (0, -number))
            self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".attn")], [])
            if os.path.exists(self.path("out.npy")):
                self.assertEqual(self.load("out.npy").shape, (4, 500000, 8))
                os.remove(self.path("out.npy"))


class Progress(ToolTest):
    def run_in_terminal(self, *arguments):
        """Runs it with a terminal as stderr; returns what came there."""
        master, slave = pty.openpty()
        process = subprocess.Popen([self.tool, *arguments], cwd=self.folder, stdout=subprocess.PIPE, stderr=slave)
        os.close(slave)
        text = b""
        try:
            while block := os.read(master, 4096):
                text += block
        except OSError:  # the other end is closed
            pass
        os.close(master)
        process.communicate()
        self.assertEqual(process.returncode, 0, text)
        return text.decode()

    def test_bar(self):
        self.save_inputs(self.normal(12, 4096, 64), self.normal(6, 4096, 64), self.normal(6, 4096, 64))
        slow = (*self.INPUTS, "--isa", "reference", "--threads", "1")
        text = self.run_in_terminal(*slow, "-o", "bar.npy", "--lse", "bar_l.npy")
        self.assertRegex(text, r"\r\[#+ *\] +\d+ %  \d+ s, \d+ s left ")
        self.assertTrue(text.endswith("\r\033[K"))
        parts = [int(part) for part in re.findall(r"(\d+) %", text)]
        self.assertEqual(parts, sorted(parts))
        self.ok(*slow, "-o", "plain.npy", "--lse", "plain_l.npy")  # nothing on a stderr that is a pipe
        for name in ("", "_l"):
            self.assertEqual(self.load(f"bar{name}.npy").tobytes(), self.load(f"plain{name}.npy").tobytes())

    def test_no_bar(self):
        self.save("qkv.npy", self.normal(3, 2, 50, 8))
        self.assertEqual(self.run_in_terminal("run", "--qkv", "qkv.npy"), "")

    def test_slices(self):
        """Work in slices, of heads or of batch entries, gives the same bits in all results."""
        for batch, heads_q, heads_kv, length, offset in ((2, 6, 3, 1280, 11), (41, 2, 1, 520, -7)):
            shape = (batch, heads_q, length, length)
            self.save_inputs(*(self.normal(batch, heads, length, 400) for heads in (heads_q, heads_kv, heads_kv)))
            self.save("mask.npy", self.random.random(shape) < 0.9)
            self.save("bias.npy", self.normal(batch, heads_q, 1, length))
            self.save("slopes.npy", self.normal(heads_q))
            self.save("sinks.npy", self.normal(heads_q))
            self.save("centers.npy", self.random.uniform(0, length, shape[:3]).astype(np.float32))
            for name in ("kv.npy", "queries.npy"):
                self.save(name, self.random.integers(length - 50, length + 1, batch))
            slow = (*self.INPUTS, "--isa", "reference", "--threads", "1", f"--offset={offset}", "--mask", "mask.npy",
                    "--bias", "bias.npy", "--alibi-slopes", "slopes.npy", "--sinks", "sinks.npy", "--kv-lengths",
                    "kv.npy", "--query-lengths", "queries.npy", "--local-p", "centers.npy", "--window=600,600",
                    "--residual", "q.npy")
            results = ("out.npy", "w.npy", "l.npy", "s.npy")
            slow += ("-o", "out.npy", "--weights", "w.npy", "--lse", "l.npy", "--scores", "s.npy")
            self.assertIn(" %  ", self.run_in_terminal(*slow))
            sliced = [self.load(name).tobytes() for name in results]
            self.ok(*slow)
            self.assertEqual([self.load(name).tobytes() == bits for name, bits in zip(results, sliced)], [True] * 4)
