# holds.py - runs an example and holds what it measured against a bar.
# SPDX-License-Identifier: BSD-3-Clause
# usage: holds.py FOLDER [NAME>=BAR | FILE]... -- COMMAND...
# The command runs in FOLDER, made anew. Its output must have a line that begins with each NAME and a number of
# at least BAR; each FILE, a picture, must be there and whole. Of a word FEW|MANY the command gets MANY where the
# environment variable ATTN_TEST_LONG is set, else FEW. Exits with 77, which CTest takes for "skipped",
# where the command says which Debian package it lacks.
import os
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml

SKIPPED = 77


def missed(output, name, bar):
    """What is wrong with a measured number, or None."""
    found = re.search(rf"^{re.escape(name)} (-?\d+(?:\.\d+)?)", output, re.M)
    if not found:
        return f"{name}: not in the output"
    return None if float(found.group(1)) >= float(bar) else f"{name}: {found.group(1)}, expected at least {bar}"


def broken(path):
    """What is wrong with a picture, or None."""
    if not path.is_file():
        return f"{path.name}: not written"
    if path.suffix == ".svg":
        root = xml.parse(path).getroot()
        return None if len(list(root.iter())) > 10 else f"{path.name}: nothing drawn"
    return None if path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" else f"{path.name}: not a PNG picture"


def main():
    cut = sys.argv.index("--")
    folder, wanted = pathlib.Path(sys.argv[1]), sys.argv[2:cut]
    command = [word.split("|")[-1 if os.environ.get("ATTN_TEST_LONG") else 0] for word in sys.argv[cut + 1:]]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    result = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(result.stdout, end="")
    if result.returncode and "apt install" in result.stdout:
        return SKIPPED
    problems = [f"exit code {result.returncode}"] if result.returncode else []
    for want in wanted:
        name, is_number, bar = want.partition(">=")
        problems.append(missed(result.stdout, name, bar) if is_number else broken(folder / want))
    problems = [problem for problem in problems if problem]
    print(*problems, sep="\n")
    return 1 if problems else 0


sys.exit(main())
