# mirrors.py - what the mirrors of attn.h in C++, Rust, Fortran and Node leave out or have otherwise: nothing.
# SPDX-License-Identifier: BSD-3-Clause
import re

from source import ROOT, finish

KINDS = {"uint64_t": "i64", "int64_t": "i64", "int32_t": "i32", "float": "float"}
FORTRAN = {"integer(c_int64_t)": "i64", "integer(c_int32_t)": "i32", "real(c_float)": "float",
           "type(c_ptr)": "pointer", "type(c_funptr)": "pointer"}
RUST = {"u64": "i64", "i64": "i64", "i32": "i32", "f32": "float"}
NODE = {"uint64": "i64", "int64": "i64", "int32": "i32", "float": "float"}
NOT_FOR_CPP = {"reserved", "reserved_2"}


def header():
    """{struct: [(field, kind)]}, {constant: number} and the functions of the header."""
    code = re.sub(r"/\*.*?\*/", "", (ROOT / "include/attn/attn.h").read_text(), flags=re.S)
    structs = {}
    for struct, body in re.findall(r"typedef struct (\w+) \{(.*?)\n\} \w+;", code, re.S):
        structs[struct] = []
        for statement in filter(None, (" ".join(part.split()) for part in body.split(";"))):
            hook = re.search(r"\(\*(\w+)\)\(", statement)
            names = [hook.group(1)] if hook else re.findall(r"(\w+)(?=,|$)", statement)
            kind = "pointer" if "*" in statement else KINDS[statement.split()[0]]
            structs[struct] += [(name, kind) for name in names]
    constants = {name.lower(): number for name, number in re.findall(r"\b(ATTN_\w+) = (\d+)", code)}
    functions = set(re.findall(r"\b(attn_\w+)\([^)]*\);", code)) - {"attn_task"}
    return structs, constants, functions


def fortran():
    """The same of the module in Fortran."""
    text = (ROOT / "examples/quickstart/fortran/attn.f90").read_text()
    text = re.sub(r"&\n\s*", "", re.sub(r"!.*", "", text))
    structs = {}
    for struct, body in re.findall(r"type, bind\(c\) :: (\w+)\n(.*?)\n *end type", text, re.S):
        structs[struct] = [(name, FORTRAN[kind]) for kind, names in re.findall(r"^ *(\S+) :: (.*)$", body, re.M)
                           for name in re.findall(r"(\w+) =", names)]
    constants = dict(pair for line in re.findall(r"parameter :: (.*)", text)
                     for pair in re.findall(r"(\w+) = (\d+)", line))
    return structs, constants, set(re.findall(r"(?:function|subroutine) (attn_\w+)\(.*?\) bind", text))


def rust():
    """The structs and the constants of the crate attn-sys."""
    text = (ROOT / "bindings/rust/attn-sys/src/lib.rs").read_text()
    structs = {struct: [(name, RUST.get(kind, "pointer")) for name, kind in re.findall(r"^ +(\w+): (.*) = \d+,$", body, re.M)]
               for struct, body in re.findall(r"^ +(attn_\w+) = \d+ \{\n(.*?)\n +\}", text, re.M | re.S)}
    return structs, {name.lower(): number for name, number in re.findall(r"^ +(ATTN_\w+) = (\d+),", text, re.M)}


def node():
    """The structs and the functions of the module for Node."""
    text = (ROOT / "examples/quickstart/node/attn.mjs").read_text()
    structs = {}
    for struct, body in re.findall(r"struct\('(\w+)', \[(.*?)\n\]\)", text, re.S):
        structs[struct] = [(name, NODE.get(kind, "pointer")) for kind, names in re.findall(r"\['(.*?)', '(.*?)'\]", body)
                           for name in names.split()]
    return structs, set(re.findall(r"library\.func\(\s*'\S+ (attn_\w+)\(", text))


def check_cpp(structs, names, problems):
    """The headers of C++ set every field, and name every constant and function."""
    text = "".join(path.read_text() for path in (ROOT / "include/attn").glob("*.hpp"))
    for struct, fields in structs.items():
        for name in [name for name, _ in fields if struct.endswith(("args", "options")) and name not in NOT_FOR_CPP]:
            if not re.search(rf"\b(?:raw_?|options|attention)\.{name}\b", text):
                problems.append(f"C++: {struct}.{name} is never set")
    problems += [f"C++: {name} is never used" for name in sorted(names) if not re.search(rf"\b{name}\b", text)]


def main():
    structs, constants, functions = header()
    problems = []

    def compare(language, what, theirs, ours):
        if theirs != ours:
            problems.append(f"{language}: {what}: the header has\n  {ours}\nand the mirror\n  {theirs}")

    fortran_structs, fortran_constants, fortran_functions = fortran()
    rust_structs, rust_constants = rust()
    node_structs, node_functions = node()
    for struct, fields in structs.items():
        for language, theirs in (("Fortran", fortran_structs), ("Rust", rust_structs), ("Node", node_structs)):
            compare(language, struct, theirs.get(struct), fields)
    compare("Fortran", "constants", fortran_constants, constants)
    compare("Rust", "constants", rust_constants, constants)
    compare("Fortran", "functions", fortran_functions, functions)
    compare("Node", "functions", node_functions, functions)
    names = {name.upper() for name in constants} - {"ATTN_SCORE_DOT"}
    check_cpp(structs, names | functions - {"attn_version"}, problems)
    finish(problems, f"mirrors: {sum(map(len, structs.values()))} fields, {len(constants)} constants, "
                     f"{len(functions)} functions")


main()
