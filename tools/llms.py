"""Write `llms.txt` beside the built pages: each page with a link and its first sentences.

A program that reads the documentation finds the right page there without reading all of them. The
file has the form that llmstxt.org proposes. Sphinx loads this module as an extension.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref, toctree
from sphinx.application import Sphinx
from sphinx.util import docname_join

__all__ = ["setup", "text"]

#: Letters of the sentences about a page, unless the first one is longer.
_LONGEST = 200


def text(app: Sphinx) -> str:
    """Return the content of the file, in the order of the front page's lists."""
    root = app.config.root_doc
    parts = [f"# {app.config.project}", f"> {_summary(app, root)}"]
    for group in app.env.get_doctree(root).findall(toctree):
        lines = [f"## {group['caption']}", ""]
        for _, page in group["entries"]:
            title = app.env.titles[page].astext()
            line = f"- [{title}]({app.builder.get_target_uri(page)})"
            lines.append(f"{line}: {_summary(app, page)}".removesuffix(": "))
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _summary(app: Sphinx, page: str) -> str:
    """Return the first paragraph of a page, cut after a sentence; "" if it has none."""
    for section in app.env.get_doctree(page).findall(nodes.section):
        for paragraph in section.children:
            if isinstance(paragraph, nodes.paragraph):
                return _shorten(" ".join(_with_titles(app, paragraph).split()))
    return ""


def _with_titles(app: Sphinx, paragraph: nodes.paragraph) -> str:
    """Return the text of a paragraph, with the titles of the pages that it names."""
    paragraph = paragraph.deepcopy()
    for reference in paragraph.findall(pending_xref):
        page = docname_join(reference["refdoc"], reference["reftarget"])
        # A build of some pages does not know the others.
        known = reference["reftype"] == "doc" and page in app.env.titles
        if known and not reference["refexplicit"]:
            reference.children = [nodes.Text(app.env.titles[page].astext())]
    words: str = paragraph.astext()
    return words


def _shorten(words: str) -> str:
    """Return the first sentences, as many as fit."""
    kept, *more = re.split(r"(?<=[.:?]) (?=[A-Z`])", words)
    for sentence in more:
        if len(kept) + len(sentence) >= _LONGEST:
            break
        kept += f" {sentence}"
    return kept


def _write(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.name == "html":
        Path(app.outdir, "llms.txt").write_text(text(app), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the file after each build."""
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
