"""map_tests.py - attn map: the drawing, its inputs, refusals.

SPDX-License-Identifier: BSD-3-Clause
"""
import base64
import os
import re
import xml.etree.ElementTree as ElementTree

import numpy as np

from harness import OCR, ToolTest

SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"


class Map(ToolTest):
    def setUp(self):
        super().setUp()
        e = np.exp(2 * self.normal(2, 3, 7, 9))
        self.weights = (e / e.sum(-1, keepdims=True)).astype(np.float32)
        self.save("w.npy", self.weights)

    def draw(self, *arguments):
        """Draws map.svg; returns its root element."""
        self.assertEqual(self.ok("map", *arguments, "-o", "map.svg"), "")
        return ElementTree.parse(self.path("map.svg")).getroot()

    @staticmethod
    def panels(svg):
        return svg.findall(f".//{SVG}g[@class='panel']")

    @staticmethod
    def texts(svg):
        return [text.text for text in svg.iter(SVG + "text")]

    def heads(self, svg):
        return [text for text in self.texts(svg) if text.startswith("head ")]

    def test_ocr(self):
        svg = self.draw(os.path.join(OCR, "block2_weights.npy"), "--image", os.path.join(OCR, "line.png"))
        self.assertEqual(len(self.panels(svg)), 8)
        self.assertEqual(self.heads(svg), [f"head {head}" for head in range(8)])
        texts = self.texts(svg)
        for text in ("Attention weights", "key position", "query position", "attention weight", "0.995"):
            self.assertIn(text, texts)
        self.assertIn("8 heads, 40 queries, 40 keys", texts)
        image, = svg.iter(SVG + "image")
        self.assertTrue(image.get(XLINK + "href").startswith("data:image/png;base64,iVBORw0KGgo"))
        uses = [use.get(XLINK + "href") for use in svg.iter(SVG + "use")]
        self.assertEqual(uses, ["#" + image.get("id")] * 8)

    def test_image_bytes(self):
        with open(os.path.join(OCR, "line.png"), "rb") as file:
            png = file.read()
        for extra in (b"", b"x", b"xy"):  # all three paddings
            self.write("line.png", png + extra)
            image, = self.draw("w.npy", "--image", "line.png").iter(SVG + "image")
            self.assertEqual(base64.b64decode(image.get(XLINK + "href").split(",")[1], validate=True), png + extra)

    def test_ranks_heads_and_batches(self):
        self.assertEqual(len(self.panels(self.draw("w.npy"))), 3)
        self.assertEqual(self.heads(self.draw("w.npy", "--heads", "2,0")), ["head 2", "head 0"])
        self.save("heads.npy", self.weights[1])
        first = self.draw("w.npy", "--batch", "1", "--heads=1")
        self.assertIn("Batch entry 1 (counted from 0), 1 head, 7 queries, 9 keys", self.texts(first))
        second = self.draw("heads.npy", "--heads", "1")
        cells = [[path.get("d") for path in svg.iter(SVG + "path")] for svg in (first, second)]
        self.assertEqual(cells[0], cells[1])
        self.save("matrix.npy", self.weights[0, 0])
        self.assertEqual(len(self.panels(self.draw("matrix.npy"))), 1)

    def test_cells(self):
        """Paints the paths of a panel into an array: each weight has its place and its colour."""
        weights = np.zeros((4, 6), np.float32)
        weights[1, 2:5] = 1
        weights[3, 0] = 0.5
        weights[2, 5] = np.nan
        self.save("w.npy", weights)
        svg = self.draw("w.npy")
        painted = np.full((4, 6), "#440154", object)
        for path in svg.findall(f".//{SVG}g[@shape-rendering]/{SVG}path"):
            for x, y, w, h in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+z", path.get("d")):
                painted[int(y):int(y) + int(h), int(x):int(x) + int(w)] = path.get("fill")
        self.assertEqual(set(painted[1, 2:5]), {"#fde725"})
        self.assertEqual(painted[2, 5], "#bbbbbb")
        self.assertNotIn(painted[3, 0], ("#440154", "#fde725"))
        self.assertEqual(np.sum(painted == "#440154"), 24 - 5)
        self.assertTrue(any("not a number" in text for text in self.texts(svg)))
        self.assertIn("\u2265 0.5", self.texts(self.draw("w.npy", "--max", "0.5")))

    def test_labels(self):
        self.write("q.txt", "<b>\n&amp;\n\n\u00fcber\r\n\u6ce8\u610f\n\"quoted\"\na very long label of a word".encode())
        self.write("k.txt", b"\xff\xfe\n\x01\x02\n" + b"k\n" * 7)
        texts = self.texts(self.draw("w.npy", "--heads", "0", "--labels-q", "q.txt", "--labels-k", "k.txt",
                                     "--title", "5 < 6 & \"7\" \udcff"))
        for text in ("<b>", "&amp;", "\u00fcber", "\u6ce8\u610f", '"quoted"', "a very long lab\u2026", "\ufffd\ufffd",
                     '5 < 6 & "7" \ufffd'):
            self.assertIn(text, texts)
        self.assertEqual(texts.count("k"), 7)

    def test_large(self):
        weights = np.zeros((2, 1500, 700), np.float32)
        weights[:, 1499, 699] = 1  # alone in the last, smaller cell
        weights[:, 4, 3] = 0.5
        self.save("w.npy", weights)
        svg = self.draw("w.npy")
        pooled = "Pooled: each cell shows the largest of 3 x 2 weights (queries x keys)."
        self.assertIn(pooled, self.texts(svg))
        brightest = svg.findall(f".//{SVG}path[@fill='#fde725']")
        self.assertEqual([path.get("d") for path in brightest], ["M698 1497h2v3h-2z"] * 2)
        self.save("w.npy", self.random.random((2, 1500, 700), np.float32))
        self.draw("w.npy")
        self.assertLess(os.path.getsize(self.path("map.svg")), 12e6)
        self.save("w.npy", np.zeros((1, 512, 512), np.float32))
        self.assertNotIn("Pooled", " ".join(self.texts(self.draw("w.npy"))))

    def test_odd_sizes(self):
        for shape in ((1, 1), (1, 300), (300, 1), (2, 10000), (256, 3, 3), (1, 1, 5, 2)):
            for weights in (self.random.random(shape, np.float32), np.zeros(shape, np.float32),
                            np.full(shape, 1e-38, np.float32)):
                self.save("w.npy", weights)
                svg = self.draw("w.npy")
                self.assertEqual(len(self.panels(svg)), shape[-3] if len(shape) > 2 else 1)
                numbers = " ".join(value for node in svg.iter() for value in node.attrib.values())
                self.assertNotRegex(numbers, r"\b(nan|inf)\b")

    def test_errors(self):
        self.write("two.txt", b"a\nb\n")
        self.write("zero.txt", b"a\0b\n" * 9)
        self.write("no.png", b"GIF89a" + bytes(100))
        self.write("cut.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
        self.save("negative.npy", np.array([[-1, 0]], np.float32))
        self.save("infinite.npy", np.array([[np.inf, 0]], np.float32))
        self.save("nothing.npy", np.zeros((2, 0, 5), np.float32))
        self.save("line.npy", np.zeros(5, np.float32))
        self.save("five.npy", np.zeros((1, 1, 1, 2, 2), np.float32))
        self.save("many.npy", np.zeros((257, 2, 2), np.float32))
        output = ("-o", "map.svg")
        for code, words, *arguments in (
                (2, "expected a file of weights", *output), (2, "expected -o", "w.npy"),
                (2, "expected no further argument", "w.npy", "w.npy", *output),
                (2, "--batch: expected a number below 2, got 2", "w.npy", *output, "--batch", "2"),
                (2, "--batch: expected a whole number", "w.npy", *output, "--batch", "-1"),
                (2, "--heads: expected numbers from 0 to 2", "w.npy", *output, "--heads", "3"),
                (2, "--heads: expected numbers", "w.npy", *output, "--heads", "0,,1"),
                (2, "--heads: expected numbers", "w.npy", *output, "--heads", "0,"),
                (2, "--heads: expected numbers", "w.npy", *output, "--heads", ""),
                (2, "--heads: expected numbers", "w.npy", *output, "--heads", "1" * 30),
                (2, "--heads: expected at most 256 heads", "w.npy", *output, "--heads", ",".join("0" * 257)),
                (2, "many.npy: expected at most 256 heads, got 257", "many.npy", *output),
                (2, "--max: expected a finite number of at least 0", "w.npy", *output, "--max", "-1"),
                (3, "negative.npy: expected weights of at least 0, got -1", "negative.npy", *output),
                (3, "infinite.npy: expected", "infinite.npy", *output),
                (3, "nothing.npy: expected weights to draw, got 2 x 0 x 5", "nothing.npy", *output),
                (3, "line.npy: expected", "line.npy", *output), (3, "five.npy: expected", "five.npy", *output),
                (3, "two.txt: expected 7 lines, one for each query, got 2", "w.npy", *output, "--labels-q", "two.txt"),
                (3, "two.txt: expected 9 lines, one for each key, got 2", "w.npy", *output, "--labels-k", "two.txt"),
                (3, "zero byte", "w.npy", *output, "--labels-k", "zero.txt"),
                (3, "no.txt: cannot be opened", "w.npy", *output, "--labels-k", "no.txt"),
                (3, "no.png: expected a PNG picture", "w.npy", *output, "--image", "no.png"),
                (3, "cut.png: expected a PNG picture", "w.npy", *output, "--image", "cut.png"),
                (3, "/dev/full: cannot be written", "w.npy", "-o", "/dev/full")):
            self.error(code, words, "map", *arguments)
        self.assertFalse(os.path.exists(self.path("map.svg")))
