"""Write what the performance page shows: its tables, its plots, and the results themselves."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.case import OURS, UPSTREAM, Row
from benchmarks.figures import Round, costs, ratios
from benchmarks.mistake import MistakeError
from benchmarks.peers import PEERS, Peer
from benchmarks.plots import plots
from benchmarks.results import Results
from benchmarks.runner import Job
from benchmarks.table import Measured, base_of, cost_text, figure_text, load_text
from tools.packages import ROOT

__all__ = ["FOLDER", "check", "publish", "tables"]

#: What `docs/topics/performance.md` includes.
FOLDER: Final = ROOT / "docs" / "performance"


def publish(jobs: Sequence[Job], results: Results, folder: Path = FOLDER) -> list[str]:
    """Write the files of the page, in place of earlier ones, and return what there is to say.

    Args:
        jobs: All jobs of all cases.
        results: The results.
        folder: Where the page is.

    Raises:
        MistakeError: The page would lose figures, or the results are those of a quick run.
    """
    check(jobs, results, folder)
    files: dict[str, str] = {}
    images: dict[str, list[str]] = {}
    peers = list(PEERS.values())
    missing = []
    for name, own in _by_case(jobs).items():
        measured = [(row, results.rounds.get(job.key(row), [])) for job in own for row in job.rows]
        drawn = plots(name, own[0].case.title, measured, peers)
        images[name] = list(drawn)
        files |= drawn
        if count := sum(not rounds for _, rounds in measured):
            missing.append(f"{name} ({count} rows)")
    files["results.md"] = tables(jobs, results, peers, images)
    files["results.json"] = results.path.read_text(encoding="utf-8")
    # Only now, so that an error above leaves the page as it was.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, content in files.items():
        (folder / file).write_text(content, encoding="utf-8")
    said = [f"Published in {folder}."]
    if missing:
        said.append(f"Not on the page, because {results.path.name} lacks it: {', '.join(missing)}.")
    return said


def check(jobs: Sequence[Job], results: Results, folder: Path) -> None:
    """Check that results may take the place of those that the page has.

    Raises:
        MistakeError: They may not; the text says why.
    """
    if quick := sorted({key.partition("/")[0] for key in results.rounds if results.is_quick(key)}):
        raise MistakeError(
            f"Not published: {results.path} has results of a quick run, whose counts are too "
            f"small for figures, of {', '.join(quick)}."
        )
    if not (folder / "results.json").is_file():
        return
    published = Results.load(folder / "results.json")
    lost = Counter(
        job.case_name
        for job in jobs
        for row in job.rows
        if (published.measured(job.key(row)) & {*job.peers}) - results.measured(job.key(row))
    )
    if lost:
        cases = ", ".join(f"{name} ({count} rows)" for name, count in lost.items())
        raise MistakeError(
            f"Not published: the page would lose figures that {results.path} does not have, "
            f"of {cases}."
        )


def tables(
    jobs: Sequence[Job],
    results: Results,
    peers: Sequence[Peer],
    images: Mapping[str, Sequence[str]],
) -> str:
    """Return the tables as Markdown, each case with what it measures and its plots."""
    found = [_introduction(jobs, results)]
    for name, own in _by_case(jobs).items():
        case = own[0].case
        rows = [(row, results.rounds.get(job.key(row), [])) for job in own for row in job.rows]
        measured = [(row, rounds) for row, rounds in rows if rounds]
        if not measured:
            continue
        found += [f"### {case.title}", case.method, _table(measured, peers)]
        found.append(" ".join([*_origins(measured, results), *_single_rounds(measured)]))
        found += [
            f"![{case.title}: {Path(file).stem}](/performance/{file})" for file in images[name]
        ]
    return "\n\n".join(found) + "\n"


def _introduction(jobs: Sequence[Job], results: Results) -> str:
    """Return when and where all of it was measured, and in how many runs."""
    least, most = results.load_spread()
    days = results.days()
    every = {each.run for rounds in results.rounds.values() for each in rounds}
    runs = [results.runs[number] for number in sorted(every)]
    machines = dict.fromkeys(
        f"Python {run['python']} on {run['system']} ({run['machine']}, {run['processors']} "
        "processors)"
        for run in runs
    )
    found = (
        f"Measured {'from' if days[1:] else 'on'} {' to '.join(days)} with "
        f"{' and with '.join(machines)}; the load of the machine was {least:.1f} to {most:.1f}."
    )
    of_case = [
        {
            each.run
            for job in own
            for row in job.rows
            for each in results.rounds.get(job.key(row), [])
        }
        for own in _by_case(jobs).values()
    ]
    if any("commit" not in run for run in runs):
        found += (
            " Commits and times of day were not recorded, nor whether all of it is from one run."
        )
    elif not runs[1:]:
        found += " All of it is from one run."
    elif all(len(numbers) <= 1 for numbers in of_case):
        found += " Each case is from one run, but not all from the same one."
    else:
        found += " Not every case is from one run."
    return f"{found} Below each table is what is known of its runs."


def _origins(measured: Measured, results: Results) -> list[str]:
    """Return for each run that a case has rounds of: its time, its commit, and the load."""
    rounds = [each for _, own in measured for each in own]
    found = []
    for number in sorted({each.run for each in rounds}):
        own = [each for each in rounds if each.run == number]
        loads = [each.load for each in own]
        commit = results.runs[number].get("commit", "")
        found.append(
            f"Measured {_when([each.at for each in own])}"
            f"{f', at commit {commit}' if commit else ''}; "
            f"the load was {load_text(loads)}."
        )
    return found


def _when(times: Sequence[str]) -> str:
    """Return from when to when, in UTC; only the day where no more is known."""
    first, last = (one[:16].replace("T", " ") for one in (min(times), max(times)))
    if len(first) < len("2026-01-31 12:30"):
        return f"on {first}" if first == last else f"from {first} to {last}"
    if first == last:
        return f"on {first} UTC"
    return f"from {first} to {last.removeprefix(first[:11])} UTC"


def _single_rounds(measured: Measured) -> list[str]:
    """Return which rows have one round, so that there is no smallest and largest one."""
    single = [row for row, rounds in measured if len(rounds) == 1]
    long = [row.title for row in single if row.rounds == 1]
    other = [row.title for row in single if row.rounds != 1]
    found = [f"One round only, because it takes long: {'; '.join(long)}."] if long else []
    return [*found, f"One round only: {'; '.join(other)}."] if other else found


def _by_case(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Return the jobs of each case."""
    found: dict[str, list[Job]] = {}
    for job in jobs:
        found.setdefault(job.case_name, []).append(job)
    return found


def _table(measured: Measured, peers: Sequence[Peer]) -> str:
    """Return the table of a case: only the columns that it needs."""
    every = {peer for _, rounds in measured for one in rounds for peer in one.figures}
    shown = [peer for peer in peers if peer.name in every and peer.name != UPSTREAM]
    lines = [
        "| row | " + " | ".join(peer.title for peer in [PEERS[UPSTREAM], *shown]) + " |",
        "|---|" + "---:|" * (len(shown) + 1),
    ]
    for row, rounds in measured:
        base = costs(rounds, UPSTREAM)
        cells = [f"{cost_text(row, base.median)} {_for(row)} {row.per}" if base else ""]
        cells += [_cell(row, rounds, peer) for peer in shown]
        lines.append(f"| {row.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _for(row: Row) -> str:
    return "for an" if row.per.startswith(("a", "e", "i", "o")) else "for a"


def _cell(row: Row, rounds: Sequence[Round], peer: Peer) -> str:
    text = figure_text(row, rounds, peer.name, _for(row))
    is_ratio = base_of(row) == UPSTREAM and ratios(rounds, peer.name, UPSTREAM)
    return f"**{text}**" if is_ratio and peer.name == OURS else text
