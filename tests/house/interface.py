# interface.py - the public header keeps the rules that let every language call it.
# SPDX-License-Identifier: BSD-3-Clause
import re

from source import ROOT, code, finish

HEADER = ROOT / "include/attn/attn.h"
# Types whose size or passing differs between compilers or languages, and what no other language sees.
FORBIDDEN = [
    (r"\b(?:bool|_Bool|long|short|int|unsigned|signed|double|size_t|ssize_t|ptrdiff_t|wchar_t|va_list)\b",
     "not a type of fixed size"),
    (r"\benum\s+\w", "an enum as a type"),
    (r"\.\.\.", "variable arguments"),
    (r"\w\s*:\s*\d+\s*;", "a bitfield"),
    (r"\b(?:inline|union|_Complex|restrict|extern\s+[^\"\s])", "not for every language"),
]


def statements(text):
    """The header without preprocessor lines, as declarations."""
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    return re.sub(r'extern "[^"]*" \{', "", text)


def check_structs(text, problems):
    for struct, body in re.findall(r"typedef struct (\w+) \{(.*?)\n\}", text, re.S):
        if not re.match(r"\s*uint64_t size;", body):
            problems.append(f"{struct}: does not begin with uint64_t size")
    uses = re.sub(r"typedef struct \w+( \w+;)?|\} \w+;", "", text)
    for struct in re.findall(r"typedef struct (\w+)", text):
        for match in re.finditer(rf"\b{struct} *[^*\s].*", uses):
            problems.append(f"a struct by value: {match.group(0)}")


def check_constants(text, problems):
    for body in re.findall(r"\benum \{(.*?)\}", text, re.S):
        for constant in filter(None, (part.strip() for part in body.split(","))):
            if not re.fullmatch(r"ATTN_[A-Z0-9_]+ = \d+", constant):
                problems.append(f"a constant without its number: {constant}")


def check_macros(header, problems):
    for macro in re.findall(r"^#define (\w+)", header, re.M):
        if not re.fullmatch(r"ATTN_ATTN_H|ATTN_VERSION_(?:MAJOR|MINOR|PATCH)", macro):
            problems.append(f"a macro that other languages do not see: {macro}")


def main():
    problems = []
    header = code(HEADER.read_text())
    text = statements(header)
    for pattern, reason in FORBIDDEN:
        for match in re.finditer(pattern, text):
            line = text[:match.end()].count("\n") + 1
            problems.append(f"include/attn/attn.h:{line}: {reason}: {match.group(0)}")
    check_structs(text, problems)
    check_constants(text, problems)
    check_macros(header, problems)
    finish(problems, "interface")


main()
