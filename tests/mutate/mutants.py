# mutants.py - all small changes to the code of src/ that ought to make a test fail.
# SPDX-License-Identifier: BSD-3-Clause
import re
from dataclasses import dataclass

# What is found in a line of code, and what takes its place.
CHANGES = [
    (r" < ", " <= "),
    (r" <= ", " < "),
    (r" > ", " >= "),
    (r" >= ", " > "),
    (r" == ", " != "),
    (r" != ", " == "),
    (r" && ", " || "),
    (r" \|\| ", " && "),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" \* ", " + "),
    (r" / ", " * "),
    (r" % ", " / "),
    (r" \+ 1\b(?![.x])", ""),
    (r" - 1\b(?![.x])", ""),
    (r"\battn__min\(", "attn__max("),
    (r"\battn__max\(", "attn__min("),
    (r"\bfmin\(", "fmax("),
    (r"\bceil\(", "floor("),
    (r"\bfloor\(", "ceil("),
    (r"\breturn 0;", "return 1;"),
    (r"\breturn 1;", "return 0;"),
    (r"(?<== )0;", "1;"),
    (r"(?<== )1;", "0;"),
    (r"(?<=[( ])!(?=[\w(*])", ""),
    (r"-INFINITY", "INFINITY"),
    (r"\bATTN_ERROR_\w+", "ATTN_OK"),
    (r"\bATTN_OK\b", "ATTN_ERROR_MEMORY"),
    (r"\bcontinue;", ";"),
    (r"\bbreak;", ";"),
]
STATEMENT = re.compile(r"^\s*[a-z*]\w*[\w.\[\]>-]*(?: [-+*]?= [^;{]+|\([^;{]*\)|\+\+|--);$")
COMPLETE = re.compile(r"(?:[;{}:)]|else)$|^\s*$")
NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', re.S | re.M)


@dataclass(frozen=True)
class Mutant:
    path: str  # below src
    line: int  # from 0
    text: str  # the line with its change
    change: str
    key: str  # the same for as long as the line stays


def blank(match):
    """Characters that are no code, without their text but in their places."""
    return re.sub(r"[^\n]", "\0", match.group())


def mutants_of(path, text):
    lines, code = text.split("\n"), NOT_CODE.sub(blank, text).split("\n")
    seen = {}
    for number, (line, bare) in enumerate(zip(lines, code)):
        for change, mutated in mutations(bare, line, code[number - 1].rstrip("\0 ") if number else ""):
            key = f"{path} | {line.strip()} | {mutated.strip()}"
            seen[key] = seen.get(key, 0) + 1
            if seen[key] > 1:
                key += f" | {seen[key]}"
            yield Mutant(path, number, mutated, change, key)


def mutations(bare, line, before):
    for pattern, replacement in CHANGES:
        for match in re.finditer(pattern, bare):
            yield f"{match.group().strip()} to {replacement.strip()}", line[: match.start()] + replacement + line[match.end() :]
    if STATEMENT.match(bare.rstrip("\0 ")) and not bare.lstrip().startswith("return") and COMPLETE.search(before):
        yield "left out", re.match(r"\s*", line).group() + ";"
