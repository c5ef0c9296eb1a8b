"""people_tests.py - what the command does for those who type it: colours, JSON, completion, attn bench.

SPDX-License-Identifier: BSD-3-Clause
"""
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
import unittest

import numpy as np

from harness import OCR, ToolTest

COMPLETION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/completion")
PACKED = ("run", "--qkv", f"{OCR}/block1_qkv.npy")
ESCAPE = "\x1b["


def plain(text):
    """What a terminal shows of it."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x00", "", text)


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *command, cwd, **environment):
        self.seen = ""
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(cwd)
            os.execvpe(command[0], command, {**os.environ, "TERM": "vt100", "LC_ALL": "C.UTF-8", **environment})

    def type(self, text):
        os.write(self.terminal, text.encode())

    def wait(self, *words, seconds=30):
        """What it shows until all words are there, or it ends, or time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (words and all(word in plain(self.seen) for word in words)):
            if select.select([self.terminal], [], [], 0.2)[0]:
                try:
                    data = os.read(self.terminal, 65536)
                except OSError:  # it has ended
                    break
                if not data:
                    break
                self.seen += data.decode(errors="replace")
        return self.seen

    def close(self):
        os.close(self.terminal)
        try:
            os.kill(self.process, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.process, 0)


class Colours(ToolTest):
    def on_terminal(self, *arguments, **environment):
        terminal = Terminal(self.tool, *arguments, cwd=self.folder, **environment)
        self.addCleanup(terminal.close)
        return terminal.wait()

    def test_on_a_terminal_only(self):
        self.assertIn(f"{ESCAPE}1mExamples{ESCAPE}0m", self.on_terminal("run", "--help"))
        self.assertIn(f"{ESCAPE}1;31mattn:{ESCAPE}0m 'rum'", self.on_terminal("rum"))
        self.assertNotIn(ESCAPE, self.ok("run", "--help"))
        self.error(2, "'rum'", "rum")

    def test_not_against_the_wish_of_the_user(self):
        for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertIn("Examples", self.on_terminal("run", "--help", **environment))
            self.assertNotIn(ESCAPE, self.on_terminal("run", "--help", **environment))
        self.assertIn(ESCAPE, self.on_terminal("rum", NO_COLOR=""))


class Json(ToolTest):
    def test_run(self):
        fields = json.loads(self.ok(*PACKED, "--json", "--threads", "1", "--compare", f"{OCR}/block1_output.npy",
                                    "--compare-weights", f"{OCR}/block1_weights.npy"))
        for name in ("query", "key", "value", "output"):
            self.assertEqual(fields[name], [1, 8, 40, 15])
        self.assertEqual((fields["threads"], fields["path"]), (1, "tiled"))
        self.assertGreater(fields["seconds"], 0)
        self.assertGreater(fields["gflops"], 0)
        self.assertLess(fields["output_error"], 1e-5)
        self.assertLess(fields["weights_error"], 1e-5)

    def test_self(self):
        self.save("x.npy", self.normal(5, 8))
        self.save("w.npy", self.normal(24, 8))
        fields = json.loads(self.ok("self", "-x", "x.npy", "--heads", "2", "--weight-qkv", "w.npy", "--json"))
        self.assertEqual((fields["x"], fields["output"]), ([5, 8], [5, 8]))
        self.assertNotIn("output_error", fields)

    def test_it_is_whole_where_a_comparison_fails(self):
        self.save("wrong.npy", np.full((1, 8, 40, 15), np.inf, np.float32))
        with open(self.path("out.json"), "w", encoding="utf-8") as out:
            self.error(1, "expected a maximum absolute error", *PACKED, "--json", "--compare", "wrong.npy",
                       "--tolerance", "1", stdout=out)
        with open(self.path("out.json"), encoding="utf-8") as out:
            self.assertIsNone(json.load(out)["output_error"])

    def test_not_quiet(self):
        self.error(2, "--json: expected no --quiet", *PACKED, "--json", "--quiet")


