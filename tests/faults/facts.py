"""What a trial records about a fault, and how the documentation shows it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

__all__ = ["Facts", "Seen", "sections"]

_WORDS: Final = {"uvicorn": "Uvicorn", "daphne": "Daphne"}
#: The layers, as a narrow table names them.
_LAYERS: Final = {
    "redis": "core",
    "redis-pubsub": "pub/sub",
    "layers-redis": "ours",
    "layers-redis-history": "ours, history",
}
_COLUMNS: Final = ("Layer", "Lost", "Lines", "Back")


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

    def row(self) -> str:
        """Return the row of the fault's table: the worst page, and the worse server."""
        seen = self.servers.values()
        missed = max(one.missed for one in seen)
        cells = [
            _LAYERS[self.layer],
            f"{missed} of {self.accepted}" if self.accepted else "below",
            str(max(one.lines for one in seen)),
            "" if self.seconds is None else f"{self.seconds:.1f} s",
        ]
        return f"| {' | '.join(cells)} |"

    def remarks(self) -> str:
        """Return what connections have seen, and what is left over."""
        told = [self._each(_ends, "no connection ends")]
        if any(seen.notes for seen in self.servers.values()):
            told.append(self._each(lambda seen: ", ".join(seen.notes), ""))
        tracebacks = max(seen.tracebacks for seen in self.servers.values())
        if tracebacks:
            told.append(f"the log has {tracebacks} tracebacks")
        left = [self._each(_growth, ""), _changes("in Redis: ", *self.stored)]
        told.append(f"left over: {'; '.join(filter(None, left)) or 'nothing'}")
        return f"- *{_LAYERS[self.layer]}*: {'. '.join(map(_sentence, told))}."

    def _each(self, tell: Any, otherwise: str) -> str:
        told = {name: tell(seen) or otherwise for name, seen in self.servers.items()}
        if len(set(told.values())) == 1:
            return str(next(iter(told.values())))
        return "; ".join(f"{_WORDS[name]}: {text}" for name, text in told.items() if text)


def _sentence(text: str) -> str:
    return text if text.startswith("`") else text[0].upper() + text[1:]


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
                found.append(f"{name} ({more})")
            elif more > 1024:
                found.append(f"{more / 1024:.0f} MB")
    return what + ", ".join(found) if found else ""


def sections(trials: Iterable[Facts], told: dict[str, str]) -> str:
    """Return a section for each fault, in Markdown.

    Args:
        trials: The trials; those of a fault stand together.
        told: What happens in each fault.
    """
    head = [f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"]
    lines: list[str] = []
    for fault, group in groupby(trials, lambda facts: facts.fault):
        each = list(group)
        rows = [facts.row() for facts in each]
        remarks = [facts.remarks() for facts in each]
        lines += [f"### {fault}", "", told[fault], "", *head, *rows, "", *remarks, ""]
    return "\n".join([*lines, ""])
