"""The benchmarks' command: what a user gets wrong, what is kept, and what is published."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import __main__ as command
from benchmarks.__main__ import main, opened, parser
from benchmarks.case import Case, Row, Scale
from benchmarks.cases import layer
from benchmarks.environments import copy_tree
from benchmarks.figures import Round
from benchmarks.mistake import MistakeError
from benchmarks.page import publish
from benchmarks.peers import PEERS
from benchmarks.results import DEFAULT, QUICK, Results, commit
from benchmarks.runner import FailedError, Job, jobs_of, run_round, with_parts
from tools.packages import ROOT

PEOPLE = ("ours", "upstream", "limit")
LAYER = "layer/small-buffered"
FIGURES = {"ours": 2e-6, "upstream": 4e-6, "limit": 1e-6}


def saved(path: Path, *keys: str, quick: bool = False) -> Results:
    """Return the results of one run, written to a file."""
    results = Results.new(path, list(PEERS.values()), quick=quick)
    for key in keys:
        results.add(key, Round(FIGURES, 0.5, "2026-01-31T12:30:00+00:00"))
    return results


@pytest.fixture
def no_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Replace environments and rounds; return the list of the jobs that were measured."""
    done: list[str] = []

    def run_round(job: Job, number: int, *args: Any, **kwargs: Any) -> dict[str, Round]:
        done.append(job.key())
        return {job.key(row): Round({"ours": 1e-6}, 0.1, "2026-02-01") for row in job.rows}

    monkeypatch.setattr(command, "FOLDER", tmp_path / "benchmarks")
    monkeypatch.setattr(command, "install", lambda peer: Path(sys.executable))
    monkeypatch.setattr(command, "run_round", run_round)
    before = signal.getsignal(signal.SIGTERM)
    yield done
    signal.signal(signal.SIGTERM, before)


