# conf.py - how Sphinx makes the site of docs/: sphinx-build -c docs/site docs OUTPUT
# SPDX-License-Identifier: BSD-3-Clause
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
HEADER = HERE.parents[1] / "include" / "attn" / "attn.h"

project = "libattn"
author = "The libattn authors"
copyright = author  # pylint: disable=redefined-builtin
version = release = ".".join(re.findall(r"^#define ATTN_VERSION_\w+ +(\d+)$", HEADER.read_text(), re.M))

extensions = ["myst_parser", "mathml", "reference", "python", "command"]
exclude_patterns = ["site", "man"]
primary_domain = "c"
highlight_language = "none"
c_id_attributes = []

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"libattn {version}"
html_short_title = "libattn"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#20639b", "color-brand-content": "#20639b"},
    "dark_css_variables": {"color-brand-primary": "#7fb7e6", "color-brand-content": "#7fb7e6"},
}
pygments_style = "friendly"
pygments_dark_style = "monokai"
