"""Keep the results of runs in a JSON file, after each round, so that a run can be resumed.

A file may hold rows of several runs, because a run of one case keeps what other runs have measured
of the other cases. So each round says which run it is from.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.environments import FOLDER, versions
from benchmarks.figures import Round
from benchmarks.mistake import MistakeError
from benchmarks.peers import Peer
from tools.packages import ROOT

__all__ = ["DEFAULT", "QUICK", "Results", "commit"]

DEFAULT: Final = FOLDER / "results.json"
#: The counts of a quick run are too small for figures, so they have a file of their own.
QUICK: Final = FOLDER / "quick.json"


class Results:
    """The rounds of all rows, by `CASE/ROW`, and the runs that they are from.

    Attributes:
        runs: For each run its time, its commit, whether it was quick, the machine, the interpreter,
            and the peers with their versions. The files of earlier versions have one without a
            commit, even if several runs wrote them.
        rounds: The rounds of each row.
    """

    def __init__(
        self, path: Path, runs: list[dict[str, Any]], rounds: dict[str, list[Round]]
    ) -> None:
        """Hold the results; they are written to the path."""
        self.path = path
        self.runs = runs
        self.rounds = rounds

    @classmethod
    def new(cls, path: Path, peers: Sequence[Peer], *, quick: bool) -> "Results":
        """Return the results of a run that begins now, and of no other one."""
        found = cls(path, [], {})
        found.begin(peers, quick=quick)
        return found

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Return the results in a file.

        Raises:
            MistakeError: There is none, or it has something else.
        """
        if not path.is_file():
            raise MistakeError(f"There are no results in {path}: run without --resume and --show.")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            # Earlier files have the description of their first run only, and days without a time.
            runs = content["runs"] if "runs" in content else [content["about"]]
            rounds = {
                key: [
                    Round(
                        {peer: float(figure) for peer, figure in each["figures"].items()},
                        float(each["load"]),
                        each["at"] if "at" in each else each.get("day", runs[0]["begun"][:10]),
                        each.get("run", 0),
                    )
                    for each in found
                ]
                for key, found in content["rounds"].items()
            }
            found = cls(path, runs, rounds)
            found.check()
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise MistakeError(
                f"{path} has no results of the benchmarks ({type(error).__name__}: {error}): "
                "remove it, or name another file by --results."
            ) from None
        return found

    def check(self) -> None:
        """Check that each round is from a run that is described."""
        for run in self.runs:
            missing = {"begun", "quick", "python", "system", "machine", "processors"} - run.keys()
            if missing:
                raise KeyError(min(missing))
        for rounds in self.rounds.values():
            for each in rounds:
                self.runs[each.run]

    @property
    def about(self) -> dict[str, Any]:
        """Return the description of the latest run."""
        return self.runs[-1]

    def begin(self, peers: Sequence[Peer], *, quick: bool) -> None:
        """Begin a run: rounds that are added from now on are from it."""
        # Without the runs of which no round is left.
        used = sorted({each.run for found in self.rounds.values() for each in found})
        self.runs = [self.runs[number] for number in used]
        self.rounds = {
            key: [each._replace(run=used.index(each.run)) for each in found]
            for key, found in self.rounds.items()
        }
        self.runs.append(
            {
                "begun": datetime.now(UTC).isoformat(timespec="seconds"),
                "commit": commit(),
                "quick": quick,
                "python": sys.version.split()[0],
                "system": platform.system(),
                "machine": platform.machine(),
                "processors": os.cpu_count(),
                "peers": {
                    peer.name: {"title": peer.title, "pins": versions(peer)} for peer in peers
                },
            }
        )

    def add(self, key: str, measured: Round) -> None:
        """Add a round of a row, measured by the latest run, and write the file."""
        measured = measured._replace(run=len(self.runs) - 1)
        self.rounds.setdefault(key, []).append(measured)
        self.save()

    def save(self) -> None:
        """Write the file."""
        content = {
            "runs": self.runs,
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
        """Drop the rounds of these rows, to measure them again; the file has them until `save`."""
        for key in keys:
            self.rounds.pop(key, None)

    def copy(self) -> Path:
        """Copy the file as it is now, and return the copy's path."""
        now = datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
        target = self.path.with_name(f"{self.path.stem}-until-{now}{self.path.suffix}")
        shutil.copy(self.path, target)
        return target

    def is_quick(self, key: str) -> bool | None:
        """Return whether a row has rounds of a quick run; None if it has no rounds."""
        found = [bool(self.runs[each.run]["quick"]) for each in self.rounds.get(key, [])]
        return any(found) if found else None

    def measured(self, key: str) -> set[str]:
        """Return the peers that have figures of a row."""
        return {peer for each in self.rounds.get(key, []) for peer in each.figures}

    def complete(self, key: str, peers: Iterable[str]) -> int:
        """Return how many rounds of a row have all of these peers."""
        return sum({*peers} <= each.figures.keys() for each in self.rounds.get(key, []))

    def days(self) -> list[str]:
        """Return the first and the last day on which a row was measured, or the only one."""
        found = {each.at[:10] for rounds in self.rounds.values() for each in rounds}
        return [min(found), max(found)] if len(found) > 1 else [*found]

    def load_spread(self) -> tuple[float, float]:
        """Return the least and the greatest load of all rounds."""
        loads = [each.load for found in self.rounds.values() for each in found] or [0.0]
        return min(loads), max(loads)


def commit(tree: Path = ROOT) -> str:
    """Return the commit of a tree, with `and changes` if it has any; "" without git."""
    try:
        top, found = _git(tree, "rev-parse", "--show-toplevel", "HEAD").split("\n")
        # A tree that was unpacked inside of another repository has no commit of its own.
        if Path(top).resolve() != tree.resolve():
            return ""
        # Of what is measured: text may change.
        changes = _git(tree, "status", "--porcelain", "--", "packages", "benchmarks")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{found} and changes" if changes else found


def _git(tree: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(tree), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
