# rooms.py - a line of code knows its room, and a file includes only lower layers.
# SPDX-License-Identifier: BSD-3-Clause
import re

from source import ROOT, code, files, finish, lines, name

# What only these files of src may say.
WORDS = [
    (r"\b(?:cblas|openblas)_\w", r"blas\.c"),
    (r"\bpthread_create\b", r"workers\.c"),
    (r"\b(?:malloc|calloc|realloc|free|aligned_alloc|posix_memalign)\b\s*\(", r"context\.c"),
    (r"\b_mm\w*_|\b_tile_\w|\b__m(?:128|256|512)|\b(?:imm|arm_neon|arm_sve|x86)intrin\b|\barm_neon\.h", r"kernels/vec_\w+\.h"),
    (r"\battn_(?:args|self_args)\b", r"api\.c|resolve\.[ch]"),
    (r"\battn_(?:plan|softmax_args|merge_args|info)\b", r"api\.c"),
    (r"\battn_options\b", r"api\.c|context\.[ch]"),
    (r"^\s*#\s*(?:if|ifdef|ifndef|elif)\b", r"cpu\.c|base\.h|kernels/\w+\.[ch]"),
    (r"\b(?:printf|fprintf|puts|putchar|abort|exit|_exit|setenv|putenv|signal|fesetround)\s*\(", r"none"),
    (r"\bopenblas_set_\w+|\bomp_set_\w+", r"none"),
]

# A file includes only files of the layers above it in this list, and its own module's header.
LAYERS = [
    ("base", "attn/attn"),
    ("norm", "queue"),
    ("problem",),
    ("cpu", "kernels"),
    ("product",),
    ("check", "score", "kv", "workers"),
    ("context",),
    ("tile", "peaks"),
    ("plan", "linear", "finish"),
    ("strand",),
    ("floats", "thirds", "ahead"),
    ("meet",),
    ("tiled", "decode", "self", "local", "merge", "softmax"),
    ("resolve",),
    ("api",),
]
MODULE_OF = {"blas": "product", "blas_none": "product"}
OUTSIDE = ("tools", "bench", "examples", "bindings")


def module(path):
    """The module of a file below src or include: "kernels" for all of that folder."""
    stem = re.sub(r"\.[ch]$", "", path)
    return "kernels" if stem.startswith("kernels/") else MODULE_OF.get(stem, stem)


def layer(wanted):
    return next((rank for rank, modules in enumerate(LAYERS) if wanted in modules), None)


def check_words(problems):
    for path in files("src"):
        inside = path.relative_to(ROOT / "src").as_posix()
        guard = "ATTN_" + re.sub(r"\W", "_", path.name).upper()
        for number, line in lines(path):
            if guard in line:
                continue
            for pattern, rooms in WORDS:
                if re.search(pattern, line) and not re.fullmatch(rooms, inside):
                    problems.append(f"{name(path)}:{number}: belongs in {rooms}: {line.strip()}")


def check_layers(problems):
    for path in files("src"):
        inside = module(path.relative_to(ROOT / "src").as_posix())
        if layer(inside) is None:
            problems.append(f"{name(path)}: in no layer of {name(ROOT / 'tests/house/rooms.py')}")
            continue
        for included in re.findall(r'^\s*#\s*include\s+"([^"]+)"', code(path.read_text()), re.M):
            other = module(included)
            if other != inside and (layer(other) is None or layer(other) >= layer(inside)):
                problems.append(f"{name(path)}: includes {included}, which is not below it")


def check_outside(problems):
    for path in files(*OUTSIDE):
        for included in re.findall(r'^\s*#\s*include\s+["<]([^">]+)[">]', code(path.read_text()), re.M):
            ours = (ROOT / "src" / included).exists()
            if ours and not (path.parent / included).exists():
                problems.append(f"{name(path)}: includes {included} of src; only attn/attn.h is for it")


def main():
    problems = []
    check_words(problems)
    check_layers(problems)
    check_outside(problems)
    finish(problems, "rooms")


main()
