"""The table in the terminal."""

from collections.abc import Sequence
from typing import Final, TypeAlias

from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmarks.case import BYTES, LIMIT, SECONDS, UPSTREAM, Row
from benchmarks.figures import Round, Spread, costs, ratios
from benchmarks.peers import Peer

#: Rows of a case with their rounds.
Measured: TypeAlias = Sequence[tuple[Row, Sequence[Round]]]

#: What a table says of its figures.
LEGEND: Final = (
    "Figures are medians of the rounds. A figure with a unit is a cost; one without says how many "
    "times less it costs than Channels 4.3.2, with the smallest and the largest round in brackets."
)

#: The least number of characters for the title of a row.
TITLE: Final = 26

UNITS: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))

__all__ = [
    "LEGEND",
    "Measured",
    "base_of",
    "block",
    "cost_text",
    "figure_text",
    "load_text",
    "ratio_text",
]


def base_of(row: Row) -> str:
    """Return the peer that ratios are of: upstream, or the limit where there are no ratios."""
    return UPSTREAM if UPSTREAM in row.peers and not row.absolute else LIMIT


def cost_text(row: Row, figure: float) -> str:
    """Return a cost with a unit that suits it."""
    if row.unit == BYTES:
        return f"{figure / 1024:.1f} KiB"
    if row.unit != SECONDS:
        return f"{figure:.3g} {row.unit}"
    # Microseconds also for what takes less than one.
    size, unit = next((one for one in UNITS if figure >= one[0]), UNITS[-1])
    return f"{figure / size:.3g} {unit}"


def ratio_text(spread: Spread | None, *, full: bool = True) -> str:
    """Return a ratio, with the smallest and the largest of the rounds."""
    if spread is None:
        return ""
    middle = _short(spread.median)
    if not full or spread.least == spread.most:
        return middle
    return f"{middle} ({_short(spread.least)} to {_short(spread.most)})"


def figure_text(row: Row, rounds: Sequence[Round], peer: str, per: str) -> str:
    """Return how many times better than upstream a peer is, or its cost where there is no ratio.

    Args:
        row: The row.
        rounds: Its rounds.
        peer: The peer.
        per: What to write between a cost and what it is for, unless the cost with upstream, which
            stands beside it, says what it is for.
    """
    if base_of(row) == UPSTREAM and (times := ratio_text(ratios(rounds, peer, UPSTREAM))):
        return times
    own = costs(rounds, peer)
    text = cost_text(row, own.median) if own else ""
    return f"{text} {per} {row.per}" if own and not costs(rounds, UPSTREAM) else text


def load_text(loads: Sequence[float]) -> str:
    """Return the load of the machine, or the least and the greatest of it."""
    least, most = f"{min(loads):.1f}", f"{max(loads):.1f}"
    return least if least == most else f"{least} to {most}"


def block(title: str, measured: Measured, peers: Sequence[Peer], width: int) -> Table | Group:
    """Return what the terminal shows of a case: a table, or a list where a table is too wide."""
    names, rows = _cells(measured, peers)
    # The title of a row may be on several lines, a figure may not.
    columns = list(zip(names, *rows, strict=True))[1:]
    needed = sum(max(map(len, column)) for column in columns)
    if TITLE + needed + 3 * len(names) + 1 > width:
        return _list(title, names, rows)
    found = Table(title=title, title_justify="left")
    found.add_column(names[0], min_width=TITLE)
    for name in names[1:]:
        found.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        found.add_row(*row)
    return found


def _cells(measured: Measured, peers: Sequence[Peer]) -> tuple[list[str], list[list[str]]]:
    """Return the head of a table, and its rows: with a column for each peer that has figures."""
    having = {peer for _, rounds in measured for each in rounds for peer in each.figures}
    # Upstream comes first, because the others are compared with it.
    shown = sorted(
        (peer for peer in peers if peer.name in having), key=lambda peer: peer.name != UPSTREAM
    )
    rows = []
    for row, rounds in measured:
        loads = [each.load for each in rounds]
        cells = [_cell(row, rounds, peer.name) for peer in shown]
        rows.append([row.title, *cells, load_text(loads)])
    return ["row", *(peer.title for peer in shown), "load"], rows


def _cell(row: Row, rounds: Sequence[Round], peer: str) -> str:
    if peer != UPSTREAM:
        return figure_text(row, rounds, peer, "/")
    cost = costs(rounds, UPSTREAM)
    return f"{cost_text(row, cost.median)} / {row.per}" if cost else ""


def _list(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Group:
    """Return one line for each figure, below the title of its row."""
    lines: list[Text | Table] = [Text(title, style="italic")]
    for row in rows:
        figures = Table.grid(padding=(0, 2), pad_edge=True)
        for name, text in zip(names[1:], row[1:], strict=True):
            if text:
                figures.add_row(name, text)
        lines += [Text(row[0], style="bold"), figures]
    return Group(*lines)


def _short(figure: float) -> str:
    if figure >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"
