# test_manual.py - the manual pages: clean, complete, and in agreement with the header and with --help.
# SPDX-License-Identifier: BSD-3-Clause
# usage: test_manual.py PAGES HEADER ATTN ATTN_BENCH ATTN_PLOT
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

PAGES, HEADER = map(pathlib.Path, sys.argv[1:3])
ATTN, BENCH, PLOT = sys.argv[3:6]
COMMANDS = {"attn": [ATTN], "attn-run": [ATTN, "run"], "attn-self": [ATTN, "self"], "attn-map": [ATTN, "map"],
            "attn-info": [ATTN, "info"], "attn-bench": [BENCH], "attn-plot": [sys.executable, PLOT]}


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout


def plain(page):
    """What a page shows, in lines that never end early, without bold."""
    text = output("mandoc", "-Tutf8", "-Owidth=900", str(page))
    return re.sub(r".\x08", "", text).translate(str.maketrans("\u2010\u2011\u2212\u2019\u2018", "---''"))


def bare(text):
    """Its letters and numbers: all that typesetting leaves as it is."""
    return re.sub(r"[\W_]", "", text).lower()


class Pages(unittest.TestCase):
    def test_mandoc_and_man_find_nothing_wrong(self):
        pages = [str(path) for path in sorted(PAGES.glob("man*/*"))]
        self.assertGreater(len(pages), 25)
        result = subprocess.run(["mandoc", "-Tlint", "-W", "style", *pages], capture_output=True, text=True)
        self.assertEqual((result.stdout, result.stderr), ("", ""))
        if shutil.which("man"):
            for page in pages:
                result = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page],
                                        capture_output=True, text=True)
                self.assertEqual(result.stderr, "", page)


class Interface(unittest.TestCase):
    def setUp(self):
        self.header = re.sub(r"#define.*", "", HEADER.read_text())

    def test_every_function_type_and_struct_has_a_page(self):
        code = re.sub(r"/\*.*?\*/", "", self.header, flags=re.S)
        names = set(re.findall(r"\b(attn_\w+)(?=\(|;| \{|\))", code))
        self.assertLessEqual({"attn_global", "attn_args", "attn_task", "attn_context"}, names)
        self.assertEqual(names | {"attn_constants"}, {path.stem for path in PAGES.glob("man3/*")})

    def test_every_sentence_of_the_header_is_on_a_page(self):
        manual = bare("".join(plain(path) for path in PAGES.glob("man[37]/*")).replace("ATTN_ERROR_", ""))
        prose = "\n\n".join(re.findall(r"/\*(.*?)\*/", self.header, re.S)).replace("ATTN_ERROR_", "")
        prose = re.sub(r"\n \* ?", "\n", prose)
        prose = re.sub(r"SPDX.*|^ *attn[.\w]+ - |^[A-Z ]+$|The version of this header.*", "", prose, flags=re.M)
        sentences = re.split(r"[.:;]\s+|\n\n", prose)
        self.assertGreater(len(sentences), 200)
        for sentence in sentences:
            self.assertIn(bare(sentence), manual)


class Help(unittest.TestCase):
    def test_every_line_of_help_is_in_the_page(self):
        for name, command in COMMANDS.items():
            page = bare(plain(PAGES / "man1" / f"{name}.1"))
            for line in output(*command, "--help").replace("Exit codes", "Exit status").splitlines():
                for part in re.split(r"  +| \(|\)$", line.removeprefix("Usage:")):
                    self.assertIn(bare(part), page, (name, line))

    def test_every_page_has_exit_codes(self):
        for name in COMMANDS:
            self.assertIn("EXIT STATUS", plain(PAGES / "man1" / f"{name}.1"), name)


if __name__ == "__main__":
    if not shutil.which("mandoc"):
        print("skipped: no mandoc")
        sys.exit(77)
    del sys.argv[1:]
    unittest.main()
