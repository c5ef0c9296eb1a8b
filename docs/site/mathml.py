# mathml.py - Sphinx extension: formulas become MathML by blahtexml, so that a page needs no script and no network.
# SPDX-License-Identifier: BSD-3-Clause
import functools
import re
import subprocess

from docutils import nodes
from sphinx.errors import ExtensionError


@functools.lru_cache(maxsize=None)
def mathml(formula, display):
    """The MathML of a TeX formula."""
    command = ["blahtexml", "--mathml", *(["--displaymath"] if display else [])]
    try:
        answer = subprocess.run(command, input=formula, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError as error:
        raise ExtensionError("formulas need blahtexml (the Debian package of that name)") from error
    found = re.search(r"<markup>\n(.*)\n</markup>", answer, re.S)
    if not found:
        raise ExtensionError(f"blahtexml cannot read {formula!r}: {answer}")
    block = ' display="block"' if display else ""
    markup = found.group(1).replace(">-</mo>", ">&#x2212;</mo>")  # a minus, not a hyphen
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML"{block}>{markup}</math>'


def visit_math(translator, node):
    translator.body.append(mathml(node.astext(), display=False))
    raise nodes.SkipNode


def visit_block(translator, node):
    translator.body.append(f'<div class="math">{mathml(node.astext(), display=True)}</div>\n')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
