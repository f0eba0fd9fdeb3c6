"""Make the drawings of the documentation: an SVG beside each text in `docs/drawings/`.

    python -m tools.drawings

A drawing is a TOML file:

- `title` says what it shows; screen readers read it out.
- `columns` are the widths of its columns in pixels; `gap` and `gap_below` are the spaces between
  columns and between rows.
- `box` has the boxes, by name. `at` is the column and the row, counted from 1. `text` is the first
  line, `small` has the lines below it. `across` and `down` are the numbers of columns and rows that
  the box fills. `kind` is one of `KINDS`.
- `arrow` has the arrows. `from` and `to` are the names of two boxes, `text` stands beside it.
  An arrow leaves a box on the side that faces the other one, in the middle of the smaller box.
  `shift` moves it away from there, in pixels.

The result depends on the text alone, so tests/workspace/test_drawings.py can compare it with the
committed file.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from tools.packages import ROOT

__all__ = ["FOLDER", "KINDS", "draw", "main"]

FOLDER: Final = ROOT / "docs" / "drawings"

#: The colours of a kind of box: its area, and its border.
KINDS: Final = {
    "outside": ("#f1f3f5", "#868e96"),
    "ours": ("#e7f1fb", "#3a78b5"),
    "task": ("#e9f7ec", "#3c9150"),
    "program": ("#fff6e0", "#c98b13"),
    "end": ("#fbeaea", "#b84a4a"),
}

_MARGIN: Final = 16
_GAP: Final = 84
_LINE: Final = 17
_PADDING: Final = 11
#: The widest that a letter of the fonts below is on average, in pixels.
_LETTER: Final = 7.0
_SMALL_LETTER: Final = 6.4
_STYLE: Final = (
    "text{font:13px sans-serif;fill:#1c2733}"
    ".first{font-weight:bold}"
    ".small{font:12px monospace;fill:#40505f}"
    ".beside{font:12px sans-serif;fill:#40505f}"
    "path{fill:none;stroke:#40505f;stroke-width:1.5}"
)
#: The tip of an arrow.
_TIP: Final = (
    '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
    'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 8 4 0 8"/></marker>'
)
_NAMESPACE: Final = "http://www.w3.org/2000/svg"


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    top: float
    width: float
    height: float
    text: str
    small: tuple[str, ...]
    kind: str

    @property
    def middle(self) -> tuple[float, float]:
        return self.left + self.width / 2, self.top + self.height / 2


def draw(source: str) -> str:
    """Return the SVG of a drawing.

    Raises:
        KeyError: An arrow names a box that is missing, or a box a kind that is missing.
        ValueError: A text is too long for its box.
    """
    drawing = tomllib.loads(source)
    boxes = _place(drawing)
    width = max(box.left + box.width for box in boxes.values()) + _MARGIN
    height = max(box.top + box.height for box in boxes.values()) + _MARGIN
    size = f'width="{width:g}" height="{height:g}"'
    lines = [
        f'<svg xmlns="{_NAMESPACE}" role="img" {size} viewBox="0 0 {width:g} {height:g}">',
        f"<title>{escape(drawing['title'])}</title>",
        f"<style>{_STYLE}</style>",
        _TIP,
        f'<rect {size} rx="6" fill="#ffffff"/>',
    ]
    for arrow in drawing.get("arrow", ()):
        lines += _draw_arrow(boxes[arrow["from"]], boxes[arrow["to"]], arrow)
    for box in boxes.values():
        lines += _draw_box(box)
    return "\n".join([*lines, "</svg>", ""])


def _place(drawing: dict[str, Any]) -> dict[str, _Box]:
    """Give each box its place. All boxes have the height of the one with the most lines."""
    widths: list[int] = drawing["columns"]
    given: dict[str, dict[str, Any]] = drawing["box"]
    gap = drawing.get("gap", _GAP)
    lines = 1 + max(len(box.get("small", ())) for box in given.values())
    height = lines * _LINE + 2 * _PADDING - 4
    gap_below = drawing.get("gap_below", _GAP // 2)
    boxes = {}
    for name, box in given.items():
        first, row = box["at"]
        last = first + box.get("across", 1) - 1
        rows = box.get("down", 1)
        placed = _Box(
            left=_MARGIN + sum(widths[: first - 1]) + (first - 1) * gap,
            top=_MARGIN + (row - 1) * (height + gap_below),
            width=sum(widths[first - 1 : last]) + (last - first) * gap,
            height=height * rows + gap_below * (rows - 1),
            text=box["text"],
            small=tuple(box.get("small", ())),
            kind=box.get("kind", "ours"),
        )
        longest = max(
            len(placed.text) * _LETTER, *(len(line) * _SMALL_LETTER for line in placed.small), 0
        )
        if longest > placed.width:
            raise ValueError(f"The text of {name!r} needs a box of {longest:.0f} pixels")
        boxes[name] = placed
    return boxes


def _draw_box(box: _Box) -> Iterator[str]:
    area, border = KINDS[box.kind]
    yield (
        f'<rect x="{box.left:g}" y="{box.top:g}" width="{box.width:g}" height="{box.height:g}" '
        f'rx="5" fill="{area}" stroke="{border}"/>'
    )
    x, y = box.middle
    y += 4.5 - len(box.small) * _LINE / 2
    yield _text("first", box.text, x, y, "middle")
    for line in box.small:
        y += _LINE
        yield _text("small", line, x, y, "middle")


def _draw_arrow(start: _Box, end: _Box, arrow: dict[str, Any]) -> Iterator[str]:
    shift = arrow.get("shift", 0)
    (x1, y1), (x2, y2) = start.middle, end.middle
    beside = start.left + start.width < end.left or end.left + end.width < start.left
    if beside:
        right = x1 < x2
        x1 = start.left + start.width if right else start.left
        x2 = end.left if right else end.left + end.width
        if start.height != end.height:
            y1 = y2 = y1 if start.height < end.height else y2
        y1, y2 = y1 + shift, y2 + shift
        label = (x1 + x2) / 2, (y1 + y2) / 2 - 5
        anchor = "middle"
    else:
        below = y1 < y2
        y1 = start.top + start.height if below else start.top
        y2 = end.top if below else end.top + end.height
        x1 = x2 = (x1 if start.width <= end.width else x2) + shift
        label = x1 + 7, (y1 + y2) / 2 + 4
        anchor = "start"
    yield f'<path d="M{x1:g} {y1:g} {x2:g} {y2:g}" marker-end="url(#tip)"/>'
    if text := arrow.get("text"):
        yield _text("beside", text, *label, anchor)


def _text(kind: str, text: str, x: float, y: float, anchor: str) -> str:
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'


def main() -> None:
    """Write the SVG of each drawing."""
    for path in sorted(FOLDER.glob("*.toml")):
        svg = draw(path.read_text(encoding="utf-8"))
        Path(path).with_suffix(".svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
