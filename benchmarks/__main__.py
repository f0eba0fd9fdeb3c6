"""Run the benchmarks: `make bench ARGS='echo-text 6 --rounds 9'` runs two cases.

A case has a name, such as echo-text, and a number; several cases may share a number.
"""

import argparse
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from sqlite3 import OperationalError
from typing import Final, NoReturn, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import cases
from benchmarks.case import Case, Scale
from benchmarks.environments import FOLDER, import_packages, install
from benchmarks.mistake import MistakeError
from benchmarks.page import publish
from benchmarks.peers import PEERS, Peer, before
from benchmarks.results import DEFAULT, QUICK, Results
from benchmarks.runner import FailedError, Job, jobs_of, run_round, with_parts
from benchmarks.table import LEGEND, block
from tools.env import exclusive

__all__ = ["alone", "main", "opened", "parser", "selected_cases", "selected_peers"]

ROUNDS: Final = 3
QUICK_ROUNDS: Final = 1

#: The exit statuses of a wrong call and of Ctrl-C, as shells have them.
MISTAKE: Final = 2
INTERRUPTED: Final = 130

GO_ON: Final = "The same command with --resume goes on from here."

T = TypeVar("T")


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """End the program."""
        self.exit(MISTAKE, f"{message}; --help lists the options.\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = Parser(prog="make bench ARGS=", description=__doc__)
    found.add_argument("cases", nargs="*", help="names or numbers of cases; all if none is named")
    found.add_argument("--rounds", type=_count, help=f"how many, by default {ROUNDS}")
    found.add_argument("--peers", default=",".join(PEERS), help="names, with commas")
    found.add_argument("--before", type=Path, help="another tree of ours to compare with")
    found.add_argument("--quick", action="store_true", help="check honesty, with small counts")
    found.add_argument("--soak", type=_minutes, default=0.0, help="minutes for the case soak")
    found.add_argument("--minutes", type=_minutes, help="begin no row after so many minutes")
    found.add_argument("--resume", action="store_true", help="add what the results lack")
    found.add_argument(
        "--results", type=Path, help=f"the file: {DEFAULT.name}, or {QUICK.name} with --quick"
    )
    found.add_argument("--show", action="store_true", help="run nothing, show the results")
    found.add_argument("--publish", action="store_true", help="write docs/performance/")
    found.add_argument("--list", action="store_true", help="list the cases and their rows")
    return found


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


def _minutes(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found > 0):
        raise argparse.ArgumentTypeError(f"expected minutes, more than 0, got {text!r}")
    return found


def selected_cases(wanted: Sequence[str]) -> dict[str, Case]:
    """Return the cases with these names or numbers, or all, in the order of the table.

    Raises:
        MistakeError: There is no such case.
    """
    every = {name: cases.load(name) for name in cases.NAMES}
    known = {*every, *(str(case.number) for case in every.values())}
    if unknown := [one for one in wanted if one not in known]:
        raise MistakeError(
            f"There is no case {', '.join(unknown)}: choose from {', '.join(every)}."
        )
    return {
        name: case
        for name, case in every.items()
        if not wanted or name in wanted or str(case.number) in wanted
    }


def selected_peers(names: str, tree: Path | None) -> list[Peer]:
    """Return the peers with these names, in the order of the table.

    Raises:
        MistakeError: There is no such peer, or the tree is none of ours.
    """
    wanted = names.split(",")
    if unknown := [one for one in wanted if one not in PEERS]:
        raise MistakeError(
            f"There is no peer {', '.join(unknown)}: choose from {', '.join(PEERS)}."
        )
    found = [peer for peer in PEERS.values() if peer.name in wanted]
    if tree is None:
        return found
    if not import_packages(tree):
        raise MistakeError(f"--before: {tree} is no checkout, it has no packages/*/src.")
    return [*found, before(tree)]


def selected_jobs(chosen: dict[str, Case], peers: Sequence[Peer], *, quick: bool) -> list[Job]:
    """Return the jobs of the cases for the peers.

    Raises:
        MistakeError: No row has one of the peers.
    """
    found = jobs_of(chosen, [peer.name for peer in peers], quick=quick)
    if not found:
        able = {name for case in chosen.values() for row in case.rows for name in row.peers}
        raise MistakeError(
            f"{', '.join(chosen)} is not for {', '.join(peer.name for peer in peers)}: "
            f"choose --peers from {', '.join(name for name in PEERS if name in able)}."
        )
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for, and show the results."""
    options = parser().parse_args(arguments)
    try:
        act(options)
    except MistakeError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(MISTAKE)
    except KeyboardInterrupt:
        sys.stderr.write(f"The run was interrupted. {GO_ON}\n")
        sys.exit(INTERRUPTED)


def act(options: argparse.Namespace) -> None:
    """Do what the command line asks for.

    Raises:
        MistakeError: It cannot be done.
    """
    # A file or a pipe has no width.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    chosen = selected_cases(options.cases)
    if options.list:
        for name, case in chosen.items():
            console.print(f"{case.number:>3} {name}: {', '.join(row.name for row in case.rows)}")
        return
    peers = selected_peers(options.peers, options.before)
    jobs = selected_jobs(chosen, peers, quick=options.quick)
    path = options.results or (QUICK if options.quick else DEFAULT)
    if options.show:
        results = Results.load(path)
    else:
        # An exit ends the process that measures, too.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(f"The run was ended. {GO_ON}"))
        results = alone(lambda: run(jobs, peers, path, options, console))
    show(jobs, peers, results, console)
    if options.publish:
        # Always the whole page: what other runs have measured stays on it.
        every = jobs_of(selected_cases([]), list(PEERS), quick=False)
        for line in publish(every, results):
            console.print(line, soft_wrap=True)


def show(jobs: Sequence[Job], peers: Sequence[Peer], results: Results, console: Console) -> None:
    """Print the results of these jobs, a block for each case."""
    console.print(LEGEND)
    missing = []
    for name in dict.fromkeys(job.case_name for job in jobs):
        own = [job for job in jobs if job.case_name == name]
        measured = [
            (row, rounds)
            for job in own
            for row in job.rows
            if (rounds := results.rounds.get(job.key(row)))
        ]
        if measured:
            title = f"{own[0].case.number} {name}: {own[0].case.title}"
            console.print("", block(title, measured, peers, console.width))
        else:
            missing.append(name)
    if missing:
        console.print(f"\nWithout results in {results.path.name}: {', '.join(missing)}.")


def alone(work: Callable[[], T]) -> T:
    """Do the work unless another run does: it would replace our packages, and take its time.

    Raises:
        MistakeError: Another run has not ended.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(FOLDER / "run.lock", patience=1):
            return work()
    except OperationalError:
        raise MistakeError("Another run of the benchmarks has not ended yet.") from None


def opened(
    path: Path, jobs: Sequence[Job], options: argparse.Namespace, console: Console
) -> Results:
    """Return the results that a run adds to: without those of its rows, unless it resumes.

    Raises:
        MistakeError: They are no results, or the path cannot have them.
    """
    if path.is_dir():
        raise MistakeError(f"--results: {path} is a folder, expected a file.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MistakeError(f"--results: {path} cannot be written ({error}).") from None
    if not path.exists() and not options.resume:
        return Results(path, [], {})
    results = Results.load(path)
    keys = [job.key(row) for job in jobs for row in job.rows]
    if options.resume:
        if other := [key for key in keys if results.is_quick(key) is (not options.quick)]:
            kind = "full" if options.quick else "quick"
            raise MistakeError(
                f"{path} has {kind} rounds of {other[0]}, and a row cannot have both kinds: "
                "run without --resume, or name another file by --results."
            )
        return results
    # Measured for long, so a run that replaces it keeps a copy.
    if lost := [key for key in keys if results.is_quick(key) is False]:
        names = dict.fromkeys(key.partition("/")[0] for key in lost)
        console.print(
            f"{path.name} gets new results of {', '.join(names)}, and keeps the others. "
            f"A copy of it as it was is {results.copy()}.",
            soft_wrap=True,
        )
    results.forget(keys)
    return results


def run(
    jobs: Sequence[Job],
    peers: Sequence[Peer],
    path: Path,
    options: argparse.Namespace,
    console: Console,
) -> Results:
    """Run all jobs that the results lack, and return the results.

    Raises:
        MistakeError: The results or what a row needs is missing.
    """
    jobs, lacking = with_parts(jobs)
    for program in lacking:
        console.print(f"{program} is not installed: the rows that need it are left out.")
    results = opened(path, jobs, options, console)
    results.begin(peers, quick=options.quick)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    began = time.monotonic()
    # Without a terminal, one line for each row is better than a bar that is drawn again and again.
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with progress:
        bar = progress.add_task("environments", total=len(peers))
        pythons = {}
        for peer in peers:
            pythons[peer.name] = install(peer)
            progress.advance(bar)
        wanted = {job.key(): min(rounds, job.row.rounds or rounds) for job in jobs}
        # A round that lacks a peer has no ratio with it.
        todo = [(job, wanted[job.key()] - results.complete(job.key(), job.peers)) for job in jobs]
        progress.reset(bar, total=sum(max(left, 0) * len(job.peers) for job, left in todo))
        for job, left in todo:
            if left <= 0:
                continue
            if options.minutes and time.monotonic() - began > options.minutes * 60:
                console.print(f"The time is over. {GO_ON}")
                return results
            progress.update(bar, description=job.key())
            for number in range(wanted[job.key()] - left, wanted[job.key()]):
                try:
                    measured = run_round(
                        job,
                        number,
                        pythons,
                        scale=Scale(options.quick, options.soak),
                        done=lambda peer: progress.advance(bar),
                    )
                except FailedError as error:
                    progress.stop()
                    sys.exit(f"{error}")
                for key, found in measured.items():
                    results.add(key, found)
            if not console.is_terminal:
                children = os.times()
                cpu = children.children_user + children.children_system
                passed = time.monotonic() - began
                console.print(f"{passed:6.0f} s, {cpu:6.0f} s of CPU time  {job.key()}")
    return results


if __name__ == "__main__":
    main()
