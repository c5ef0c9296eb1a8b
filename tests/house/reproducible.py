# reproducible.py - two builds, of sources in different folders, give the same bytes.
# SPDX-License-Identifier: BSD-3-Clause
import os
import pathlib
import shutil
import subprocess
import tempfile

from source import ROOT, finish

FILES = ("src/libattn.so", "src/libattn.a", "tools/attn")
OPTIONS = ("-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DBUILD_TESTING=OFF") # debug information has the most to tell
SOURCES = ("CMakeLists.txt", "include", "src", "tools", "cmake", "bench", "examples", "docs", "LICENSE", "README.md")


def build(folder):
    source = folder / "source"
    source.mkdir(parents=True)
    for path in ROOT.iterdir():
        if path.name in SOURCES or path.suffix in (".md", ".cff"):
            (shutil.copytree if path.is_dir() else shutil.copy)(path, source / path.name)
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(["cmake", "-S", source, "-B", folder / "out", *OPTIONS], **quiet)
    targets = ("attn", "attn_static", "attn-tool")
    subprocess.run(["cmake", "--build", folder / "out", "-j", str(os.cpu_count()), "--target", *targets], **quiet)
    return folder / "out"


def main():
    with tempfile.TemporaryDirectory() as name:
        first, second = (build(pathlib.Path(name, folder)) for folder in ("one", "another/and-deeper"))
        problems = [f"{file}: other bytes in another folder" for file in FILES
                    if (first / file).read_bytes() != (second / file).read_bytes()]
    finish(problems, f"reproducible: {len(FILES)} files")


main()
