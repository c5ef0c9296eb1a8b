# python.py - Sphinx extension: the reference of the Python package out of its source, which is not run.
# SPDX-License-Identifier: BSD-3-Clause
#
# ".. attn-python:: NAME ..." in a .rst page lists functions and classes. What the package exports and no page
# lists is an error.
import ast
import inspect
import pathlib
import re

from docutils import nodes
from docutils.statemachine import StringList
from reference import indented, marked_up
from sphinx.util.docutils import SphinxDirective
from sphinx.util.logging import getLogger

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "bindings" / "python" / "attn"
ARGUMENT = re.compile(r"(\w+(?:, \w+)*): (.*)")


def definitions():
    """{name: node of the syntax tree} of all functions and classes of the package."""
    return {node.name: node for path in sorted(PACKAGE.glob("*.py")) for node in ast.parse(path.read_text()).body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def exported():
    return ast.literal_eval(re.search(r"^__all__ = (\[.*?\])", (PACKAGE / "__init__.py").read_text(), re.M | re.S).group(1))


def entries(text):
    """A docstring as (kind, lines): "text", "session" (with prompts), or an argument's name and what it is."""
    found, kind = [], None
    for line in inspect.cleandoc(text).split("\n"):
        argument = ARGUMENT.match(line)
        if line.startswith(">>>"):
            kind = "session"
        elif not line:
            kind = None
        if argument and kind != "session":
            kind = argument.group(1)
            found.append((kind, [argument.group(2)]))
        elif line and found and kind == found[-1][0] and kind is not None:
            found[-1][1].append(line if kind == "session" else line.strip())
        elif line:
            kind = kind or "text"
            found.append((kind, [line]))
    return found


def rst(text):
    """A docstring as lines of reStructuredText."""
    lines = []
    for kind, part in entries(text):
        if kind == "session":
            lines += ["", ".. code-block:: pycon", "", *indented(part), ""]
        elif kind == "text":
            lines += ["", marked_up(" ".join(part)), ""]
        else:
            lines += ["", ", ".join(f"``{name}``" for name in kind.split(", ")), *indented([marked_up(" ".join(part))])]
    return lines + [""]


def arguments(function):
    """The signature without types, which the text says in words."""
    spec = function.args
    for argument in spec.args + spec.kwonlyargs:
        argument.annotation = None
    spec.args = [argument for argument in spec.args if argument.arg != "self"]
    return ast.unparse(spec)


def function(node, directive="function"):
    text = ast.get_docstring(node) or ""
    return [f".. py:{directive}:: {node.name}({arguments(node)})", "", *indented(rst(text)), ""]


def describe(node):
    """A function or class as lines of reStructuredText."""
    if isinstance(node, ast.FunctionDef):
        return function(node)
    methods = {child.name: child for child in node.body if isinstance(child, ast.FunctionDef)}
    lines = [f".. py:class:: {node.name}({arguments(methods['__init__'])})", "", *indented(rst(ast.get_docstring(node)))]
    for name, method in methods.items():
        if not name.startswith("_") and name != "run":
            lines += indented(function(method, "method"))
    return lines


class Python(SphinxDirective):
    """.. attn-python:: NAME NAME ..."""
    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        shown = self.env.attn_python = getattr(self.env, "attn_python", set())
        lines = [".. py:currentmodule:: attn", ""]
        for path in PACKAGE.glob("*.py"):
            self.env.note_dependency(str(path))
        for name in self.arguments[0].split():
            shown.add(name)
            lines += describe(definitions()[name])
        box = nodes.Element()
        self.state.nested_parse(StringList(lines, source=str(PACKAGE)), self.content_offset, box)
        return box.children


def check(app, env):
    missing = set(exported()) - getattr(env, "attn_python", set())
    if missing:
        getLogger(__name__).warning("not in the reference of Python: %s", ", ".join(sorted(missing)))


def setup(app):
    app.add_directive("attn-python", Python)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
