# header.py - the public header compiles without a warning, alone, in every standard of C and C++ since C99.
# SPDX-License-Identifier: BSD-3-Clause
import shutil
import subprocess

from source import ROOT, finish, skip

COMPILERS = {"c": ("gcc", "clang"), "c++": ("g++", "clang++")}
STANDARDS = {"c": ("c99", "c11", "c17", "c2x"), "c++": ("c++11", "c++14", "c++17", "c++20")}
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Werror")
PROGRAM = "#include <attn/attn.h>\nint use(attn_context *context);\n" \
          "int use(attn_context *context) { attn_args args; args.size = sizeof args; return attn_global(context, &args); }\n"


def main():
    problems, count = [], 0
    for language, compilers in COMPILERS.items():
        for compiler in filter(shutil.which, compilers):
            for standard in STANDARDS[language]:
                command = [compiler, f"-std={standard}", *WARNINGS, "-I", ROOT / "include", "-x", language, "-fsyntax-only", "-"]
                result = subprocess.run(command, input=PROGRAM, capture_output=True, text=True)
                count += 1
                if result.returncode != 0:
                    problems.append(f"{compiler} -std={standard}: {result.stderr}")
    if not count:
        skip("no compiler")
    finish(problems, f"header: {count} compilers and standards")


main()
