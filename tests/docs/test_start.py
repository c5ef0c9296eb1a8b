#!/usr/bin/env python3
"""test_start.py - the quick starts as a reader follows them: test_start.py PREFIX PAGE...

SPDX-License-Identifier: BSD-3-Clause
Each page is followed in a folder of its own, in which `libattn` is the project and ~/attn the installed package. Its
programs (literalinclude) and CMake files are saved there; its sh blocks are run as they stand, after those of
index.md; and a text block is what they print.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
START = ROOT / "docs" / "start"
BLOCK = re.compile(r"^```(sh|cmake|text|\{literalinclude\} (\S+))\n(.*?)^```$", re.M | re.S)
TOOLS = {"cc": "a C compiler", "c++": "a C++ compiler", "pkg-config": "pkg-config"}


def script(page):
    return "\n".join(text for kind, _, text in BLOCK.findall(page.read_text()) if kind == "sh")


def prepare(folder, page, prefix):
    (folder / "libattn").symlink_to(ROOT)
    (folder / "attn").symlink_to(prefix)
    for kind, path, text in BLOCK.findall(page.read_text()):
        if path:
            shutil.copy(page.parent / path, folder)
        elif kind == "cmake":
            (folder / "CMakeLists.txt").write_text(text)


def follow(page, prefix):
    """Runs a page; returns what went wrong, or ""."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        prepare(folder, page, prefix)
        commands = script(START / "index.md") + "\n" + script(page)
        result = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=folder, text=True, timeout=300,
                                env={**os.environ, "HOME": name}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode != 0:
        return f"{commands}\n{result.stdout}exit code {result.returncode}"
    for kind, _, text in BLOCK.findall(page.read_text()):
        printed = re.sub(r" +$", "", result.stdout, flags=re.M)
        if kind == "text" and text not in printed:
            return f"printed:\n{printed}which does not hold:\n{text}"
    return ""


def main():
    prefix = pathlib.Path(sys.argv[1]).resolve()
    for tool, what in TOOLS.items():
        if not shutil.which(tool):
            print(f"skipped: needs {what}")
            sys.exit(77)
    if subprocess.run(["/usr/bin/python3", "-c", "import numpy"], stderr=subprocess.DEVNULL, check=False).returncode:
        print("skipped: needs NumPy")
        sys.exit(77)
    failed = 0
    for name in sys.argv[2:]:
        problem = follow(START / name, prefix)
        print(f"{name}: {problem or 'as the page says'}")
        failed += bool(problem)
    sys.exit(1 if failed else 0)


main()
