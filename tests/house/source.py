# source.py - what the house tests share: the project's files, C without comments, and how to report.
# SPDX-License-Identifier: BSD-3-Clause
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOMS = ("src", "include", "tools", "bench", "tests", "examples", "bindings", "cmake", ".ci", "docs")
BUILT = {"__pycache__", "target", "node_modules"}  # what other tools leave in the tree
SKIPPED = 77
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def files(*rooms, endings=(".c", ".h")):
    """The project's files in these folders (default: all) with these endings (none: all)."""
    for room in rooms or ROOMS:
        for path in sorted((ROOT / room).rglob("*")):
            if path.is_file() and not BUILT.intersection(path.parts) and (not endings or path.suffix in endings):
                yield path


def name(path):
    return path.relative_to(ROOT).as_posix()


def code(text):
    """C with its comments and strings blanked, line by line as before; #include lines keep theirs."""
    def blank(match):
        token = match.group(0)
        if token[0] == '"' and text[:match.start()].rpartition("\n")[2].strip().startswith("#"):
            return token
        return token[0] + re.sub(r"[^\n]", " ", token[1:-1]) + token[-1] if token[0] in "\"'" \
            else re.sub(r"[^\n]", " ", token)
    return TOKEN.sub(blank, text)


def lines(path):
    """(number, line) of a C file without comments and strings."""
    return enumerate(code(path.read_text()).split("\n"), 1)


def finish(problems, summary):
    for problem in problems:
        print(problem)
    print(f"{summary}: {len(problems)} problems")
    sys.exit(1 if problems else 0)


def skip(reason):
    print("skipped:", reason)
    sys.exit(SKIPPED)
