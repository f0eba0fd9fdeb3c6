"""Sphinx configuration of these pages: `make docs` treats warnings as errors, fetches nothing."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

project = "Channels"
author = "The Channels contributors"
copyright = author  # noqa: A001 (the name that Sphinx reads)
release = version_of("channels")
version = release.rpartition(".")[0]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "tools.llms",
    "tools.tutorial",
]
exclude_patterns = [
    "_build",
    "performance",
    "snippets",
    "topics/versions-tried.md",
    "tutorial/states",
]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings use Google's sections, three more for ASGI, and one for options of consumers.
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Scope", "Messages", "Source", ("Options", "params_style")]
# Single backticks in docstrings mean code.
default_role = "code"

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True

# The copy button leaves out prompts and what a command prints.
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["front.css"]
html_js_files = ["accessible.js"]
html_title = f"Channels {release}"
html_theme_options: dict[str, list[str]] = {"top_of_page_buttons": []}
