# SPDX-License-Identifier: Apache-2.0
"""Configure the documentation site. Build it with scripts/docs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from pybench import __version__

project = "pybench"
author = "the pybench authors"
copyright = "the pybench authors, Apache-2.0"  # noqa: A001 - Sphinx reads this name
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "pybench_reference"]
myst_enable_extensions = ["attrs_block", "colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_ext", "reference/generated"]
default_role = "literal"
nitpicky = True
smartquotes = False  # they turn --option into a dash
# Types that the standard library, NumPy and others document on sites of their own.
nitpick_ignore_regex = [
    ("py:.*", r"(?!pybench\.).*"),
    ("py:class", r"pybench\.(?!Run|Ratio|Comparison|Measured).*"),
]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}

html_theme = "furo"
html_title = "pybench"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
