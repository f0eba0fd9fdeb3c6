"""The drawings of the documentation, which are made from texts."""

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools.drawings import FOLDER, draw, main
from tools.packages import PACKAGES

DRAWINGS = sorted(FOLDER.glob("*.toml"))
TEXT = """
title = "One & two"
columns = [90, 90]

[box.one]
at = [1, 1]
text = "One"

[box.two]
at = [2, 1]
text = "Two"
small = ["below"]
kind = "outside"

[box.both]
at = [1, 2]
across = 2
text = "Both"

[[arrow]]
from = "one"
to = "two"
text = "a < b"
[[arrow]]
from = "both"
to = "two"
[[arrow]]
from = "two"
to = "one"
shift = 5
"""


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
class TestEachDrawing:
    def test_the_committed_file_is_what_the_text_makes(self, path: Path) -> None:
        made = draw(path.read_text())
        assert path.with_suffix(".svg").read_text() == made, "run: python -m tools.drawings"

    def test_it_is_on_a_page_with_a_text_for_those_who_do_not_see_it(self, path: Path) -> None:
        pages = "".join(page.read_text() for page in FOLDER.parent.rglob("*.md"))
        assert re.search(rf"!\[[^\]]{{40,}}\]\([\w./]*drawings/{path.stem}\.svg\)", pages)

    def test_it_loads_nothing(self, path: Path) -> None:
        svg = path.with_suffix(".svg").read_text()
        assert set(re.findall(r"url\(.*?\)|href|@import|[a-z]+://[\w./]+", svg)) == {
            "http://www.w3.org/2000/svg",  # the namespace
            "url(#tip)",
        }


def test_the_packages_are_those_of_the_table() -> None:
    drawing = tomllib.loads((FOLDER / "packages.toml").read_text())
    named = {name: box["text"] for name, box in drawing["box"].items() if name != "django"}
    assert set(named.values()) == {package.name for package in PACKAGES}
    drawn = {
        (named[arrow["from"]], named[arrow["to"]])
        for arrow in drawing["arrow"]
        if arrow["to"] in named
    }
    # The arrow from `channels` to `channels-core` goes through the packages between them.
    needed = {(package.name, needed) for package in PACKAGES for needed in package.needs}
    assert drawn == needed - {("channels", "channels-core")}


class TestDraw:
    def test_boxes_and_arrows(self) -> None:
        svg = draw(TEXT)
        ElementTree.fromstring(svg)
        assert "<title>One &amp; two</title>" in svg
        assert ">a &lt; b</text>" in svg
        # Level, up, and level again but lower.
        assert re.findall(r'<path d="M([\d. ]+)" marker-end', svg) == [
            "106 42 190 42",
            "235 110 235 68",
            "190 47 106 47",
        ]

    def test_a_text_that_is_too_long(self) -> None:
        with pytest.raises(ValueError, match="'one' needs a box of 280 pixels"):
            draw(TEXT.replace('"One"', f'"{"O" * 40}"'))

    def test_an_arrow_to_nothing(self) -> None:
        with pytest.raises(KeyError, match="three"):
            draw(TEXT.replace('to = "two"', 'to = "three"'))

    def test_all_are_made_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tools.drawings.FOLDER", tmp_path)
        (tmp_path / "one.toml").write_text(TEXT)
        main()
        assert (tmp_path / "one.svg").read_text() == draw(TEXT)
