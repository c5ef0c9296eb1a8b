# functions.py - how long functions are, and how many parameters they take; by universal-ctags.
# SPDX-License-Identifier: BSD-3-Clause
import json
import shutil
import statistics
import subprocess

from source import ROOT, files, finish, name, skip

LONGEST = 80
MOST_PARAMETERS = 6


def functions():
    """(file, name, lines, parameters) of every function."""
    paths = [name(path) for path in files("src", "tools", "bench", "tests", "examples")]
    tags = subprocess.run(["ctags", "--output-format=json", "--kinds-C=f", "--fields=NFneS", "-o", "-", *paths],
                          cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for tag in map(json.loads, tags.splitlines()):
        if tag["_type"] != "tag":
            continue
        parameters = tag["signature"].count(",") + 1
        yield tag["path"], tag["name"], tag["end"] - tag["line"] + 1, parameters


def main():
    if not shutil.which("ctags") or "Universal" not in subprocess.getoutput("ctags --version"):
        skip("no universal-ctags")
    found = list(functions())
    problems = [f"{path}: {function}: {lines} lines, at most {LONGEST}"
                for path, function, lines, _ in found if lines > LONGEST]
    problems += [f"{path}: {function}: {parameters} parameters, at most {MOST_PARAMETERS}"
                 for path, function, _, parameters in found if parameters > MOST_PARAMETERS]
    for room in ("src", "tools", "bench", "tests", "examples"):
        lengths = sorted(lines for path, _, lines, _ in found if path.startswith(room + "/"))
        if lengths:
            print(f"{room}: {len(lengths)} functions, lines: median {statistics.median(lengths):g}, "
                  f"nine in ten at most {lengths[(len(lengths) * 9 + 9) // 10 - 1]}, longest {lengths[-1]}")
    finish(problems, "functions")


main()
