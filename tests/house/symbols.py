# symbols.py - what the libraries export: what the header declares, what symbols.map lists, and nothing else.
# SPDX-License-Identifier: BSD-3-Clause
# usage: symbols.py libattn.so libattn.a
import re
import subprocess
import sys

from source import ROOT, code, finish

MOST_EXPORTS = 40


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def declared():
    header = code((ROOT / "include/attn/attn.h").read_text())
    return set(re.findall(r"^(?!typedef)[a-z][^;{}()#]*?\b(attn_\w+)\(", header, re.M))


def listed():
    version_map = code((ROOT / "src/symbols.map").read_text())
    return set(re.findall(r"\b(attn\w*);", version_map))


def exported(library):
    names = (line.split() for line in output("nm", "-D", "--defined-only", library).splitlines())
    return {name.partition("@")[0] for _, kind, name in names if kind != "A"}


def archive(library):
    """(object file, symbol) of every global symbol."""
    for line in output("nm", "-A", "-g", "--defined-only", library).splitlines():
        where, _, symbol = line.rpartition(" ")
        yield where.split(":")[1], symbol


def check_exports(library, problems):
    header, version_map, shared = declared(), listed(), exported(library)
    for symbol in sorted(header ^ version_map):
        problems.append(f"{symbol}: in only one of include/attn/attn.h and src/symbols.map")
    for symbol in sorted(version_map ^ shared):
        problems.append(f"{symbol}: in only one of src/symbols.map and {library}")
    if len(shared) > MOST_EXPORTS:
        problems.append(f"{len(shared)} exports, at most {MOST_EXPORTS}")
    return len(shared)


def check_archive(library, problems):
    public = declared()
    for member, symbol in archive(library):
        file = member.partition(".")[0]
        # A table of kernels is named by its instruction set; blas_none.c stands in blas.c's place.
        owner = {"reference": "kernels", "simd": "kernels", "blas_none": "blas"}.get(file, file)
        if symbol not in public and not symbol.startswith(f"attn__{owner}_"):
            problems.append(f"{member}: {symbol}: expected attn__{owner}_... or a function of the header")


def check_dynamic(library, problems):
    dynamic = output("readelf", "-d", "-W", library)
    calls = "cblas_sgemm" in output("nm", "-D", "--undefined-only", library)
    if calls != ("[libopenblas.so.0]" in dynamic):
        problems.append(f"{library}: expected to need libopenblas.so.0 if and only if it calls cblas_sgemm")
    for path in re.findall(r"\(R(?:UN)?PATH\).*\[(.*)\]", dynamic):
        if "openblas-" in path:
            problems.append(f"{library}: looks in one flavour's folder: {path}")
    if not re.search(r"\(SONAME\).*\[libattn\.so\.\d+\]", dynamic):
        problems.append(f"{library}: has no soname with a version")


def main():
    problems = []
    shared, static = sys.argv[1:]
    count = check_exports(shared, problems)
    check_archive(static, problems)
    check_dynamic(shared, problems)
    finish(problems, f"symbols: {count} exports")


main()
