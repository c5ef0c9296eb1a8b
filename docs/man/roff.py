# roff.py - writes a manual page in the man(7) language, from plain sentences.
# SPDX-License-Identifier: BSD-3-Clause
import re
import textwrap


def escape(text):
    """Text as roff takes it literally."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return text.replace("^", "\\(ha").replace("~", "\\(ti")


def filled(roff):
    """Roff in short lines, none of which begins as a request does."""
    lines = textwrap.wrap(roff, 78, break_long_words=False, break_on_hyphens=False)
    return [re.sub(r"^(?=[.'])", r"\\&", line) for line in lines]


def quoted(text):
    """Text as the argument of a macro."""
    return '"' + escape(text).replace('"', "\\(dq") + '"'


def bold(text):
    return "\\fB" + escape(text) + "\\fR"


class Page:
    """One page, written from the top: title, sections, and what is in them."""

    def __init__(self, name, section, version, date):
        self.name, self.section = name, section
        self.lines = [f".TH {quoted(name.upper())} {section} {date} {quoted('libattn ' + version)}"]

    def heading(self, text):
        self.lines.append(f".SH {quoted(text.upper())}")

    def subheading(self, text):
        self.lines.append(f".SS {quoted(text)}")

    def names(self, names, what):
        self.heading("Name")
        self.lines += filled(escape(", ".join(names)) + " \\- " + escape(what))

    def paragraph(self, text, marked=None):
        """marked: makes roff of the text; by default as it stands."""
        self.lines += self._after_heading(".PP") + filled((marked or escape)(text))

    def code(self, lines):
        self.lines += self._after_heading(".PP") + [".in +4n", ".EX", *(re.sub(r"^\.", r"\\&.", escape(line)) for line in lines), ".EE", ".in"]

    def item(self, tag, text, marked=None):
        """tag is roff."""
        self.lines += [".TP", tag, *(filled((marked or escape)(text)) or ["\\&"])]

    def _after_heading(self, macro):
        return [] if re.match(r"\.S[HS] ", self.lines[-1]) else [macro]

    def text(self):
        return "\n".join(self.lines) + "\n"
