"""Write what the performance page shows: its tables, its plots, and the results themselves."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.case import OURS, UPSTREAM, Row
from benchmarks.figures import Round, costs, ratios
from benchmarks.peers import PEERS, Peer
from benchmarks.plots import plots
from benchmarks.results import Results
from benchmarks.runner import Job
from benchmarks.table import base_of, cost_text, figure_text
from tools.packages import ROOT

__all__ = ["FOLDER", "publish", "tables"]

#: What `docs/topics/performance.md` includes.
FOLDER: Final = ROOT / "docs" / "performance"


def publish(jobs: Sequence[Job], results: Results, folder: Path = FOLDER) -> None:
    """Write the files of the page, in place of earlier ones."""
    peers = [peer for peer in PEERS.values() if peer.name in results.about["peers"]]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    images: dict[str, list[str]] = {}
    for name, own in _by_case(jobs).items():
        measured = [(row, results.rounds.get(job.key(row), [])) for job in own for row in job.rows]
        files = plots(name, own[0].case.title, measured, peers)
        images[name] = list(files)
        for file, content in files.items():
            (folder / file).write_text(content, encoding="utf-8")
    (folder / "results.md").write_text(tables(jobs, results, peers, images), encoding="utf-8")
    shutil.copy(results.path, folder / "results.json")


def tables(
    jobs: Sequence[Job],
    results: Results,
    peers: Sequence[Peer],
    images: Mapping[str, Sequence[str]],
) -> str:
    """Return the tables as Markdown, each case with what it measures and its plots."""
    least, most = results.load_spread()
    about = results.about
    days = results.days()
    introduction = (
        f"Measured {'from' if days[1:] else 'on'} {' to '.join(days)} with Python "
        f"{about['python']} on {about['system']} ({about['machine']}, {about['processors']} "
        f"processors); the load of the machine was {least:.1f} to {most:.1f}."
    )
    if days[1:]:
        introduction += " Each case is from one run, with the tree as it was then."
    found = [introduction]
    for name, own in _by_case(jobs).items():
        case = own[0].case
        if any(results.rounds.get(job.key(row)) for job in own for row in job.rows):
            found += [f"### {case.title}", case.method, _table(own, results, peers)]
            found += [
                f"![{case.title}: {Path(file).stem}](/performance/{file})" for file in images[name]
            ]
    return "\n\n".join(found) + "\n"


def _by_case(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Return the jobs of each case."""
    found: dict[str, list[Job]] = {}
    for job in jobs:
        found.setdefault(job.case_name, []).append(job)
    return found


def _table(jobs: Sequence[Job], results: Results, peers: Sequence[Peer]) -> str:
    """Return the table of a case: only the columns that it needs."""
    rows = [(job, row, results.rounds.get(job.key(row), [])) for job in jobs for row in job.rows]
    figures = [set(one.figures) for _, _, rounds in rows for one in rounds]
    every = set().union(*figures)
    shown = [peer for peer in peers if peer.name in every and peer.name != UPSTREAM]
    lines = [
        "| row | " + " | ".join(peer.title for peer in [PEERS[UPSTREAM], *shown]) + " |",
        "|---|" + "---:|" * (len(shown) + 1),
    ]
    for _, row, rounds in rows:
        if not rounds:
            continue
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
