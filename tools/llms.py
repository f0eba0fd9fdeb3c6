"""Write `llms.txt` beside the built pages: each page with a link and its first sentence.

A program that reads the documentation finds the right page there without reading all of them. The
file has the form that llmstxt.org proposes. Sphinx loads this module as an extension.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import toctree
from sphinx.application import Sphinx

__all__ = ["setup", "text"]


def text(app: Sphinx) -> str:
    """Return the content of the file, in the order of the front page's lists."""
    root = app.config.root_doc
    parts = [f"# {app.config.project}", f"> {_first_sentence(app, root)}"]
    for group in app.env.get_doctree(root).findall(toctree):
        lines = [f"## {group['caption']}", ""]
        for _, page in group["entries"]:
            title = app.env.titles[page].astext()
            line = f"- [{title}]({app.builder.get_target_uri(page)})"
            lines.append(f"{line}: {_first_sentence(app, page)}".removesuffix(": "))
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _first_sentence(app: Sphinx, page: str) -> str:
    """Return the first sentence of a page; "" if it has none."""
    for paragraph in app.env.get_doctree(page).findall(nodes.paragraph):
        words = " ".join(paragraph.astext().split())
        return re.split(r"(?<=[.:]) (?=[A-Z])", words, maxsplit=1)[0]
    return ""


def _write(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.name == "html":
        Path(app.outdir, "llms.txt").write_text(text(app), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the file after each build."""
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
