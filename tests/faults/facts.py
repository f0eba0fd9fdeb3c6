"""What a trial records about a fault, and the table of all trials."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Facts", "Seen", "table"]

_WORDS: Final = {"uvicorn": "Uvicorn", "daphne": "Daphne"}
_COLUMNS: Final = ("Fault", "Layer", "What connections see", "Lost", "In the logs", "Left over")


@dataclass
class Seen:
    """What a trial observed at one server."""

    ends: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    #: Log lines of level WARNING and above.
    lines: int = 0
    tracebacks: int = 0
    #: The most messages that any one of its pages missed.
    missed: int = 0
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    #: Remarks that are specific to the fault.
    notes: list[str] = field(default_factory=list)


@dataclass
class Facts:
    """What a trial observed with one layer."""

    fault: str
    layer: str
    servers: dict[str, Seen]
    #: Messages that `group_send` accepted.
    accepted: int = 0
    #: Seconds from the end of the fault until all pages received from all others again.
    seconds: float | None = None
    stored: tuple[dict[str, int], dict[str, int]] = ({}, {})
    notes: list[str] = field(default_factory=list)

    def row(self) -> str:
        """Return the row of the table."""
        cells = [self.fault, f"`{self.layer}`", self._connections(), self._lost(), self._log()]
        return f"| {' | '.join([*cells, self._left()])} |"

    def _connections(self) -> str:
        told = self._each(_ends)
        again = (
            ""
            if self.seconds is None
            else f"all pages hear all others again after {self.seconds:.1f} s"
        )
        return "; ".join(filter(None, [told, *self.notes, again]))

    def _lost(self) -> str:
        if not self.accepted:
            return self._each(lambda seen: "; ".join(seen.notes))
        return self._each(lambda seen: f"{seen.missed} of {self.accepted}")

    def _log(self) -> str:
        return self._each(
            lambda seen: f"{seen.lines} lines, {seen.tracebacks} tracebacks" if seen.lines else ""
        )

    def _left(self) -> str:
        return "; ".join(filter(None, [self._each(_growth), _changes("in Redis: ", *self.stored)]))

    def _each(self, tell: Any) -> str:
        told = {name: tell(seen) or "nothing" for name, seen in self.servers.items()}
        if len(set(told.values())) == 1:
            return str(next(iter(told.values())))
        return ", ".join(f"{_WORDS[name]}: {text}" for name, text in told.items())


def _ends(seen: Seen) -> str:
    ends = [f"closed {code} ({count})" for code, count in sorted(seen.ends.items())]
    refused = [f"refused {status} ({count})" for status, count in sorted(seen.refusals.items())]
    return ", ".join([*ends, *refused])


def _growth(seen: Seen) -> str:
    before, after = ({**state, **state.get("layer", {})} for state in (seen.before, seen.after))
    return _changes("", before, after)


def _changes(what: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    found = []
    for name, value in after.items():
        if isinstance(value, int) and value > before.get(name, 0):
            more = value - before.get(name, 0)
            # Processes allocate memory in steps, and return it late.
            if name != "resident":
                found.append(f"{more} {name}")
            elif more > 1024:
                found.append(f"{more / 1024:.0f} MB")
    return what + ", ".join(found) if found else ""


def table(rows: list[Facts]) -> str:
    """Return the table in Markdown."""
    head = [f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"]
    return "\n".join([*head, *(facts.row() for facts in rows), ""])
