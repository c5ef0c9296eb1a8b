# functions.py - the pages of section 3, one for each function and struct, and attn(7), from the header's prose.
# SPDX-License-Identifier: BSD-3-Clause
import re

import header
from roff import Page, bold, escape

WIDTH = 96  # a line of the header that ends before this column, though the next word would fit, ends a paragraph
CONSTANTS = "attn_constants"
INCLUDE = "#include <attn/attn.h>"
PARTS = {"Errors": "Errors", "Thread safety": "Thread safety", "Formula": "Formulas", "Formulas": "Formulas"}
ERRORS = re.compile(r"\b(ARGUMENT|MEMORY|UNSUPPORTED|BUSY)\b")
NAME = re.compile(r"\b(?:attn_\w*[a-z]|ATTN_\w+)")


def marked(text):
    """Names of the interface in bold."""
    return re.sub(NAME, lambda match: "\\fB" + match[0] + "\\fR", escape(text))


def paragraphs(lines):
    """Text and code in turn: each a str, or a list of lines of code (those indented by four or more)."""
    parts, before = [], ""
    for line in lines:
        words = line.split()
        ends = not words or (before and len(before) + 1 + len(words[0]) <= WIDTH and before[-1] in ".:")
        if line.startswith("    "):
            if not parts or isinstance(parts[-1], str):
                parts.append([])
            parts[-1].append(line[4:])
        elif words and (ends or not parts or isinstance(parts[-1], list) or not before):
            parts.append(" ".join(words))
        elif words:
            parts[-1] += " " + " ".join(words)
        before = line
    return parts


def what_it_is(text):
    """The beginning of a text, as far as it serves as a title."""
    title = re.split(r"[.:;,]?(?: \(|[.:;,](?: |$))", text)[0]
    return title[0].lower() + title[1:] if title[1:2].islower() else title


class Manual:
    """All pages of one header, by file name."""

    def __init__(self, text, version, date):
        self.version, self.date, self.pages = version, date, {}
        self.introduction, declarations = header.introduction(text), list(header.declarations(text))
        of = lambda kind: [item for item in declarations if item.kind == kind]
        self.functions, self.structs, self.types = of("function"), of("struct"), of("type")
        self.names = {item.name for item in self.functions + self.structs}
        self.owners = {kind.name: next(item.name for item in declarations if self._mentions(item, kind.name))
                       for kind in self.types}
        self.links = {f"{kind}.3": f"{owner}.3" for kind, owner in self.owners.items()}
        for function in self.functions:
            self._function(function)
        for struct in self.structs:
            self._struct(struct)
        self._constants(of("enum"))
        self._overview(re.match(r"/\* attn\.h - libattn: (.*)\.", text)[1])

    def _begin(self, name, section, what):
        page = Page(name, section, self.version, self.date)
        page.names([name] + [kind for kind, owner in self.owners.items() if owner == name], what)
        return page

    def _end(self, page, related=""):
        """What the text names has pages of its own."""
        text = "\n".join(page.lines) + related
        names = {name for name in re.findall(r"\battn_\w+", text) if name in self.names} - {page.name}
        if "ATTN_" in text and page.name != CONSTANTS:
            names.add(CONSTANTS)
        others = [f"{bold(name)}(3)" for name in sorted(names)] + ([] if page.name == "attn" else ["\\fBattn\\fR(7)"])
        page.heading("See also")
        page.lines += [other + "," for other in others[:-1]] + others[-1:]
        self.pages[f"{page.name}.{page.section}"] = page.text()

    def _prose(self, page, lines):
        for part in paragraphs(lines):
            page.code(part) if isinstance(part, list) else page.paragraph(part, marked)

    def _function(self, function):
        first, *rest = function.prose
        first = first.removeprefix(function.name + " - ")
        page = self._begin(function.name, 3, what_it_is(" ".join([first, *rest])))
        page.heading("Synopsis")
        page.code([INCLUDE, "", function.code + ";"])
        page.heading("Description")
        body, parts = self._split([first[0].upper() + first[1:], *rest])
        parameters = [line for line in body if re.match(r"\*?\w+: ", line) and self._is_parameter(line, function)]
        self._prose(page, [line for line in body if line not in parameters])
        for line in parameters:
            name, _, text = line.partition(": ")
            page.item(bold(name), text, marked)
        self._types_of(page, function.name)
        if function.code.startswith("int32_t") and "Errors" in parts:
            page.heading("Return value")
            page.paragraph("ATTN_OK, or the code of an error. The sentence of attn_last_error says more.", marked)
        for heading, text in parts.items():
            page.heading(heading)
            page.paragraph(ERRORS.sub(r"ATTN_ERROR_\1", text) if heading == "Errors" else text, marked)
        self._end(page)

    @staticmethod
    def _is_parameter(line, function):
        name = line.lstrip("*").partition(":")[0]
        return re.search(rf"\b{name}[,)]", function.code)

    @staticmethod
    def _split(lines):
        """The lines before the first part, and {heading: text}."""
        pattern = r"(?:^|(?<=[.\n] )|(?<=\n))(Errors|Thread safety|Formulas?): "
        body, *rest = re.split(pattern, "\n".join(lines), flags=re.M)
        return body.strip("\n").split("\n"), {
            PARTS[heading]: text[0].upper() + " ".join(text[1:].split())
            for heading, text in zip(rest[::2], rest[1::2])}

    def _struct(self, struct):
        text = " ".join(struct.prose)
        page = self._begin(struct.name, 3, what_it_is(text))
        page.heading("Synopsis")
        members = [f"    {code};" for code, _ in struct.members if code]
        page.code([INCLUDE, "", f"typedef struct {struct.name} {{", *members, f"}} {struct.name};"])
        page.heading("Description")
        page.paragraph(text, marked)
        self._members(page, struct)
        self._types_of(page, struct.name)
        self._end(page)

    @staticmethod
    def _members(page, item):
        """Those without a text of their own have the remark before them."""
        for code, prose in item.members:
            if code:
                page.item(bold(code), " ".join(prose), marked)
            else:
                page.paragraph(" ".join(prose), marked)

    def _constants(self, enums):
        page = self._begin(CONSTANTS, 3, "the constants of libattn")
        page.heading("Synopsis")
        page.code([INCLUDE])
        page.heading("Description")
        for enum in enums:
            title, _, text = " ".join(enum.prose).partition(":")
            page.subheading(title.rstrip("."))
            if text:
                page.paragraph(text[1].upper() + text[2:], marked)
            self._members(page, enum)
        self._end(page)

    def _types_of(self, page, name):
        """The types that have no page of their own stand where they are first used."""
        for kind in self.types:
            if self.owners[kind.name] == name:
                page.paragraph(" ".join(kind.prose), marked)
                page.code([kind.code + ";"])

    @staticmethod
    def _mentions(item, name):
        return item.kind in ("function", "struct") and re.search(rf"\b{name}\b", item.code)

    def _overview(self, title):
        page = self._begin("attn", 7, title)
        page.heading("Synopsis")
        page.code([INCLUDE, "", "cc program.c $(pkg-config --cflags --libs libattn)"])
        for heading, lines in self.introduction.items():
            page.heading(heading or "Description")
            self._prose(page, lines)
        page.heading("Functions")
        for function in self.functions:
            text = " ".join(function.prose).removeprefix(function.name + " - ")
            page.item(bold(function.name) + "(3)", what_it_is(text))
        self._end(page, " ".join(struct.name for struct in self.structs))
