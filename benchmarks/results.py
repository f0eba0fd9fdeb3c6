"""Keep the results of a run in a JSON file, after each round, so that a run can be resumed."""

import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.environments import FOLDER, versions
from benchmarks.figures import Round
from benchmarks.peers import Peer

__all__ = ["DEFAULT", "Results"]

DEFAULT: Final = FOLDER / "results.json"


class Results:
    """The rounds of all rows of a run, by `CASE/ROW`, and what the run was made with.

    Attributes:
        about: The machine, the interpreter, the peers and their versions.
        rounds: The rounds of each row.
    """

    def __init__(self, path: Path, about: dict[str, Any], rounds: dict[str, list[Round]]) -> None:
        """Hold the results; they are written to the path."""
        self.path = path
        self.about = about
        self.rounds = rounds

    @classmethod
    def new(cls, path: Path, peers: Sequence[Peer], *, quick: bool) -> "Results":
        """Return the results of a run that begins now."""
        about = {
            "begun": datetime.now(UTC).isoformat(timespec="seconds"),
            "quick": quick,
            "python": sys.version.split()[0],
            "system": platform.system(),
            "machine": platform.machine(),
            "processors": os.cpu_count(),
            "peers": {peer.name: {"title": peer.title, "pins": versions(peer)} for peer in peers},
        }
        return cls(path, about, {})

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Return the results in a file.

        Raises:
            FileNotFoundError: There is none.
        """
        content = json.loads(path.read_text(encoding="utf-8"))
        begun = content["about"]["begun"][:10]
        rounds = {
            key: [Round(each["figures"], each["load"], each.get("day", begun)) for each in found]
            for key, found in content["rounds"].items()
        }
        return cls(path, content["about"], rounds)

    def add(self, key: str, measured: Round) -> None:
        """Add a round of a row, and write the file."""
        self.rounds.setdefault(key, []).append(measured)
        self.save()

    def save(self) -> None:
        """Write the file."""
        content = {
            "about": self.about,
            "rounds": {
                key: [{**each._asdict(), "figures": dict(each.figures)} for each in found]
                for key, found in self.rounds.items()
            },
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # In two steps, so that an interrupted run leaves a whole file.
        other = self.path.with_suffix(".new")
        other.write_text(json.dumps(content, indent=1), encoding="utf-8")
        other.replace(self.path)

    def forget(self, keys: Iterable[str]) -> None:
        """Drop the rounds of these rows, to measure them again."""
        for key in keys:
            self.rounds.pop(key, None)

    def days(self) -> list[str]:
        """Return the first and the last day on which a row was measured, or the only one."""
        found = {each.day for rounds in self.rounds.values() for each in rounds}
        return [min(found), max(found)] if len(found) > 1 else [*found]

    def load_spread(self) -> tuple[float, float]:
        """Return the least and the greatest load of all rounds."""
        loads = [each.load for found in self.rounds.values() for each in found] or [0.0]
        return min(loads), max(loads)
