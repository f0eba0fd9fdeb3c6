"""The table in the terminal."""

from collections.abc import Sequence
from typing import Final

from rich.table import Table

from benchmarks.case import BYTES, LIMIT, SECONDS, UPSTREAM, Row
from benchmarks.figures import Round, Spread, costs, ratios
from benchmarks.peers import Peer
from benchmarks.runner import Job

UNITS: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))

__all__ = ["base_of", "cost_text", "ratio_text", "table"]


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


def table(results: Sequence[tuple[Job, Row, Sequence[Round]]], peers: Sequence[Peer]) -> Table:
    """Return the table of a run."""
    found = Table(title="times better than Channels 4.3.2: median (smallest to largest round)")
    found.add_column("row", no_wrap=True)
    found.add_column("Channels 4.3.2", justify="right")
    shown = [peer for peer in peers if peer.name != UPSTREAM]
    for peer in shown:
        found.add_column(peer.title, justify="right")
    found.add_column("load", justify="right")
    number = None
    for job, row, rounds in results:
        if job.case.number != number:
            found.add_section()
            number = job.case.number
        base = base_of(row)
        cost = costs(rounds, UPSTREAM)
        cells = [f"{cost_text(row, cost.median)} / {row.per}" if cost else ""]
        for peer in shown:
            if base == UPSTREAM:
                cells.append(ratio_text(ratios(rounds, peer.name, base)))
            else:
                own = costs(rounds, peer.name)
                cells.append(f"{cost_text(row, own.median)}" if own else "")
        loads = [each.load for each in rounds]
        cells.append(f"{min(loads):.1f} to {max(loads):.1f}" if loads else "")
        found.add_row(f"{job.case.number}  {row.title}", *cells)
    return found


def _short(figure: float) -> str:
    if figure >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"
