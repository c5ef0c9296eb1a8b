# layout.py - sizes and offsets of every public struct, as compilers and other languages have them: one table.
# SPDX-License-Identifier: BSD-3-Clause
# usage: layout.py          compares gcc, clang (C and C++), rustc and the Python binding with libattn.layout
#        layout.py --renew  writes libattn.layout anew, after an addition
import ctypes
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from source import ROOT, code, finish, skip

TABLE = pathlib.Path(__file__).with_name("libattn.layout")
C_COMPILERS = (("gcc", "c", "c99"), ("clang", "c", "c99"), ("g++", "c++", "c++11"), ("clang++", "c++", "c++11"))
RUST_TYPES = {"uint64_t": "u64", "int64_t": "i64", "int32_t": "i32", "float": "f32"}
POINTER = "pointer"


def structs():
    """{struct: [(field, type)]} of the public header; pointers to anything are one type."""
    found = {}
    header = code((ROOT / "include/attn/attn.h").read_text())
    for struct, body in re.findall(r"typedef struct (\w+) \{(.*?)\n\}", header, re.S):
        found[struct] = []
        for declaration in filter(None, (part.strip() for part in body.split(";"))):
            hook = re.match(r".*?\(\*(\w+)\)\(", declaration, re.S)
            if hook:
                found[struct].append((hook.group(1), POINTER))
            elif "*" in declaration:
                found[struct].append((re.search(r"(\w+)$", declaration).group(1), POINTER))
            else:
                kind, names = declaration.split(None, 1)
                found[struct] += [(name.strip(), kind) for name in names.split(",")]
    return found


def by_c(compiler, language, standard, folder):
    lines = ["#include <stddef.h>", "#include <stdio.h>", "#include <attn/attn.h>", "int main(void) {"]
    for struct, fields in structs().items():
        lines.append(f'  printf("{struct} %d\\n", (int)sizeof({struct}));')
        for field, _ in fields:
            lines.append(f'  printf("{struct}.{field} %d %d\\n", (int)offsetof({struct}, {field}), '
                         f'(int)sizeof((({struct} *)0)->{field}));')
    source, program = folder / "layout.c", folder / compiler
    source.write_text("\n".join(lines + ["  return 0;", "}", ""]))
    subprocess.run([compiler, f"-std={standard}", "-I", ROOT / "include", "-x", language, source, "-o", program], check=True)
    return subprocess.run([program], check=True, capture_output=True, text=True).stdout


def by_rust(folder):
    lines, prints = [], []
    for struct, fields in structs().items():
        lines.append("#[repr(C)] #[allow(dead_code, non_camel_case_types)] struct " + struct + " {")
        lines += [f"    r#{field}: {RUST_TYPES.get(kind, '*const u8')}," for field, kind in fields] + ["}"]
        prints.append(f'    println!("{struct} {{}}", std::mem::size_of::<{struct}>());')
        prints.append(f"    let s = std::mem::MaybeUninit::<{struct}>::uninit(); let start = s.as_ptr();")
        for field, kind in fields:
            prints.append(f'    println!("{struct}.{field} {{}} {{}}", unsafe {{ std::ptr::addr_of!((*start).r#{field}) '
                          f'as usize }} - start as usize, std::mem::size_of::<{RUST_TYPES.get(kind, "*const u8")}>());')
    source, program = folder / "layout.rs", folder / "rust"
    source.write_text("\n".join(lines + ["fn main() {"] + prints + ["}", ""]))
    subprocess.run(["rustc", "--edition=2018", "-o", program, source], check=True, cwd=folder)
    return subprocess.run([program], check=True, capture_output=True, text=True).stdout


def by_python():
    """As the binding declares them: each class says in its first line of which struct it is."""
    sys.path.append(str(ROOT / "bindings/python"))
    from attn import _library
    classes = {(kind.__doc__ or "").split("\n")[0]: kind for kind in vars(_library).values()
               if isinstance(kind, type) and issubclass(kind, ctypes.Structure)}
    lines = []
    for struct in structs():
        kind = classes.get(struct)
        lines.append(f"{struct} {ctypes.sizeof(kind) if kind else 'missing'}")
        for field in kind._fields_ if kind else ():
            place = getattr(kind, field[0])
            lines.append(f"{struct}.{field[0]} {place.offset} {place.size}")
    return "\n".join(lines) + "\n"


def tables(folder):
    """(who says so, the table) of all that are here."""
    for compiler, language, standard in C_COMPILERS:
        if shutil.which(compiler):
            yield f"{compiler} ({language})", by_c(compiler, language, standard, folder)
    if shutil.which("rustc"):
        yield "rustc", by_rust(folder)
    try:
        import numpy
        yield f"ctypes (NumPy {numpy.__version__})", by_python()
    except ImportError:
        print("not compared: the Python binding, which needs NumPy")


def main():
    if sys.maxsize < 2**63 - 1:
        skip("the table is of 64-bit machines")
    with tempfile.TemporaryDirectory() as name:
        found = list(tables(pathlib.Path(name)))
    if sys.argv[1:] == ["--renew"]:
        TABLE.write_text(found[0][1])
        return
    problems, expected = [], TABLE.read_text().splitlines()
    for who, table in found:
        lines = table.splitlines()
        problems += [f"{who}: {line}: not in {TABLE.name}" for line in lines if line not in expected]
        problems += [f"{who}: misses {line}" for line in expected if line not in lines]
    finish(problems, f"layout: {len(expected)} lines, compared with {', '.join(who for who, _ in found)}")


main()
