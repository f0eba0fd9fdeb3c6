"""Run the benchmarks: `make bench ARGS='echo-text 6 --rounds 9'` runs two cases.

A case has a name, such as echo-text, and a number; several cases may share a number.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from sqlite3 import OperationalError

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import cases
from benchmarks.case import Case, Scale
from benchmarks.environments import FOLDER, install
from benchmarks.page import publish
from benchmarks.peers import PEERS, Peer, before
from benchmarks.results import DEFAULT, Results
from benchmarks.runner import FailedError, Job, jobs_of, run_round
from benchmarks.table import LEGEND, block
from tools.env import exclusive

__all__ = ["alone", "main", "parser", "selected_cases", "selected_peers"]

ROUNDS = 3
QUICK_ROUNDS = 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(prog="make bench ARGS=", description=__doc__)
    found.add_argument("cases", nargs="*", help="names or numbers of cases; all if none is named")
    found.add_argument("--rounds", type=int, help=f"how many, by default {ROUNDS}")
    found.add_argument("--peers", default=",".join(PEERS), help="names, with commas")
    found.add_argument("--before", type=Path, help="another tree of ours to compare with")
    found.add_argument("--quick", action="store_true", help="check honesty, with small counts")
    found.add_argument("--soak", type=float, default=0, help="minutes for the case soak")
    found.add_argument("--minutes", type=float, help="begin no row after so many minutes")
    found.add_argument("--resume", action="store_true", help="go on with the results in the file")
    found.add_argument("--again", action="store_true", help="drop old results of the named cases")
    found.add_argument("--results", type=Path, default=DEFAULT, help="the file")
    found.add_argument("--show", action="store_true", help="run nothing, show the results")
    found.add_argument("--publish", action="store_true", help="write docs/performance/")
    found.add_argument("--list", action="store_true", help="list the cases and their rows")
    return found


def selected_cases(wanted: Sequence[str]) -> dict[str, Case]:
    """Return the cases with these names or numbers, or all, in the order of the table."""
    every = {name: cases.load(name) for name in cases.NAMES}
    known = {*every, *(str(case.number) for case in every.values())}
    if unknown := [one for one in wanted if one not in known]:
        sys.exit(f"There is no case {', '.join(unknown)}: choose from {', '.join(every)}.")
    return {
        name: case
        for name, case in every.items()
        if not wanted or name in wanted or str(case.number) in wanted
    }


def selected_peers(names: str, tree: Path | None) -> list[Peer]:
    """Return the peers with these names, in the order of the table."""
    wanted = names.split(",")
    if unknown := [one for one in wanted if one not in PEERS]:
        sys.exit(f"There is no peer {', '.join(unknown)}: choose from {', '.join(PEERS)}.")
    found = [peer for peer in PEERS.values() if peer.name in wanted]
    return [*found, before(tree)] if tree else found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for, and show the results."""
    options = parser().parse_args(arguments)
    # A file or a pipe has no width.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    chosen = selected_cases(options.cases)
    if options.list:
        for name, case in chosen.items():
            console.print(f"{case.number:>3} {name}: {', '.join(row.name for row in case.rows)}")
        return
    peers = selected_peers(options.peers, options.before)
    jobs = jobs_of(chosen, [peer.name for peer in peers], quick=options.quick)
    if options.resume or options.again or options.show:
        if not options.results.is_file():
            sys.exit(f"There are no results in {options.results}: run without --resume and --show.")
        results = Results.load(options.results)
        if options.again:
            results.forget(job.key(row) for job in jobs for row in job.rows)
    else:
        results = Results.new(options.results, peers, quick=options.quick)
    if not options.show:
        # An exit ends the process that measures, too.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("The run was ended."))
        alone(lambda: run(jobs, peers, results, options, console))
    show(jobs, peers, results, console)
    if options.publish:
        publish(jobs, results)


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


def alone(work: Callable[[], object]) -> None:
    """Do the work unless another run does: it would replace our packages, and take its time."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(FOLDER / "run.lock", patience=1):
            work()
    except OperationalError:
        sys.exit("Another run of the benchmarks has not ended yet.")


def run(
    jobs: Sequence[Job],
    peers: Sequence[Peer],
    results: Results,
    options: argparse.Namespace,
    console: Console,
) -> None:
    """Run all jobs that the results lack."""
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
        todo = [(job, wanted[job.key()] - len(results.rounds.get(job.key(), []))) for job in jobs]
        progress.reset(bar, total=sum(max(left, 0) * len(job.peers) for job, left in todo))
        for job, left in todo:
            if left <= 0:
                continue
            if options.minutes and time.monotonic() - began > options.minutes * 60:
                console.print("The time is over: `make bench ARGS=--resume` goes on from here.")
                return
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


if __name__ == "__main__":
    main()
