"""house_tests.py - the binding agrees with the public header, and its examples run.

SPDX-License-Identifier: BSD-3-Clause
"""
import ctypes
import doctest
import importlib
import os
import pathlib
import pkgutil
import re
import shutil
import subprocess
import tempfile
import unittest

import attn
from attn import _library

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "include"
PACKAGE = ROOT / "bindings" / "python"
STRUCTS = {"attn_options": _library.Options, "attn_args": _library.Args, "attn_info": _library.Info,
           "attn_self_args": _library.SelfArgs, "attn_plan": _library.Plan,
           "attn_merge_args": _library.MergeArgs, "attn_softmax_args": _library.SoftmaxArgs}


def compiler():
    return next(filter(None, map(shutil.which, (os.environ.get("CC") or "cc", "cc", "gcc", "clang"))), None)


def layout_program():
    """A C program that prints name, offset and size of each field, and of each struct."""
    lines = ["#include <attn/attn.h>", "#include <stddef.h>", "#include <stdio.h>", "int main(void) {"]
    for struct, mirror in STRUCTS.items():
        lines.append(f'  printf("{struct} 0 %zu\\n", sizeof(struct {struct}));')
        for field, _ in mirror._fields_:
            lines.append(f'  printf("{struct}.{field} %zu %zu\\n", offsetof(struct {struct}, {field}), '
                         f'sizeof(((struct {struct} *)0)->{field}));')
    return "\n".join(lines + ["  return 0;", "}", ""])


def mirrored_layout():
    for struct, mirror in STRUCTS.items():
        yield f"{struct} 0 {ctypes.sizeof(mirror)}"
        for field, _ in mirror._fields_:
            place = getattr(mirror, field)
            yield f"{struct}.{field} {place.offset} {place.size}"


class Header(unittest.TestCase):
    def test_structs(self):
        if not compiler():
            self.skipTest("no C compiler")
        with tempfile.TemporaryDirectory() as folder:
            source, program = pathlib.Path(folder, "layout.c"), pathlib.Path(folder, "layout")
            source.write_text(layout_program())
            subprocess.run([compiler(), "-I", INCLUDE, source, "-o", program], check=True)
            printed = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout
        self.assertEqual(list(mirrored_layout()), printed.splitlines())

    def test_every_field_is_mirrored(self):
        text = re.sub(r"/\*.*?\*/", "", (INCLUDE / "attn" / "attn.h").read_text(), flags=re.S)
        for struct, mirror in STRUCTS.items():
            body = re.search(r"typedef struct %s \{(.*?)\} %s;" % (struct, struct), text, re.S).group(1)
            body = re.sub(r"\(\*(\w+)\)\([^)]*\)", r"\1", body)
            names = [re.search(r"\w+$", name.strip()).group(0)
                     for line in body.split(";") if line.strip() for name in line.split(",")]
            self.assertEqual([name for name, _ in mirror._fields_], names)

    def test_every_field_can_be_reached(self):
        """Each field that a caller may set is set by some module; hooks of C are not for Python."""
        package = pathlib.Path(attn.__file__).parent
        text = "".join(path.read_text() for path in package.glob("*.py") if path.name != "_library.py")
        hooks = {"user", "allocate", "deallocate", "parallel_for"}
        for mirror in (_library.Options, _library.Args, _library.SelfArgs, _library.MergeArgs,
                       _library.SoftmaxArgs):
            for name, _ in mirror._fields_:
                if name == "size" or name.startswith("reserved") or name in hooks:
                    continue
                stem = re.escape(name.replace("_strides", "")) if name.endswith("_strides") else name
                stem = re.sub(r"^(weight|bias)_(qkv|[qkvo])$", r"\1_", stem)  # made of the kind and the name
                self.assertRegex(text, rf"[.\"(, ]{stem}(?:=|\b|\")", f"{mirror.__name__}.{name}")

    def test_public_names_are_documented(self):
        for name in attn.__all__:
            public = getattr(attn, name)
            self.assertTrue(public.__doc__ and public.__doc__.strip(), name)
            if isinstance(public, type):
                for inner, member in vars(public).items():
                    if callable(member) and not inner.startswith("_"):
                        self.assertTrue(member.__doc__, f"{name}.{inner}")
        self.assertTrue((pathlib.Path(attn.__file__).parent / "py.typed").exists())

    def test_numbers(self):
        text = (INCLUDE / "attn" / "attn.h").read_text()
        constants = dict(re.findall(r"^ *(ATTN_\w+) = (\d+)", text, re.M))
        self.assertEqual((_library.OK, _library.ARGUMENT, _library.MEMORY),
                         tuple(int(constants[name]) for name in ("ATTN_OK", "ATTN_ERROR_ARGUMENT",
                                                                 "ATTN_ERROR_MEMORY")))
        for prefix, words in (("ISA", {"auto": 0, **_library.ISAS}),
                              ("ENGINE", {"auto": 0, **_library.ENGINES}), ("SCORE", _library.SCORES),
                              ("NORM", _library.NORMS), ("ROPE", _library.ROPES)):
            for word, number in words.items():
                if word is not None:
                    self.assertEqual(int(constants[f"ATTN_{prefix}_{word.upper()}"]), number)
        version = ".".join(re.findall(r"#define ATTN_VERSION_(?:MAJOR|MINOR|PATCH) +(\d+)", text))
        self.assertEqual(attn.__version__, version)
        self.assertIn(f'\nversion = "{version}"', (PACKAGE / "pyproject.toml").read_text())

    def test_errors_by_status(self):
        for status, error in ((1, ValueError), (2, MemoryError), (3, RuntimeError), (4, RuntimeError)):
            self.assertIs(type(_library.error_of(status, b"key: a sentence: with colons")), error)
        self.assertEqual(str(_library.error_of(1, b"lengths_k: got a: b")), "kv_lengths: got a: b")
        self.assertEqual(str(_library.error_of(4, b"")), "context is busy")


def load_tests(loader, tests, pattern):
    """Adds the examples of all modules and of the binding's README."""
    options = doctest.NORMALIZE_WHITESPACE
    for module in pkgutil.iter_modules(attn.__path__, "attn."):
        tests.addTests(doctest.DocTestSuite(importlib.import_module(module.name), optionflags=options))
    tests.addTests(doctest.DocTestSuite(attn, optionflags=options))
    readme = PACKAGE / "README.md"
    tests.addTests(doctest.DocFileSuite(str(readme), module_relative=False, optionflags=options))
    return tests
