#!/usr/bin/env python3
"""test_python.py - the Python binding: test_python.py [unittest options]

SPDX-License-Identifier: BSD-3-Clause
The library is that of ATTN_LIBRARY. Exits with 77, which CTest takes for "skipped", where NumPy is missing.
"""
import pathlib
import sys
import unittest

try:
    import numpy
except ImportError:
    print("skipped: needs NumPy")
    sys.exit(77)

sys.dont_write_bytecode = True
sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "bindings" / "python"))
MODULES = ("array_tests", "attention_tests", "error_tests", "house_tests", "other_tests", "packed_tests",
           "runner_tests", "self_tests")

if __name__ == "__main__":
    unittest.main(module=None, argv=[sys.argv[0]] + (sys.argv[1:] or list(MODULES)))
