# reference.py - Sphinx extension: the reference of the C interface out of attn.h, and links to it from all pages.
# SPDX-License-Identifier: BSD-3-Clause
#
# In a .rst page ".. attn-introduction:: Words" is a part of the header's first comment, and
# ".. attn-declarations::" lists declarations by name. A declaration that no page lists is an error.
# ".. attn-overview::" is a table of the functions.
import pathlib
import re

import header
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.logging import getLogger
from sphinx.util.nodes import make_refnode

HEADER = pathlib.Path(__file__).resolve().parents[2] / "include" / "attn" / "attn.h"
CODE = re.compile(r"(\bATTN_\w+(?:\.\.\.)?|\battn_\w+(?:\(\w*\))?|\b[a-z]+(?:_[a-z0-9]+)+\b|\*\w+\b(?=:))")
FIELD = re.compile(r"(Errors|Thread safety|Formulas?|\*?[a-z]+): ")  # a line that begins so is about that


def marked_up(text):
    """A sentence of the header as reStructuredText: names become literals, all else stands for itself."""
    parts = CODE.split(text)
    parts[::2] = [re.sub(r"([\\*`|_])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [rf"\ ``{part}``\ " for part in parts[1::2]]
    return "".join(parts)


def errors(text):
    return re.sub(r"\b(ARGUMENT|MEMORY|UNSUPPORTED|BUSY)\b", r"ATTN_ERROR_\1", text)


def paragraphs(lines):
    """The lines of a comment as (kind, text): "text", "code" (what is indented), or the name of a field."""
    found = []
    for line in lines:
        kind = "code" if line.startswith("    ") else "text"
        field = FIELD.match(line)
        if not line or not found or (found[-1][0] == "text" and found[-1][1].endswith(".")):
            found.append(["text", ""])  # a line that ends with a sentence ends a paragraph
        if field and kind == "text":
            found.append([field.group(1), line[field.end():]])
        elif kind == "code" or found[-1][0] == "code":
            if found[-1][0] != kind:
                found.append([kind, ""])
            found[-1][1] += line[4:] + "\n" if kind == "code" else line
        else:
            found[-1][1] += " " + line
    return [(kind, text.rstrip() if kind == "code" else text.strip()) for kind, text in found if text.strip()]


def rst(lines):
    """The prose of a comment as lines of reStructuredText."""
    found = []
    for kind, text in paragraphs(re.sub(r"\. (Thread safety: )", r".\n\1", "\n".join(lines)).split("\n")):
        if kind == "code":
            found += ["::", "", *("   " + line for line in text.split("\n")), ""]
        elif kind == "text":
            found += [marked_up(text), ""]
        elif kind[0].isupper():
            found += [f":{kind}: " + marked_up(errors(text) if kind == "Errors" else text)]
        else:
            found += [f"``{kind}``", *indented([marked_up(text)]), ""]
    return found + [""]


def indented(lines):
    return ["   " + line if line else "" for line in lines]


def member(code):
    """One line of a struct as the declarations in it: "int64_t batch, heads" is two."""
    first, *rest = code.split(", ") if "(" not in code else [code]
    kind = re.match(r"(.*?)\w+$", first)
    return [first, *(kind.group(1) + name for name in rest)]


def declaration(item):
    """A header.Declaration as lines of reStructuredText."""
    prose = [re.sub(rf"^{item.name} - (.)", lambda match: match.group(1).upper(), line) for line in item.prose]
    if item.kind == "enum":
        lines = rst(prose)
        for code, beside in item.members:
            lines += [f".. c:enumerator:: {code}", "", *indented(rst(beside))]
        return lines
    domain = {"function": "function", "struct": "struct", "type": "type"}[item.kind]
    code = {"struct": item.name, "type": item.code.replace("typedef ", "").replace("struct ", "")}.get(item.kind, item.code)
    inside = rst(prose)
    for code_of_member, beside in item.members:
        if not code_of_member:
            inside += [".. rst-class:: between", "", *rst(beside)]
        for one in member(code_of_member) if code_of_member else []:
            inside += [f".. c:member:: {one}", "", *indented(rst(beside))]
    if code == "attn_context attn_context":
        code = "attn_context"
    return [f".. c:{domain}:: {code}", "", *indented(inside)]


class FromHeader(SphinxDirective):
    has_content = False
    required_arguments = 1
    final_argument_whitespace = True

    def parsed(self, lines):
        self.env.note_dependency(str(HEADER))
        box = nodes.Element()
        self.state.nested_parse(StringList(lines, source=str(HEADER)), self.content_offset, box)
        return box.children


class Introduction(FromHeader):
    """.. attn-introduction:: TITLE, "-" for what stands before the first title."""

    def run(self):
        title = self.arguments[0].replace("-", "")
        return self.parsed(rst(header.introduction(HEADER.read_text())[title]))


class Declarations(FromHeader):
    """.. attn-declarations:: NAME NAME ..."""

    def run(self):
        known = {item.name: item for item in header.declarations(HEADER.read_text())}
        shown = self.env.attn_shown = getattr(self.env, "attn_shown", set())
        lines = []
        for name in self.arguments[0].split():
            if name not in known:
                raise self.error(f"{name} is not declared in attn.h")
            shown.add(name)
            lines += declaration(known[name])
        return self.parsed(lines)


class Overview(FromHeader):
    """.. attn-overview:: a table of all functions, with the first sentence of each."""
    required_arguments = 0

    def run(self):
        lines = [".. list-table::", ""]
        for item in header.declarations(HEADER.read_text()):
            if item.kind == "function":
                text = " ".join(item.prose).partition(" - ")[2]
                sentence = re.split(r"(?<=[^0-9])[.:;](?: |$)", text)[0]
                lines += [f"   * - ``{item.name}``", f"     - {marked_up(sentence)}"]
        return self.parsed(lines + [""])


class Links(SphinxPostTransform):
    """Names of the interface that stand in code style link to the reference, on every page."""
    default_priority = 5
    formats = ("html",)

    def run(self):
        objects = {name: (docname, anchor) for name, _, _, docname, anchor, _ in
                   self.env.get_domain("c").get_objects() if re.match(r"(attn|ATTN)_", name)}
        for node in list(self.document.findall(nodes.literal)):
            found = objects.get(re.sub(r"\(.*\)$", "", node.astext()))
            if found and not isinstance(node.parent, nodes.reference):
                link = make_refnode(self.app.builder, self.env.docname, *found, node.deepcopy())
                node.replace_self(link)


def check(app, env):
    """Nothing of the header is left out."""
    missing = {item.name for item in header.declarations(HEADER.read_text())} - getattr(env, "attn_shown", set())
    if missing:
        getLogger(__name__).warning("not in the reference: %s", ", ".join(sorted(missing)))


def setup(app):
    app.add_directive("attn-introduction", Introduction)
    app.add_directive("attn-declarations", Declarations)
    app.add_directive("attn-overview", Overview)
    app.add_post_transform(Links)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