class TestMistakes:
    """Each is one line and status 2."""

    @pytest.mark.parametrize(
        ("arguments", "line"),
        [
            (["nothing"], "There is no case nothing: choose from layer,"),
            (["--peers", "nobody"], "There is no peer nobody: choose from ours,"),
            (
                ["layer", "--peers", "litestar"],
                "layer is not for litestar: choose --peers from ours, upstream, limit.",
            ),
            (["--before", "/no/such/tree"], "--before: /no/such/tree is no checkout"),
            (["--rounds", "0"], "argument --rounds: expected a number of at least 1, got '0'"),
            (["--rounds", "-1"], "argument --rounds: expected a number of at least 1, got '-1'"),
            (["--rounds", "many"], "argument --rounds: expected a number of at least 1"),
            (["--minutes", "0"], "argument --minutes: expected minutes, more than 0, got '0'"),
            (["--minutes", "nan"], "argument --minutes: expected minutes, more than 0"),
            (["--soak", "-1"], "argument --soak: expected minutes, more than 0, got '-1'"),
            (["--again"], "unrecognized arguments: --again; --help lists the options."),
            (["--show", "--results", "FOLDER"], "There are no results in"),
            (["layer", "--results", "FOLDER"], "is a folder, expected a file."),
            (["layer", "--results", "FILE/x.json"], "x.json cannot be written"),
            (["--resume", "--results", "FOLDER/none.json"], "There are no results in"),
        ],
    )
    def test_it_is_said(
        self,
        arguments: list[str],
        line: str,
        tmp_path: Path,
        no_runs: list[str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        places = {"FOLDER": str(tmp_path / "folder"), "FILE": str(tmp_path / "file")}
        for name, place in places.items():
            arguments = [one.replace(name, place) for one in arguments]
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert line in said
        assert said.count("\n") == 1
        assert no_runs == []
        assert [*(tmp_path / "folder").iterdir()] == []
        assert not [*tmp_path.glob("*.new")]

    @pytest.mark.parametrize(
        "content",
        [
            *("", "{", "[]", "{}", '{"about": {}, "rounds": {}}', '{"runs": [], "rounds": 1}'),
            '{"about": {"begun": "2026-01-31"}, "rounds": {"layer/x": [{"figures": {}}]}}',
            b"\xff\xfe",
        ],
    )
    def test_a_broken_file_is_named(
        self, content: str | bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "results.json"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(SystemExit, match="2"):
            main(["layer", "--show", "--results", str(path)])
        assert re.fullmatch(
            rf"{re.escape(str(path))} has no results of the benchmarks \(.*\): remove it, or name "
            r"another file by --results\.\n",
            capsys.readouterr().err,
        )

    def test_a_round_of_an_unknown_run_is_found(self, tmp_path: Path) -> None:
        results = saved(tmp_path / "results.json", LAYER)
        results.rounds[LAYER] = [Round(FIGURES, 0.5, "", 3)]
        results.save()
        with pytest.raises(MistakeError, match="has no results of the benchmarks"):
            Results.load(results.path)

    def test_a_missing_part_is_a_mistake_only_where_parts_are_required(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = (Row("a", "a", "x", PEOPLE), Row("b", "b", "x", PEOPLE, needs="no-such-server"))
        jobs = jobs_of({"case": Case(1, "a case", "", rows)}, PEOPLE, quick=False)
        monkeypatch.delenv("CHANNELS_REQUIRE_PARTS", raising=False)
        assert with_parts(jobs) == ([jobs[0]], ["no-such-server"])
        monkeypatch.setenv("CHANNELS_REQUIRE_PARTS", "1")
        assert with_parts(jobs[:1]) == (jobs[:1], [])
        with pytest.raises(MistakeError, match="need no-such-server, which is not installed"):
            with_parts(jobs)

    def test_an_interrupted_run_says_how_to_go_on(
        self,
        no_runs: list[str],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def interrupt(*args: Any, **kwargs: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(command, "run_round", interrupt)
        with pytest.raises(SystemExit) as ended:
            main(["layer", "--results", str(tmp_path / "results.json")])
        assert ended.value.code == 130
        said = capsys.readouterr().err
        assert said == (
            "The run was interrupted. The same command with --resume goes on from here.\n"
        )


class TestWhatIsKept:
    def test_a_quick_run_has_a_file_of_its_own(
        self, no_runs: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        assert (DEFAULT.name, QUICK.name) == ("results.json", "quick.json")
        monkeypatch.setattr(command, "DEFAULT", tmp_path / "results.json")
        monkeypatch.setattr(command, "QUICK", tmp_path / "quick.json")
        before = saved(tmp_path / "results.json", LAYER).path.read_text()
        main(["layer", "--quick"])
        assert (tmp_path / "results.json").read_text() == before
        assert Results.load(tmp_path / "quick.json").is_quick(LAYER)

    def test_a_run_of_a_case_keeps_the_others_and_a_copy(
        self, no_runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "results.json"
        before = saved(path, LAYER, "chat/connections-100").path.read_text()
        main(["layer", "--peers", "ours", "--rounds", "1", "--results", str(path)])
        found = Results.load(path)
        assert found.rounds["chat/connections-100"][0].figures == FIGURES
        assert [each.figures for each in found.rounds[LAYER]] == [{"ours": 1e-6}]
        assert [found.rounds[key][0].run for key in ("chat/connections-100", LAYER)] == [0, 1]
        [copy] = tmp_path.glob("results-until-*.json")
        assert copy.read_text() == before
        said = capsys.readouterr().out
        assert (
            f"gets new results of layer, and keeps the others. A copy of it as it was is {copy}"
            in said
        )

    def test_nothing_is_lost_by_a_run_that_measures_nothing(
        self, no_runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise FailedError("it did not do what it counts")

        monkeypatch.setattr(command, "run_round", fail)
        path = tmp_path / "results.json"
        before = saved(path, LAYER).path.read_text()
        with pytest.raises(SystemExit, match="it did not do what it counts"):
            main(["layer", "--results", str(path)])
        assert path.read_text() == before

    def test_a_resumed_run_measures_what_is_missing(
        self, no_runs: list[str], tmp_path: Path
    ) -> None:
        path = tmp_path / "results.json"
        saved(path, LAYER)
        main(["layer", "--resume", "--rounds", "1", "--results", str(path)])
        assert no_runs == ["layer/small-waiting", "layer/nested-buffered", "layer/nested-waiting"]
        assert [*tmp_path.glob("results-until-*")] == []

    def test_a_round_without_a_peer_is_not_enough(self, no_runs: list[str], tmp_path: Path) -> None:
        path = tmp_path / "results.json"
        results = saved(path, LAYER)
        results.add(LAYER, Round({"ours": 1e-6, "limit": 1e-6}, 0.5))
        peers = ["--peers", "ours,upstream,limit"]
        main(["layer", "--resume", "--rounds", "2", *peers, "--results", str(path)])
        assert no_runs.count(LAYER) == 1

    @pytest.mark.parametrize(("quick", "kind"), [(True, "quick"), (False, "full")])
    def test_quick_and_full_rounds_do_not_mix(self, quick: bool, kind: str, tmp_path: Path) -> None:
        path = saved(tmp_path / "results.json", LAYER, quick=quick).path
        options = parser().parse_args(["--resume", *([] if quick else ["--quick"])])
        jobs = jobs_of(command.selected_cases(["layer"]), PEOPLE, quick=False)
        with pytest.raises(MistakeError, match=f"has {kind} rounds of {LAYER}"):
            opened(path, jobs, options, Console())

    def test_runs_without_rounds_are_dropped(self, tmp_path: Path) -> None:
        results = saved(tmp_path / "results.json", LAYER, "chat/connections-100")
        for _ in range(2):
            results.forget([LAYER])
            results.begin([PEERS["ours"]], quick=False)
            results.add(LAYER, Round(FIGURES, 0.5))
        assert len(results.runs) == 2
        assert [results.rounds[key][0].run for key in (LAYER, "chat/connections-100")] == [1, 0]


class TestOrigins:
    def test_a_run_has_its_commit_and_pins(self, tmp_path: Path) -> None:
        about = saved(tmp_path / "results.json", LAYER).about
        assert about["commit"] == commit()
        assert about["peers"]["ours"]["pins"]["django"].startswith("5.2")
        assert about["quick"] is False

    def test_a_round_has_its_time(self) -> None:
        job = Job("layer", layer.CASE, (layer.CASE.row("small-buffered"),), ("limit",))
        before = datetime.now(UTC).replace(microsecond=0)
        found = run_round(job, 0, {"limit": Path(sys.executable)}, scale=Scale(quick=True))
        assert before <= datetime.fromisoformat(found[LAYER].at) <= datetime.now(UTC)

    def test_a_commit_tells_of_changes_in_what_is_measured(self, tmp_path: Path) -> None:
        def git(*arguments: str) -> None:
            identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
            subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

        assert commit(tmp_path) == ""
        git("init", "--quiet")
        (tmp_path / "packages").mkdir()
        (tmp_path / "packages" / "a.py").touch()
        git("add", ".")
        git("commit", "--quiet", "-m", "a")
        assert re.fullmatch(r"[0-9a-f]{40}", commit(tmp_path))
        (tmp_path / "notes").touch()
        assert re.fullmatch(r"[0-9a-f]{40}", commit(tmp_path))
        (tmp_path / "packages" / "b.py").touch()
        assert re.fullmatch(r"[0-9a-f]{40} and changes", commit(tmp_path))
        # It is part of another repository, whose commit does not describe it.
        assert commit(tmp_path / "packages") == ""

    def test_without_git_there_is_no_commit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/no/such/folder")
        assert commit() == ""

    def test_results_of_earlier_versions_are_loaded(self, tmp_path: Path) -> None:
        path = tmp_path / "results.json"
        about = saved(path).about
        del about["commit"]
        old = {
            "about": {**about, "begun": "2026-01-30T12:00:00+00:00"},
            "rounds": {
                "a/b": [{"figures": {"ours": 1.0}, "load": 0.5, "day": "2026-01-31"}],
                "a/c": [{"figures": {"ours": 1.0}, "load": 0.5}],
            },
        }
        path.write_text(json.dumps(old))
        assert Results.load(path).rounds == {
            "a/b": [Round({"ours": 1.0}, 0.5, "2026-01-31")],
            "a/c": [Round({"ours": 1.0}, 0.5, "2026-01-30")],
        }


class TestPage:
    rows = (
        Row("one", "one", "event", PEOPLE),
        Row("long", "takes long", "event", PEOPLE, rounds=1),
        Row("alone", "no upstream", "event", ("ours", "limit")),
    )
    jobs = jobs_of({"a-case": Case(1, "a case", "What.", rows)}, PEOPLE, quick=False)
    keys = ("a-case/one", "a-case/long", "a-case/alone")

    def page(self, results: Results, folder: Path) -> str:
        publish(self.jobs, results, folder)
        return (folder / "results.md").read_text()

    def complete(self, path: Path) -> Results:
        results = saved(path, self.keys[0])
        results.add(self.keys[0], Round(FIGURES, 2.5, "2026-01-31T12:40:00+00:00"))
        results.add(self.keys[1], Round(FIGURES, 0.5, "2026-01-31T12:50:00+00:00"))
        figures = {"ours": 2e-6, "limit": 1e-6}
        for minute in (51, 52):
            results.add(self.keys[2], Round(figures, 0.5, f"2026-01-31T12:{minute}:00+00:00"))
        return results

    def test_a_single_run_is_told_with_its_time_commit_and_load(self, tmp_path: Path) -> None:
        results = self.complete(tmp_path / "results.json")
        results.about["commit"] = "1234567 and changes"
        results.save()
        page = self.page(results, tmp_path / "page")
        assert "All of it is from one run." in page
        assert (
            "\n\nMeasured from 2026-01-31 12:30 to 12:52 UTC, at commit 1234567 and changes; the "
            "load was 0.5 to 2.5. One round only, because it takes long: takes long.\n" in page
        )
        assert "| no upstream |  | 2 µs for an event | 1 µs for an event |" in page
        assert "| one | 4 µs for an event | **2.00** | 4.00 |" in page

    def test_several_runs_of_a_case_are_told(self, tmp_path: Path) -> None:
        results = self.complete(tmp_path / "results.json")
        results.about["commit"] = "1234567"
        results.begin(list(PEERS.values()), quick=False)
        results.about["commit"] = ""
        results.add(self.keys[0], Round(FIGURES, 0.1, "2026-02-01T09:00:00+00:00"))
        page = self.page(results, tmp_path / "page")
        assert "Not every case is from one run." in page
        assert "Measured from 2026-01-31 12:30 to 12:52 UTC, at commit 1234567; " in page
        assert "Measured on 2026-02-01 09:00 UTC; the load was 0.1." in page

    def test_cases_of_different_runs_are_told(self, tmp_path: Path) -> None:
        results = self.complete(tmp_path / "results.json")
        results.begin(list(PEERS.values()), quick=False)
        results.add("other/one", Round(FIGURES, 0.1, "2026-02-01T09:00:00+00:00"))
        other = jobs_of({"other": Case(2, "other", "What.", self.rows[:1])}, PEOPLE, quick=False)
        publish([*self.jobs, *other], results, tmp_path / "page")
        page = (tmp_path / "page" / "results.md").read_text()
        assert "Each case is from one run, but not all from the same one." in page

    def test_earlier_results_claim_nothing(self, tmp_path: Path) -> None:
        results = self.complete(tmp_path / "results.json")
        del results.about["commit"]
        results.save()
        page = self.page(results, tmp_path / "page")
        assert "not recorded, nor whether all of it is from one run." in page
        assert "at commit" not in page

    def test_it_may_not_lose_figures(self, tmp_path: Path) -> None:
        folder = tmp_path / "page"
        self.page(self.complete(tmp_path / "results.json"), folder)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        fewer = saved(tmp_path / "other.json", *self.keys[:2])
        with pytest.raises(
            MistakeError, match=r"the page would lose figures .* of a-case \(1 rows"
        ):
            publish(self.jobs, fewer, folder)
        peers = self.complete(tmp_path / "peers.json")
        peers.rounds[self.keys[0]] = [Round({"ours": 1e-6, "limit": 1e-6}, 0.5)]
        with pytest.raises(MistakeError, match=r"of a-case \(1 rows\)"):
            publish(self.jobs, peers, folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    def test_quick_figures_are_not_published(self, tmp_path: Path) -> None:
        quick = saved(tmp_path / "quick.json", *self.keys, quick=True)
        with pytest.raises(MistakeError, match=r"results of a quick run, .* of a-case\."):
            publish(self.jobs, quick, tmp_path / "page")
        assert not (tmp_path / "page").exists()

    def test_what_nobody_has_measured_is_named(self, tmp_path: Path) -> None:
        results = saved(tmp_path / "results.json", *self.keys[:2])
        said = publish(self.jobs, results, tmp_path / "page")
        assert said[1] == "Not on the page, because results.json lacks it: a-case (1 rows)."

    def test_it_needs_no_program_of_a_row(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "/no/such/folder")
        rows = (Row("one", "one", "event", PEOPLE, needs="redis-server"),)
        assert jobs_of({"a-case": Case(1, "a case", "What.", rows)}, PEOPLE, quick=False)

    def test_the_page_of_the_tree_has_the_figures_of_its_results(self, tmp_path: Path) -> None:
        page = ROOT / "docs" / "performance"
        every = jobs_of(command.selected_cases([]), list(PEERS), quick=False)
        publish(every, Results.load(page / "results.json"), tmp_path / "page")
        new, old = (
            [line for line in (one / "results.md").read_text().splitlines() if line[:1] == "|"]
            for one in (tmp_path / "page", page)
        )
        assert new == old


def test_a_copied_tree_leaves_nothing_of_another_one(tmp_path: Path) -> None:
    (tmp_path / "tree" / "packages" / "core" / "src" / "channels_core").mkdir(parents=True)
    (tmp_path / "tree/packages/core/src/channels_core/__init__.py").touch()
    for name in ("channels_core", "channels_http"):
        (tmp_path / "target" / name).mkdir(parents=True)
        (tmp_path / "target" / name / "old.py").touch()
    copy_tree(tmp_path / "tree", tmp_path / "target")
    found = sorted(path.name for path in (tmp_path / "target").rglob("*"))
    assert found == ["__init__.py", "channels_core"]


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="Ctrl-C is sent to a process group")
def test_ctrl_c_ends_a_run_in_one_line(tmp_path: Path) -> None:
    """A real signal, to a real run."""
    path = tmp_path / "results.json"
    program = (
        "import sys; from pathlib import Path; from benchmarks import __main__ as command; "
        f"command.FOLDER = Path({str(tmp_path)!r}); "
        "command.install = lambda peer: print(flush=True) or Path(sys.executable); "
        f"command.main(['layer', '--peers', 'limit', '--results', {str(path)!r}])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "The run was interrupted. The same command with --resume goes on from here.\n"
