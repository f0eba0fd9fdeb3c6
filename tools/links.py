"""Check the links between the built pages of the documentation, as `make docs` does.

    python -m tools.links docs/_build/html

Sphinx checks the references that it resolves itself. This checks what a browser would follow: each
address of this site must be a file, and what follows its `#` an element of that page.
"""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

__all__ = ["Page", "main", "problems"]

_ADDRESSES: Final = {"href", "src"}


class Page(HTMLParser):
    """The addresses on a page, and the names of its elements."""

    def __init__(self, text: str) -> None:
        """Parse the page."""
        super().__init__()
        self.addresses: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the addresses and the names of one element."""
        for name, value in attrs:
            if name in _ADDRESSES and value:
                self.addresses.append(value)
            elif name == "id" and value:
                self.names.add(value)


def problems(site: Path) -> Iterator[str]:
    """Yield a line for each link to something that does not exist."""
    pages = {path.resolve(): Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        for address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                yield f"{path.relative_to(site.resolve())}: {address} is not a file"
            elif (
                parts.fragment
                and target in pages
                and unquote(parts.fragment) not in pages[target].names
            ):
                yield f"{path.relative_to(site.resolve())}: {address} is not on that page"


def main() -> None:
    """Check the site in the given folder."""
    site = Path(sys.argv[1])
    found = list(problems(site))
    if found:
        sys.exit("\n".join(found))
    count = sum(len(Page(path.read_text()).addresses) for path in site.rglob("*.html"))
    print(f"{count} links checked")


if __name__ == "__main__":
    main()
