# format.py - every C and C++ file is as clang-format 14 would write it.
# SPDX-License-Identifier: BSD-3-Clause
import shutil
import subprocess
import sys

from source import ROOT, files, skip

tool = shutil.which("clang-format-14") or shutil.which("clang-format") or skip("no clang-format")
version = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout
if "version 14." not in version:
    skip("clang-format is not version 14, and others write differently: " + version.strip())
sys.exit(subprocess.run([tool, "--dry-run", "-Werror", *files(endings=(".c", ".h", ".cpp", ".hpp"))], cwd=ROOT).returncode)
