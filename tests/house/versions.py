# versions.py - the version of the public header is that of all who must repeat it.
# SPDX-License-Identifier: BSD-3-Clause
import re

from source import ROOT, finish, name

PLACES = [
    ("CITATION.cff", r"^version: (.*)"),
    ("debian/changelog", r"^libattn \((.*?)\)"),
    ("CHANGELOG.md", r"^## ([\d.]+)"),
    ("bindings/python/pyproject.toml", r'^version = "(.*?)"'),
]


def main():
    header = (ROOT / "include/attn/attn.h").read_text()
    version = ".".join(re.findall(r"^#define ATTN_VERSION_\w+ (\d+)", header, re.M))
    problems = []
    for place, pattern in PLACES:
        path = ROOT / place
        found = re.search(pattern, path.read_text(), re.M)
        if not found or found[1] != version:
            problems.append(f"{name(path)}: expected version {version}, got {found and found[1]}")
    finish(problems, "versions")


main()