class Bench(ToolTest):
    def test_it_is_attn_bench_beside_the_command(self):
        text = self.ok("bench", "--help")
        self.assertTrue(text.startswith("Usage: attn-bench"))
        self.assertEqual(self.ok("help", "bench"), text)
        self.assertEqual(self.run_tool("bench", "--isa", "mmx").returncode, 2)

    def test_it_draws(self):
        table = self.ok("bench", "--quick", "--max-seconds", "0.2", "--shapes", "T1", "--threads", "1", "--plot", "p")
        self.assertIn("peak.svg", table)
        with open(self.path("p/rows.json"), encoding="utf-8") as rows:
            self.assertEqual({row["shape"] for row in json.load(rows)}, {"T1"})
        with open(self.path("p/peak.svg"), encoding="utf-8") as picture:
            self.assertTrue(picture.read().startswith("<svg"))

    def test_where_it_is_not(self):
        alone = shutil.copy(self.tool, self.path("attn"))
        library = os.path.join(os.path.dirname(self.tool), "../src")
        environment = dict(os.environ, PATH=self.folder, LD_LIBRARY_PATH=library)
        result = subprocess.run([alone, "bench"], capture_output=True, text=True, env=environment, check=False)
        self.assertEqual((result.returncode, result.stderr),
                         (3, "attn: attn-bench: cannot be run: No such file or directory\n"))


class Completion(ToolTest):
    """Candidates for the last word of a command line."""

    def environment(self):
        return {"PATH": os.path.dirname(self.tool) + os.pathsep + os.environ["PATH"]}

    def options(self, *command):
        rows = re.findall(r"^ {2,6}(-.*?)(?:  |$)", self.ok(*command, "--help"), re.M)
        return set(re.findall(r"--[a-z-]+", " ".join(rows))) | {"--help"}

    def bash(self, *words):
        script = f'. {COMPLETION}/attn.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _attn; ' \
                 'printf "%s\\n" "${COMPREPLY[@]}"'
        return set(subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True,
                                  cwd=self.folder, env=dict(os.environ, **self.environment())).stdout.split())

    @unittest.skipUnless(shutil.which("bash"), "no bash")
    def test_bash(self):
        self.write("weights.npy", b"")
        commands = {"run", "self", "map", "bench", "info", "help"}
        self.assertEqual(self.bash("attn", ""), commands | {"--help", "--version"})
        self.assertEqual(self.bash("attn", "help", "ma"), {"map"})
        for command in ("run", "self", "map", "info", "bench"):
            self.assertEqual(self.bash("attn", command, "--"), self.options(command), command)
        self.assertEqual(self.bash("attn-bench", "--pl"), {"--plot"})
        self.assertEqual(self.bash("attn", "run", "-q", "x", "--norm", ""), {"none", "l2", "rms", "layer"})
        self.assertEqual(self.bash("attn", "run", "--engine", "=", "b"), {"blas", "builtin"})
        self.assertEqual(self.bash("attn", "run", "--threads", ""), set())
        for words in (["map", "w"], ["run", "-q", "w"], ["run", "--alibi", "w"]):
            self.assertEqual(self.bash("attn", *words), {"weights.npy"}, words)

    @unittest.skipUnless(shutil.which("zsh"), "no zsh")
    def test_zsh(self):
        self.write("weights.npy", b"")
        shell = Terminal("zsh", "-f", "-i", cwd=self.folder, **self.environment())
        self.addCleanup(shell.close)
        shell.type(f"fpath=({COMPLETION} $fpath); autoload -U compinit; compinit -u -D; print rea''dy\n")
        self.assertIn("ready\r", shell.wait("ready\r"))
        for line, expected in (("attn \t", ["map", "draws attention weights"]), ("attn help ma", ["help map"]),
                               ("attn run --norm \t", ["rms", "layer"]), ("attn run --soft", ["--softcap="]),
                               ("attn run -q w", ["weights.npy"]), ("attn-bench --isa re", ["reference"]),
                               ("attn bench --pl", ["--plot="]), ("attn self --bias-k=w", ["weights.npy"])):
            shell.seen = ""
            shell.type(line + "\t")
            shown = plain(shell.wait(*expected))
            for word in expected:
                self.assertIn(word, shown, line)
            shell.type("\x15")
