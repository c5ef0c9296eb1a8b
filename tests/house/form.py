# form.py - what every file looks like: its first lines, its length, and nothing of a private machine in it.
# SPDX-License-Identifier: BSD-3-Clause
import re

from source import ROOT, files, finish, name

LONGEST_FILE = 600
SOURCES = (".c", ".h", ".cpp", ".hpp", ".py", ".sh", ".rs", ".f90", ".mjs")
TEXTS = SOURCES + (".md", ".toml", ".mjs", ".f90", ".cmake", ".in", ".json", ".txt", ".map", "")
PRIVATE = re.compile(r"(?<![\w.}$)])/(?:home|root|work|mnt|media|Users)/\w")
UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X])\b")


def check_head(path, text, problems):
    head = text.split("\n")[:4]
    if head[0].startswith("#!"):
        head = head[1:]
    if not re.match(r"(?:/\*|//|#|!|\"{3}) ?" + re.escape(path.name) + r" - \S", head[0]):
        problems.append(f'{name(path)}:1: expected "{path.name} - what it is", got "{head[0]}"')
    if not any("SPDX-License-" "Identifier: BSD-3-Clause" in line for line in head[1:3]):
        problems.append(f"{name(path)}:2: expected the SPDX line")


def check_lines(path, text, problems):
    for number, line in enumerate(text.split("\n"), 1):
        if PRIVATE.search(line):
            problems.append(f"{name(path)}:{number}: a path of a private machine: {line.strip()}")
        if UNFINISHED.search(line):
            problems.append(f"{name(path)}:{number}: not finished: {line.strip()}")
        if line != line.rstrip():
            problems.append(f"{name(path)}:{number}: blanks at the end of the line")


def main():
    problems = []
    top = [path for path in sorted(ROOT.iterdir()) if path.is_file() and path.name != ".git"]  # a worktree's
    for path in [path for path in top + list(files(endings=())) if path.suffix in TEXTS]:
        text = path.read_text()
        check_lines(path, text, problems)
        if path.suffix in SOURCES:
            check_head(path, text, problems)
            if text.count("\n") > LONGEST_FILE:
                problems.append(f"{name(path)}: {text.count(chr(10))} lines, at most {LONGEST_FILE}")
    finish(problems, "form")


main()
