"""Refer to a section of the documentation, for hints and errors."""

from __future__ import annotations

__all__ = ["see"]


def see(page: str, section: str) -> str:
    """Return a sentence that names a page and a section, for the end of a hint.

    Titles lead to a page by search or by the table of contents, wherever it is published.

    Args:
        page: The title of a page.
        section: The title of a section on it.
    """
    return f"Documentation: page {page!r}, section {section!r}."
