# command.py - Sphinx extension: what the attn command says about itself, ```{attn-help} run in a page.
# SPDX-License-Identifier: BSD-3-Clause
import os
import subprocess

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class Help(SphinxDirective):
    """The words after the command are the directive's argument; ATTN_COMMAND is the command's path."""
    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        command = os.environ.get("ATTN_COMMAND")
        if not command:
            raise self.error("ATTN_COMMAND does not say where the attn command is")
        self.env.note_dependency(command)
        text = subprocess.run([command, *self.arguments[0].split()], check=True, capture_output=True, text=True).stdout
        return [nodes.literal_block(text, text, language="none")]


def setup(app):
    app.add_directive("attn-help", Help)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
