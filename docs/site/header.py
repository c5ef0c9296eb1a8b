# header.py - reads attn.h: its introduction, and every declaration with the prose above it.
# SPDX-License-Identifier: BSD-3-Clause
import re
from typing import NamedTuple


class Declaration(NamedTuple):
    """One declaration of the header."""
    kind: str      # "function", "struct", "enum" or "type"
    name: str      # of an enum: the common beginning of its constants
    prose: list    # the lines of the comment above
    code: str      # the declaration, without comments
    members: list  # of a struct or an enum: (declaration, prose), or ("", prose) for what is said in between


def comment_lines(comment):
    """The lines inside a comment, without its stars; what is indented stays so."""
    lines = [re.sub(r"^ \*(?: |$)", "", line) for line in comment.strip()[2:-2].strip("\n").split("\n")]
    if len(lines) > 1 and all(line.startswith("   ") for line in lines[1:] if line):
        lines = [line.strip() for line in lines]  # no stars: the indentation is only that of the comment
    return [line.rstrip() for line in [lines[0].strip(), *lines[1:]]]


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def introduction(text):
    """{title: lines} of the header's first comment; what stands before the first title has the title ""."""
    sections, title = {"": []}, ""
    for line in comment_lines(re.match(r"/\*.*?\*/", text, re.S).group(0))[2:]:
        if re.fullmatch(r"[A-Z][A-Z ]+", line):
            title = line.capitalize()
            sections[title] = []
        else:
            sections[title].append(line[2:] if title else line)
    return sections


def members(body, separator):
    """What stands between the braces of a struct (separator ";") or an enum (","). A comment that begins on the
    line of a member is its own."""
    comment = r"(/\*.*?\*/)"
    token = re.compile(rf"\s*{comment}|\s*([^\s/][^/{separator}]*){separator}?[ \t]*{comment}?", re.S)
    found = []
    for between, code, beside in token.findall(body):
        found.append((" ".join(code.split()), comment_lines(between or beside) if between or beside else []))
    return found


def kind_and_name(code):
    if code.startswith("enum"):
        return "enum", re.match(r"ATTN_[A-Z]+_", re.findall(r"ATTN_\w+", code)[-1]).group(0)
    if code.startswith("typedef struct") and "{" in code:
        return "struct", re.match(r"typedef struct (\w+)", code).group(1)
    if code.startswith("typedef"):
        return "type", re.search(r"\(\*(\w+)\)\(|$", code).group(1) or re.search(r"(\w+);$", code).group(1)
    return "function", re.search(r"(\w+)\(", code).group(1)


def declarations(text):
    """Every Declaration, in the header's order. They stand between blank lines."""
    for chunk in re.split(r"\n\n+", text):
        match = re.match(r"(/\*.*?\*/)\n(.*)", chunk, re.S)
        if not match or match.group(2).startswith("#"):
            continue
        prose, rest = comment_lines(match.group(1)), match.group(2)
        code = " ".join(without_comments(rest).split())
        kind, name = kind_and_name(code)
        inside = []
        if kind in ("struct", "enum"):
            inside = members(re.search(r"\{\n(.*)\}", rest, re.S).group(1), ";" if kind == "struct" else ",")
        yield Declaration(kind, name, prose, code.rstrip(";"), inside)
