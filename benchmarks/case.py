"""What a case is: rows, each of which gives one figure for each peer.

It uses only the standard library, because it runs in the environment of every peer.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["BYTES", "LIMIT", "OURS", "SECONDS", "UPSTREAM", "Case", "Row", "Scale"]

OURS: Final = "ours"
UPSTREAM: Final = "upstream"
LIMIT: Final = "limit"

SECONDS: Final = "s"
BYTES: Final = "bytes"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: a cost, so that less is better.

    Attributes:
        name: Unique in its case.
        title: What the table says.
        per: What the cost is for, such as `frame`.
        peers: The peers that can do it, in any order.
        unit: The unit of the figure: `SECONDS` or `BYTES`.
        size: How much there is of what `line` is about.
        line: The title of the plot in which this row is a point. Rows of a line differ by `size`.
        rounds: At most so many rounds, for a row that takes long.
        quick: Whether `make bench-quick` runs it.
        timeout: Seconds for one process.
        together: Rows with the same text here are measured by one process, which is started for the
            first of them and returns the figures of all.
        needs: A program that must be on the PATH.
        absolute: Whether tables show figures, not ratios.
        soaks: Whether it takes as many minutes more as `--soak` says.
    """

    name: str
    title: str
    per: str
    peers: tuple[str, ...]
    unit: str = SECONDS
    size: int = 0
    line: str = ""
    rounds: int | None = None
    quick: bool = True
    timeout: float = 120
    together: str = ""
    needs: str = ""
    absolute: bool = False
    soaks: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """Rows that share a module.

    Attributes:
        number: Its number in the performance page.
        title: What it is about.
        method: What is measured and how, in one or two sentences for the page.
        rows: The rows, in the order of the table.
        pinned: Whether all of it runs on one processor, where the system allows that.
    """

    number: int
    title: str
    method: str
    rows: tuple[Row, ...]
    pinned: bool = True

    def row(self, name: str) -> Row:
        """Return the row of that name."""
        return next(row for row in self.rows if row.name == name)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much to do: a full run measures, a quick one only checks.

    Attributes:
        quick: Whether it is a quick one.
        soak: For how many minutes to soak, or 0 for a time that suits the kind of run.
    """

    quick: bool = False
    soak: float = 0

    def count(self, full: int, quick: int) -> int:
        """Return how many of something to do."""
        return quick if self.quick else full

    def more(self, row: Row) -> float:
        """Return the seconds that a process may take beyond the row's timeout."""
        return self.soak * 60 if row.soaks else 0

    @property
    def repetitions(self) -> int:
        """Return how often a process repeats a measurement, to take the smallest."""
        return self.count(5, 2)
