"""Run rows: each round runs all peers in turn, each in a new process on one processor."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.case import OURS, Case, Row, Scale
from benchmarks.figures import Round
from benchmarks.mistake import MistakeError
from benchmarks.peers import BEFORE
from benchmarks.worker import DISHONEST
from tools.packages import ROOT

__all__ = [
    "FailedError",
    "Job",
    "jobs_of",
    "load",
    "measure_once",
    "order",
    "run_round",
    "with_parts",
]


class FailedError(Exception):
    """A process failed: its check of honesty, an error, or its time is over."""


class Job(NamedTuple):
    """What one process measures: a row, or several together, with the peers that can do it."""

    case_name: str
    case: Case
    rows: tuple[Row, ...]
    peers: tuple[str, ...]

    @property
    def row(self) -> Row:
        """Return the row that it is started for."""
        return self.rows[0]

    def key(self, row: Row | None = None) -> str:
        """Return the key in the results of a row, by default of the first one."""
        return f"{self.case_name}/{(row or self.row).name}"


def jobs_of(cases: Mapping[str, Case], peers: Sequence[str], *, quick: bool) -> list[Job]:
    """Return the jobs for these cases and peers; a row that no peer can do is left out."""
    found: list[Job] = []
    for name, case in cases.items():
        for row in case.rows:
            if found and row.together and row.together == found[-1].row.together:
                found[-1] = found[-1]._replace(rows=(*found[-1].rows, row))
                continue
            able = tuple(peer for peer in peers if program_of(peer) in row.peers)
            if able and (row.quick or not quick):
                found.append(Job(name, case, (row,), able))
    return found


def with_parts(jobs: Sequence[Job]) -> tuple[list[Job], list[str]]:
    """Return the jobs that can run here, and the programs that the others lack.

    Raises:
        MistakeError: A program is not here, and `CHANNELS_REQUIRE_PARTS` is set, as in CI.
    """
    lacking = {job.row.needs for job in jobs if job.row.needs and not shutil.which(job.row.needs)}
    if lacking and os.environ.get("CHANNELS_REQUIRE_PARTS"):
        raise MistakeError(
            f"Some rows need {' and '.join(sorted(lacking))}, which is not installed, and "
            "CHANNELS_REQUIRE_PARTS does not let them be left out."
        )
    return [job for job in jobs if job.row.needs not in lacking], sorted(lacking)


def program_of(peer: str) -> str:
    """Return the peer whose programs this one runs: another tree of ours runs ours."""
    return OURS if peer == BEFORE else peer


def order(peers: Sequence[str], number: int) -> list[str]:
    """Return the peers in the order of a round: each round begins with another one."""
    first = number % len(peers)
    return [*peers[first:], *peers[:first]]


def load() -> float:
    """Return the machine's load over the last minute, or -1 where it does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else -1.0


def processor() -> int | None:
    """Return the processor to run on: the last one that this process may use."""
    # The first one usually has the interrupts to handle.
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def command(job: Job, peer: str, python: Path, *, scale: Scale) -> list[str]:
    """Return the command that measures a row for one peer."""
    found = [str(python), "-m", "benchmarks.worker", job.case_name, job.row.name, program_of(peer)]
    if scale.quick:
        found.append("--quick")
    if scale.soak:
        found += ["--soak", str(scale.soak)]
    if job.case.pinned and (number := processor()) is not None:
        found += ["--processor", str(number)]
    return found


def environment() -> dict[str, str]:
    """Return the variables of a worker: none that would change what Python does."""
    dropped = ("PYTHON", "DJANGO", "COVERAGE", "VIRTUAL_ENV")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(dropped)}
    # The order of sets and dicts of texts is the same in every process.
    return {**kept, "PYTHONHASHSEED": "0"}


def measure_once(job: Job, peer: str, python: Path, *, scale: Scale) -> dict[str, float]:
    """Return the costs that one new process has measured, by row.

    Raises:
        FailedError: It failed, with what it said.
    """
    what = f"{job.key()} for {peer}"
    timeout = job.row.timeout + scale.more(job.row)
    with subprocess.Popen(
        command(job, peer, python, scale=scale),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A group of its own, so that servers that it started end with it.
        start_new_session=True,
    ) as process:
        try:
            out, said = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise FailedError(f"{what}: not done after {timeout:g} seconds") from None
        finally:
            _end_group(process)
    if process.returncode == DISHONEST:
        raise FailedError(f"{what} did not do what it counts: {said.strip()}")
    if process.returncode:
        raise FailedError(f"{what} ended with status {process.returncode}:\n{said.strip()}")
    figures: dict[str, float] = json.loads(out.splitlines()[-1])["figures"]
    return figures


_KILL: Final = getattr(signal, "SIGKILL", None)


def _end_group(process: subprocess.Popen[str]) -> None:
    """End what a process has left running."""
    if hasattr(os, "killpg") and _KILL is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, _KILL)
    elif process.poll() is None:
        process.kill()
    process.wait()


def run_round(
    job: Job,
    number: int,
    pythons: Mapping[str, Path],
    *,
    scale: Scale,
    done: Callable[[str], object] = lambda peer: None,
    peers: Iterable[str] | None = None,
) -> dict[str, Round]:
    """Run one round of a job, and return it for each of its rows, by key.

    Args:
        job: The job.
        number: Which round it is.
        pythons: The interpreter of each peer.
        scale: How much to do.
        done: Called after each peer.
        peers: Only these peers.

    Raises:
        FailedError: A process failed.
    """
    now, at = load(), datetime.now(UTC).isoformat(timespec="seconds")
    figures: dict[str, dict[str, float]] = {job.key(row): {} for row in job.rows}
    for peer in order(list(peers or job.peers), number):
        measured = measure_once(job, peer, pythons[peer], scale=scale)
        for row in job.rows:
            figures[job.key(row)][peer] = measured[row.name]
        done(peer)
    return {key: Round(each, now, at) for key, each in figures.items()}
