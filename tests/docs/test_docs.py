#!/usr/bin/env python3
"""test_docs.py - the examples of the pages: test_docs.py LIBATTN.SO PATH/TO/attn [unittest options]

SPDX-License-Identifier: BSD-3-Clause
Those in C, in C++, in Python and on the command line run without an error, and options.md leaves no option out. Exits
with 77, which CTest takes for "skipped", where NumPy is missing.
"""
import contextlib
import doctest
import inspect
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
except ImportError:
    print("skipped: needs NumPy")
    sys.exit(77)

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LIBRARY, COMMAND = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
os.environ["ATTN_LIBRARY"] = str(LIBRARY)
sys.path.append(str(ROOT / "bindings" / "python"))
import attn


def blocks(language, pages=PAGES):
    """(place, text) of every fenced block of a language."""
    for page in pages:
        text = page.read_text()
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S):
            yield f"{page.relative_to(ROOT)}:{text[:match.start()].count(chr(10)) + 1}", match.group(1)


def joined(language, pages):
    return "\n".join(text for _, text in blocks(language, pages))


class C(unittest.TestCase):
    def program(self):
        """All examples, each in a function of its own."""
        lines, table = [], ["static const struct {", "  const char *place;",
                            "  int32_t (*run)(attn_context *context);", "} snippets[] = {"]
        for number, (place, text) in enumerate(blocks("c")):
            text = re.sub(r"^#include .*$", "", text, flags=re.M)
            lines += [f"static int32_t snippet_{number}(attn_context *context) {{", "  (void)context;",
                      "  int32_t status = ATTN_OK;", "  {", text, "  }", "  return status;", "}"]
            table.append(f'  {{"{place}", snippet_{number}}},')
        self.assertGreater(len(table), 10)
        return (HERE / "snippet.c").read_text().replace("/* SNIPPETS */", "\n".join(lines + table + ["};"]))

    def test_examples(self):
        compiler = shutil.which(os.environ.get("CC") or "cc")
        if not compiler:
            self.skipTest("no C compiler")
        with tempfile.TemporaryDirectory() as folder:
            source, program = pathlib.Path(folder, "examples.c"), pathlib.Path(folder, "examples")
            source.write_text(self.program())
            subprocess.run([compiler, "-std=c11", "-Wall", "-Werror", "-Wno-unused", "-I", ROOT / "include", source,
                            "-o", program, LIBRARY, "-lm", f"-Wl,-rpath,{LIBRARY.parent}"], check=True)
            result = subprocess.run([program], stdout=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_every_field_is_in_an_example(self):
        header = (ROOT / "include" / "attn" / "attn.h").read_text()
        examples = joined("c", PAGES)
        for struct in ("attn_args", "attn_self_args", "attn_softmax_args", "attn_merge_args", "attn_options"):
            body = re.search(rf"typedef struct {struct} \{{(.*?)\}} {struct};", header, re.S).group(1)
            body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
            for field in re.findall(r"\(\*(\w+)\)|(\w+);", body):
                name = "".join(field)
                if not name.endswith("_strides") and not name.startswith("reserved"):
                    self.assertRegex(examples, rf"\.{name}\b", f"{struct}.{name}")


class Cpp(unittest.TestCase):
    def test_examples(self):
        compiler = shutil.which(os.environ.get("CXX") or "c++")
        if not compiler:
            self.skipTest("no C++ compiler")
        bodies = "".join(f"{{ // {place}\n{text}}}\n" for place, text in blocks("cpp"))
        with tempfile.TemporaryDirectory() as folder:
            source, program = pathlib.Path(folder, "examples.cpp"), pathlib.Path(folder, "examples")
            source.write_text("#include <attn/attn.hpp>\n#include <vector>\nint main() {\n"
                              f"std::vector<float> q(1 << 18), k(q), v(q), out(q);\n{bodies}}}\n")
            subprocess.run([compiler, "-std=c++17", "-Wall", "-Werror", "-I", ROOT / "include", source, "-o", program,
                            LIBRARY, f"-Wl,-rpath,{LIBRARY.parent}"], check=True)
            subprocess.run([program], check=True, timeout=60)


class Python(unittest.TestCase):
    def test_examples(self):
        for place, text in blocks("python"):
            with self.subTest(place=place), contextlib.redirect_stdout(io.StringIO()):
                text = text.replace('"libattn.so.0"', repr(str(LIBRARY)))
                names = {}
                exec(compile(text, place, "exec"), names)
                self.assertEqual(names.get("status", 0), 0)

    def test_sessions(self):
        """Those with a prompt print what the page says; all of a page are one session."""
        options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
        tried = 0
        for page in PAGES:
            text = joined("pycon", [page])
            names = {"np": np, "attn": attn}
            session = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), 0)
            report = io.StringIO()
            result = doctest.DocTestRunner(optionflags=options).run(session, out=report.write)
            self.assertEqual(result.failed, 0, report.getvalue())
            tried += result.attempted
        self.assertGreater(tried, 10)

    def test_every_argument_is_in_an_example(self):
        examples = joined("python", [ROOT / "docs" / "options.md"])
        for name in attn.__all__:
            self.assertRegex(examples, rf"attn\.{name}\b")
            for argument, parameter in inspect.signature(getattr(attn, name)).parameters.items():
                if parameter.kind is parameter.KEYWORD_ONLY and argument != "context":
                    self.assertRegex(examples, rf"\b{argument}=", f"{name}({argument}=)")


