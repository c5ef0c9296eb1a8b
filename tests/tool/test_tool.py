#!/usr/bin/env python3
"""test_tool.py - the attn command from outside: python3 test_tool.py PATH/TO/attn [unittest options]

SPDX-License-Identifier: BSD-3-Clause
Exits with 77, which CTest takes for "skipped", where NumPy is missing.
"""
import json
import os
import re
import sys
import unittest

try:
    import numpy
except ImportError:
    print("skipped: needs NumPy")
    sys.exit(77)

sys.dont_write_bytecode = True
from harness import ToolTest
from file_tests import Files, Progress
from map_tests import Map
from people_tests import Bench, Colours, Completion, Json
from run_tests import Compare, Run, RunErrors
from self_tests import Self, SelfErrors
from variation_tests import Prediction, VariationErrors, Variations


class InfoAndHelp(ToolTest):
    def test_info(self):
        text = self.ok("info")
        fields = json.loads(self.ok("info", "--json"))
        self.assertEqual(set(fields), {"version", "cpu", "cpu_isa", "isa", "engine", "blas", "blas_flavor",
                                       "blas_core", "threads", "warning"})
        self.assertRegex(fields["version"], r"^\d+\.\d+\.\d+$")
        self.assertIn(fields["isa"], ("reference", "avx2", "avx512", "neon", "amx"))
        self.assertIn(fields["blas_flavor"], ("serial", "pthread", "openmp", "none"))
        for name in ("version", "cpu", "cpu_isa", "isa", "blas", "blas_core", "warning"):
            self.assertIn(fields[name], text)
        self.assertEqual("warning" in text, fields["warning"] != "")
        self.assertGreaterEqual(fields["threads"], 1)

    def test_info_options(self):
        fields = json.loads(self.ok("info", "--json", "--threads", "3", "--isa", "reference", "--engine", "builtin"))
        self.assertEqual((fields["threads"], fields["isa"], fields["engine"]), (3, "reference", "builtin"))
        self.assertEqual(json.loads(self.ok("info", "--json", env=dict(os.environ, ATTN_ISA="reference")))["isa"],
                         "reference")
        self.error(2, "--threads: expected a whole number", "info", "--threads", "two")
        self.error(2, "'x': expected no further argument", "info", "x")

    def test_help(self):
        main = self.ok("help")
        self.assertTrue(main.startswith("Usage: attn COMMAND"))
        for arguments in (("--help",), ("-h",), ("help", "--help")):
            self.assertEqual(self.ok(*arguments), main)
        for command in ("run", "self", "map", "info"):
            text = self.ok("help", command)
            self.assertTrue(text.startswith(f"Usage: attn {command} "))
            self.assertEqual(self.ok(command, "--help"), text)
            self.assertEqual(self.ok(command, "-h"), text)
            self.assertLessEqual(max(len(line) for line in text.splitlines()), 100)

    def test_every_option_is_explained(self):
        for command in ("run", "self", "map", "info"):
            for option in re.findall(r"^ +(?:-., )?(--[a-z-]+)", self.ok("help", command), re.M):
                result = self.run_tool(command, option)
                self.assertNotIn(b"no such option", result.stderr, (command, option))

    def test_version(self):
        version = json.loads(self.ok("info", "--json"))["version"]
        self.assertEqual(self.ok("--version"), f"attn {version}\n")

    def test_commands(self):
        self.error(2, "expected a command")
        self.error(2, "'rum': expected run, self, map, bench, info or help", "rum")
        self.error(2, "'rum': expected run, self, map, bench, info or help", "help", "rum")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("Usage: python3 test_tool.py PATH/TO/attn [unittest options]")
    ToolTest.tool = os.path.abspath(sys.argv.pop(1))
    unittest.main()
