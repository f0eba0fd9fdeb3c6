"""Say where in the documentation something is explained."""

__all__ = ["see"]


def see(page: str, section: str) -> str:
    """Return a sentence for the end of a hint.

    A page is named by its title: that leads to it by the search and the contents of the
    documentation, wherever a reader has it.

    Args:
        page: The title of a page.
        section: The title of a section on it.
    """
    return f"Documentation: page {page!r}, section {section!r}."
