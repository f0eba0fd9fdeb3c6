"""Plots as SVG: peers as bars, and costs against sizes as lines."""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pygal
from pygal.style import Style

from benchmarks.case import UPSTREAM
from benchmarks.figures import costs, ratios
from benchmarks.peers import Peer
from benchmarks.table import Measured

__all__ = ["bars", "line", "plots"]

# pygal adds a finder of modules, for plugins with maps, that Python 3.11 warns of at every import.
sys.meta_path[:] = [
    each for each in sys.meta_path if type(each).__module__.partition(".")[0] != "pygal"
]

FONT: Final = "sans-serif"


def _options(name: str, peers: Sequence[Peer]) -> dict[str, Any]:
    """Return what all plots have in common."""
    style = Style(
        background="white",
        plot_background="white",
        foreground="#333333",
        foreground_strong="#111111",
        foreground_subtle="#999999",
        colors=tuple(peer.color for peer in peers),
        font_family=FONT,
        title_font_size=18,
        label_font_size=13,
        major_label_font_size=13,
        legend_font_size=13,
        value_font_size=11,
        opacity=1,
    )
    return {
        "style": style,
        "logarithmic": True,
        # No script: the pages fetch nothing from anywhere.
        "js": (),
        "legend_at_bottom": True,
        "legend_at_bottom_columns": len(peers),
        "width": 900,
        "disable_xml_declaration": True,
        "truncate_legend": -1,
        "truncate_label": -1,
    }


def _render(chart: Any, name: str) -> str:
    """Return the SVG, the same for the same figures."""
    chart.uuid = name
    drawn = str(chart.render(is_unicode=True))
    # Comments have the date and links, and the script only keeps data for tooltips.
    return re.sub(r"<!--.*?-->|<script.*?</script>", "", drawn, flags=re.DOTALL) + "\n"


def bars(name: str, title: str, measured: Measured, peers: Sequence[Peer]) -> str:
    """Return a plot of how many times better than upstream each peer is.

    Args:
        name: A name that is unique among the plots of a page.
        title: What the rows have in common.
        measured: Rows that upstream has a part in.
        peers: The peers, in the order of the legend.
    """
    shown = [peer for peer in peers if peer.name != UPSTREAM and _takes_part(peer, measured)]
    chart = pygal.HorizontalBar(
        title=f"{title}: times better than Channels 4.3.2 (left of 1: worse)",
        height=110 + len(measured) * (18 * len(shown) + 14),
        print_values=True,
        # As good as upstream: what is worse goes to the left.
        zero=1,
        print_values_position="top",
        **_options(name, shown),
    )
    # Horizontal bars begin at the bottom.
    rows = list(reversed(measured))
    chart.x_labels = [row.title for row, _ in rows]
    chart.value_formatter = _times
    values = {peer: [ratios(rounds, peer.name, UPSTREAM) for _, rounds in rows] for peer in shown}
    medians = [spread.median for found in values.values() for spread in found if spread]
    chart.y_labels = _scale([1.0, *medians])
    for peer, found in values.items():
        chart.add(peer.title, [spread and spread.median for spread in found])
    return _render(chart, name)


def line(name: str, title: str, measured: Measured, peers: Sequence[Peer]) -> str:
    """Return a plot of the cost against the size of each row.

    Args:
        name: A name that is unique among the plots of a page.
        title: What the rows are points of.
        measured: Rows that differ in their size.
        peers: The peers, in the order of the legend.
    """
    shown = [peer for peer in peers if _takes_part(peer, measured)]
    chart = pygal.Line(
        title=title,
        height=420,
        y_title="microseconds",
        **_options(name, shown),
    )
    chart.x_labels = [f"{row.size:,}" for row, _ in measured]
    chart.value_formatter = _microseconds
    values = {peer: [costs(rounds, peer.name) for _, rounds in measured] for peer in shown}
    medians = [spread.median * 1e6 for found in values.values() for spread in found if spread]
    chart.y_labels = _scale(medians)
    for peer, found in values.items():
        chart.add(peer.title, [spread and spread.median * 1e6 for spread in found])
    return _render(chart, name)


def plots(case: str, title: str, measured: Measured, peers: Sequence[Peer]) -> Mapping[str, str]:
    """Return the plots of a case by file name: its bars, and one for each line.

    Args:
        case: The name of the case.
        title: Its title.
        measured: Its rows.
        peers: The peers.
    """
    rows = [(row, rounds) for row, rounds in measured if rounds]
    found = {}
    if compared := [
        (row, rounds)
        for row, rounds in rows
        if UPSTREAM in row.peers and not (row.line or row.absolute)
    ]:
        found[f"{case}.svg"] = bars(case, title, compared, peers)
    for title_of_line in dict.fromkeys(row.line for row, _ in rows if row.line):
        points = [(row, rounds) for row, rounds in rows if row.line == title_of_line]
        name = f"{case}-{points[0][0].name.rpartition('-')[0]}"
        found[f"{name}.svg"] = line(name, title_of_line, points, peers)
    return found


def _scale(figures: Sequence[float]) -> list[float]:
    """Return the labels of a logarithmic axis: 1, 2, 5, 10, 20 and so on around the figures."""
    least, most = min(figures), max(figures)
    every = [base * 10.0**power for power in range(-3, 9) for base in (1, 2, 5)]
    below = [one for one in every if one <= least][-1:]
    return [*below, *(one for one in every if least < one < most * 2.5)]


def _takes_part(peer: Peer, measured: Measured) -> bool:
    return any(peer.name in one.figures for _, rounds in measured for one in rounds)


def _times(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _microseconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"
