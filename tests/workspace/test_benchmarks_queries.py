"""The case that counts database queries: its checks, and the table of the documentation."""

import re
import sys
from pathlib import Path

import pytest

from benchmarks.case import Scale
from benchmarks.cases import queries
from benchmarks.honesty import DishonestError
from benchmarks.runner import FailedError, Job, measure_once
from tools.packages import ROOT

QUERIES = Job("queries", queries.CASE, queries.CASE.rows, ("ours",))


class TestQueries:
    def test_the_documented_counts_are_those_of_this_tree(self) -> None:
        found = measure_once(QUERIES, "ours", Path(sys.executable), scale=Scale(quick=True))
        page = (ROOT / "docs" / "topics" / "authentication.md").read_text()
        table = page.partition("## The cost in queries")[2].partition("The first five rows")[0]
        rows = [
            line.split("|")[3:-1:2] for line in table.splitlines() if "(" in line and "|" in line
        ]
        assert len(rows) == len(queries.VISITS)
        for visit, cells in zip(queries.VISITS, rows, strict=True):
            figures = {
                kind: tuple(
                    int(found[f"{visit.name}-{kind}-{unit}"]) for unit in ("queries", "entries")
                )
                for kind in visit.kinds
            }
            written = {
                kind: tuple(map(int, re.findall(r"\d+", cell)))
                for kind, cell in zip(queries.KINDS, cells, strict=True)
                if cell.strip() != "-"
            }
            assert written == figures, visit.name

    @pytest.mark.parametrize(
        ("fault", "problem"),
        [
            # A thread that tells of its end in another way.
            (
                "queries.Counter.entries = property(lambda self: 0, lambda self, count: None)",
                "1 queries ran in another thread, but no entry was counted",
            ),
            (
                "async def act(scope, action, *, saves): return []\nqueries.act = act",
                r"what the application read: expected \[3\], got \[\]",
            ),
            (
                "queries.stored = lambda: ([3], 1)",
                r"carts and sessions of a user: expected \(\[4\], 1\), got \(\[3\], 1\)",
            ),
        ],
    )
    def test_a_fault_is_found(
        self, fault: str, problem: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = f"""
import sys
from benchmarks.cases import queries
from benchmarks.worker import main
{fault}
sys.argv[1:] = ["queries", "no-cookie-http-queries", "ours", "--quick"]
main()
"""
        monkeypatch.setattr(
            "benchmarks.runner.command", lambda *args, **kwargs: [sys.executable, "-c", program]
        )
        with pytest.raises(FailedError, match=problem):
            measure_once(QUERIES, "ours", Path(sys.executable), scale=Scale(quick=True))

    def test_a_query_in_the_event_loop_is_found(self) -> None:
        with pytest.raises(DishonestError, match="queries in the event loop: expected 0, got 1"):
            queries.check_threads("a visit", ["thread", "event loop"], 1)
