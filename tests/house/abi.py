# abi.py - the built library against the committed interface: what programs rely on must stay, more may come.
# SPDX-License-Identifier: BSD-3-Clause
# usage: abi.py          compares; needs abidw and abidiff (Debian: abigail-tools)
#        abi.py --renew  writes libattn.abi and libattn.constants anew, after an addition; refuses what is not one
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

from source import ROOT, code, finish, skip

HERE = pathlib.Path(__file__).parent
BASELINE = HERE / "libattn.abi"
CONSTANTS = HERE / "libattn.constants"


def build(folder):
    """The library with debug information; returns its ABI as abidw tells it."""
    options = ["-DCMAKE_BUILD_TYPE=Debug", "-DBUILD_TESTING=OFF", "-DATTN_BUILD_TOOLS=OFF"]
    subprocess.run(["cmake", "-S", ROOT, "-B", folder, *options], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", folder, "-j2", "--target", "attn"], check=True, stdout=subprocess.DEVNULL)
    text = subprocess.run(
        ["abidw", "--headers-dir", ROOT / "include", "--drop-private-types", "--drop-undefined-syms", "--no-show-locs",
         "--no-comp-dir-path", "--no-corpus-path", "--no-elf-needed", "--exported-interfaces-only", folder / "src/libattn.so"],
        check=True, capture_output=True, text=True).stdout
    return re.sub(r"path='[^']*/src/", "path='src/", text)


def constants():
    """NAME = NUMBER of every public constant."""
    header = code((ROOT / "include/attn/attn.h").read_text())
    return re.findall(r"\bATTN_\w+ = \d+", header)


def symbols(abi):
    return set(re.findall(r"<elf-symbol name='(\w+)'", abi))


def structs(abi):
    """{struct: (size in bits, {member: (offset in bits, type)})} of the public structs."""
    corpus = xml.fromstring(abi)
    nodes = {node.get("id"): node for node in corpus.iter() if node.get("id")}

    def spell(type_id):
        node = nodes[type_id]
        if node.tag == "pointer-type-def":
            return spell(node.get("type-id")) + "*"
        if node.tag == "qualified-type-def":
            return "const " + spell(node.get("type-id"))
        if node.tag == "function-type":
            parts = [spell(part.get("type-id")) for part in node]
            return f"{parts[-1]}({', '.join(parts[:-1])})"
        if node.tag == "typedef-decl" and node.get("name") == "attn_task":
            return spell(node.get("type-id"))
        return node.get("name")

    found = {}
    for struct in corpus.iter("class-decl"):
        members = {}
        for member in struct.iter("data-member"):
            variable = member.find("var-decl")
            members[variable.get("name")] = (int(member.get("layout-offset-in-bits")), spell(variable.get("type-id")))
        found[struct.get("name")] = (int(struct.get("size-in-bits") or 0), members)
    return found


def check_structs(old, new, problems):
    """Members stay where they are, new ones come after them."""
    for struct, (size, members) in structs(old).items():
        now = structs(new).get(struct, (0, {}))[1]
        for member, place in members.items():
            if now.get(member) != place:
                problems.append(f"{struct}.{member}: was {place}, is {now.get(member, 'gone')}")
        for member in now.keys() - members.keys():
            if now[member][0] < size:
                problems.append(f"{struct}.{member}: not appended, but at {now[member]}")


def check_equal(abi, folder, problems):
    (folder / "new.abi").write_text(abi)
    result = subprocess.run(["abidiff", BASELINE, folder / "new.abi"], capture_output=True, text=True)
    if result.returncode != 0:
        problems.append(result.stdout + result.stderr + "An addition? Then: abi.py --renew")


def main():
    if not (shutil.which("abidw") and shutil.which("abidiff")):
        skip("no abidw and abidiff (abigail-tools)")
    if platform.machine() != "x86_64":
        skip("the baseline is of x86-64")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        abi = build(folder)
        problems = [f"{constant}: gone or changed" for constant in CONSTANTS.read_text().splitlines()
                    if constant not in constants()]
        problems += [f"{symbol}: gone" for symbol in sorted(symbols(BASELINE.read_text()) - symbols(abi))]
        check_structs(BASELINE.read_text(), abi, problems)
        if sys.argv[1:] == ["--renew"] and not problems:
            BASELINE.write_text(abi)
            CONSTANTS.write_text("\n".join(constants()) + "\n")
        check_equal(abi, folder, problems)
    finish(problems, "abi")


main()
