# hardening.py - what protects the built library and command, and that the library imports nothing beyond a list.
# SPDX-License-Identifier: BSD-3-Clause
# usage: hardening.py libattn.so libattn.a [attn]
#
# The list is libattn.imports: no function on it ends, prints or alters the process. Compilers add those of the
# stack protector and of FORTIFY, which end a process whose memory is already overwritten.
import pathlib
import platform
import re
import subprocess
import sys

from source import finish

IMPORTS = pathlib.Path(__file__).with_name("libattn.imports")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def allowed():
    return set(re.sub(r"#.*", "", IMPORTS.read_text()).split())


def imports(library):
    lines = output("nm", "-D", "--undefined-only", library).splitlines()
    return {line.split()[-1].partition("@")[0] for line in lines}


def check_imports(library, problems):
    found = imports(library)
    for symbol in sorted(found - allowed()):
        problems.append(f"{symbol}: imported, but not in {IMPORTS.name}")
    if not any(symbol.startswith("__stack_chk_") for symbol in found):
        problems.append(f"{library}: no stack protector")
    for symbol in sorted(found & {"snprintf", "vsnprintf", "sprintf", "strcpy"}):
        problems.append(f"{library}: {symbol} without FORTIFY")


def check_loading(file, problems):
    """Everything bound and made read-only before the program starts, and no stack that can be run."""
    dynamic, segments = output("readelf", "-dW", file), output("readelf", "-lW", file)
    header = output("readelf", "-hW", file)
    wanted = [(r"\(BIND_NOW\)|\(FLAGS\).*BIND_NOW|\(FLAGS_1\).*\bNOW\b", dynamic, "binds lazily"),
              (r"GNU_RELRO", segments, "no RELRO"),
              (r"GNU_STACK.* RW +0x", segments, "an executable stack"),
              (r"Type: +DYN\b", header, "not position independent")]
    for pattern, text, problem in wanted:
        if not re.search(pattern, text):
            problems.append(f"{file}: {problem}")
    if "(TEXTREL)" in dynamic:
        problems.append(f"{file}: relocations in code")
    for line in segments.splitlines():
        if re.search(r"LOAD.* RWE ", line):
            problems.append(f"{file}: a segment to be written and run")


def check_path(library, problems):
    for path in re.findall(r"\((?:RUN|R)PATH\).*", output("readelf", "-dW", library)):
        problems.append(f"{library}: looks for libraries by itself: {path}")


def check_control_flow(archive, problems):
    """Each object has the marks of CET; whether they reach the library is up to the system's start-up files."""
    if platform.machine() != "x86_64":
        return
    for note in output("readelf", "-nW", archive).split("\nFile: ")[1:]:
        if "IBT, SHSTK" not in note:
            problems.append(f"{note.splitlines()[0]}: without the marks of protected control flow (CET)")


def main():
    library, archive, *commands = sys.argv[1:]
    problems = []
    check_imports(library, problems)
    check_path(library, problems)
    check_control_flow(archive, problems)
    for file in [library, *commands]:
        check_loading(file, problems)
    finish(problems, "hardening")


main()
