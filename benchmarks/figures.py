"""Figures of rounds, and ratios that are paired within a round."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

__all__ = ["Round", "Spread", "costs", "ratios"]


class Spread(NamedTuple):
    """The median of several figures, with the smallest and the largest."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread | None":
        """Return the spread of these figures, or None if there are none."""
        return cls(median(figures), min(figures), max(figures)) if figures else None


class Round(NamedTuple):
    """What one round of a row has measured.

    Attributes:
        figures: The cost for each peer.
        load: The machine's load when it began: processes that run or want to run.
        at: When it began, as `2026-01-31T12:30:00+00:00`. The files of earlier versions
            have only the day. It is "" for a round of a test.
        run: The number of the run that it is from, in the list of the results.
    """

    figures: Mapping[str, float]
    load: float
    at: str = ""
    run: int = 0


def costs(rounds: Sequence[Round], peer: str) -> Spread | None:
    """Return the cost for a peer."""
    return Spread.of([each.figures[peer] for each in rounds if peer in each.figures])


def ratios(rounds: Sequence[Round], peer: str, base: str) -> Spread | None:
    """Return how many times less than the base's the cost of a peer is.

    Each ratio is of two figures of the same round, because what else the machine did then affected
    both. The median of ratios is not the ratio of medians.
    """
    pairs = [each.figures for each in rounds if {peer, base} <= each.figures.keys()]
    # A clock with a low resolution may have seen nothing of a quick run.
    return Spread.of([figures[base] / figures[peer] for figures in pairs if figures[peer]])
