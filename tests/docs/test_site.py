#!/usr/bin/env python3
"""test_site.py - the built site: test_site.py FOLDER [unittest options]

SPDX-License-Identifier: BSD-3-Clause
Every link within it leads somewhere, and no page needs the network or holds a formula that was not understood.
"""
import html.parser
import pathlib
import re
import sys
import unittest
import urllib.parse

SITE = pathlib.Path(sys.argv[1]).resolve()
ROOT = pathlib.Path(__file__).resolve().parents[2]


class Page(html.parser.HTMLParser):
    """What a page links to, what it loads, and the places in it that links can name."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.places, self.pictures = [], [], set(), []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.places.update(filter(None, (found.get("id"), found.get("name") if tag == "a" else None)))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        elif tag in ("script", "img", "iframe", "source") and found.get("src"):
            self.loads.append(found["src"])
        elif tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(found["href"])
        if tag == "img":
            self.pictures.append(found)

    handle_startendtag = handle_starttag


PAGES = {path: Page(path) for path in sorted(SITE.rglob("*.html"))}


class Site(unittest.TestCase):
    def test_every_page_of_docs_is_there(self):
        folder = ROOT / "docs"
        for source in [*folder.rglob("*.md"), *folder.rglob("*.rst")]:
            place = source.relative_to(folder)
            if place.parts[0] not in ("man", "site"):
                self.assertIn((SITE / place).with_suffix(".html"), PAGES)

    def test_links(self):
        count = 0
        for path, page in PAGES.items():
            for link in page.links + page.loads:
                url = urllib.parse.urlsplit(link)
                if url.scheme or url.netloc:
                    continue
                target = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
                self.assertTrue(target.is_file(), f"{path.name}: {link}")
                if url.fragment and target in PAGES:
                    self.assertIn(urllib.parse.unquote(url.fragment), PAGES[target].places, f"{path.name}: {link}")
                count += 1
        self.assertGreater(count, 100)

    def test_nothing_comes_from_the_network(self):
        for path, page in PAGES.items():
            for link in page.loads:
                self.assertFalse(re.match(r"\w+:|//", link), f"{path.name} loads {link}")
        for sheet in SITE.rglob("*.css"):
            self.assertNotRegex(sheet.read_text(), r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", sheet.name)

    def test_formulas(self):
        for path in PAGES:
            text = path.read_text()
            self.assertNotIn("<error>", text, path.name)
            prose = re.sub(r"<(pre|code|math|script).*?</\1>", "", text, flags=re.S)
            self.assertNotRegex(prose, r"\\(?:frac|sum|exp|ln)\b", path.name)

    def test_pictures_have_descriptions(self):
        for path, page in PAGES.items():
            for picture in page.pictures:
                self.assertTrue(picture.get("alt"), f"{path.name}: {picture.get('src')}")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:])