class CommandLine(unittest.TestCase):
    def save(self, folder):
        """The files that the examples take for granted."""
        rng = np.random.default_rng(0)
        floats = {"q": (2, 4, 6, 8), "k": (2, 2, 9, 8), "v": (2, 2, 9, 8), "qkv": (3, 2, 4, 6, 8), "x": (2, 6, 32),
                  "bias": (4, 6, 9), "slopes": (4,), "sinks": (4,), "matrix": (8, 8), "vector": (8,),
                  "centers": (2, 4, 6), "pw": (3, 8), "pv": (3,), "residual": (2, 4, 6, 8), "gain": (8,),
                  "shift": (8,), "wqkv": (96, 32), "bqkv": (96,), "wq": (32, 32), "wk": (16, 32), "wv": (16, 32),
                  "wo": (32, 32), "bq": (32,), "bk": (16,), "bv": (16,), "bo": (32,)}
        for name, shape in floats.items():
            np.save(folder / f"{name}.npy", rng.standard_normal(shape, dtype=np.float32))
        np.save(folder / "mask.npy", rng.random((2, 1, 1, 9)) < 0.8)
        np.save(folder / "keys.npy", np.array([9, 7]))
        np.save(folder / "queries.npy", np.array([6, 4]))
        for name, count in (("words", 9), ("words-q", 6)):
            (folder / f"{name}.txt").write_text("".join(f"word {number}\n" for number in range(count)))
        for path in (ROOT / "examples" / "ocr-attention").glob("*.[np][pn][yg]"):
            shutil.copy(path, folder)

    def commands(self):
        """(place, arguments) of each line of an example that calls the command; but bench, which takes minutes and has
        tests of its own."""
        for place, text in blocks("sh"):
            for line in re.sub(r" *\\\n *", " ", text).splitlines():
                if line.startswith("attn ") and not line.startswith("attn bench"):
                    yield place, re.sub(r"\s+#.*| {3,}\S.*", "", line).split()[1:]

    def test_examples(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            self.save(folder)
            for place, arguments in self.commands():
                result = subprocess.run([COMMAND, *arguments], cwd=folder, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, timeout=60)
                self.assertEqual(result.returncode, 0, f"{place}: attn {' '.join(arguments)}\n{result.stdout}")

    def test_every_option_is_in_an_example(self):
        words = {word for place, arguments in self.commands() for word in arguments}
        for command in ("run", "self", "map"):
            text = subprocess.run([COMMAND, "help", command], check=True, stdout=subprocess.PIPE, text=True).stdout
            for line in re.findall(r"^ +(-.*)", text, re.M):
                names = re.findall(r"(?<![\w-])--?[a-z][\w-]*", line.split("   ")[0])
                if names[0].startswith("--"):  # not a short name and the long one
                    self.assertLessEqual(set(names), words, f"attn {command}: {line}")
                self.assertTrue(words.intersection(names), f"attn {command}: {line}")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + sys.argv[3:])
