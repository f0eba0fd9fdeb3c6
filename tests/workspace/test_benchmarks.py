"""The framework of the benchmarks: pairing, honesty, selection, and the shape of cases."""

import asyncio
import json
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks import cases, redis_process
from benchmarks.__main__ import alone, main, selected_cases, selected_peers
from benchmarks.case import LIMIT, SECONDS, UPSTREAM, Case, Row, Scale
from benchmarks.cases import echo_text, fan_out, layer, live, soak
from benchmarks.environments import copy_tree, versions
from benchmarks.figures import Round, Spread, costs, ratios
from benchmarks.honesty import DishonestError, check_copies, check_equal, check_sequence
from benchmarks.layers import Mailboxes, small
from benchmarks.live_clients import LiveClient
from benchmarks.mistake import MistakeError
from benchmarks.page import publish
from benchmarks.peers import PEERS, before
from benchmarks.results import Results
from benchmarks.runner import FailedError, Job, command, environment, jobs_of, measure_once, order
from benchmarks.slow_network import slow_network
from benchmarks.table import block, cost_text, ratio_text
from benchmarks.worker import module_of
from tools.packages import ROOT

QUICK = Scale(quick=True)
ROW = Row("row", "a row", "frame", ("ours", "upstream", "limit"))


class TestFigures:
    def test_ratios_are_of_figures_of_the_same_round(self) -> None:
        # The machine was three times slower in the second round. The medians would say 3.
        rounds = [
            Round({"ours": 1.0, "upstream": 4.0}, 0.5),
            Round({"ours": 3.0, "upstream": 12.0}, 9.0),
            Round({"ours": 1.5, "upstream": 3.0}, 0.5),
        ]
        assert ratios(rounds, "ours", "upstream") == Spread(4.0, 2.0, 4.0)
        assert costs(rounds, "ours") == Spread(1.5, 1.0, 3.0)

    def test_a_round_without_both_peers_is_left_out(self) -> None:
        rounds = [Round({"ours": 1.0}, 0.5), Round({"ours": 1.0, "upstream": 2.0}, 0.5)]
        assert ratios(rounds, "ours", "upstream") == Spread(2.0, 2.0, 2.0)
        assert ratios(rounds, "litestar", "upstream") is None


class TestHonesty:
    @pytest.mark.parametrize(
        ("found", "problem"),
        [
            (["a", "c"], "1 lost; of 3, number 1 should be 'b' and is 'c'"),
            (["a", "b"], "1 lost; of 3, number 2 should be 'c' and is missing"),
            (["a", "c", "b"], "in another order; of 3, number 1 should be 'b' and is 'c'"),
            (["a", "b", "b", "c"], "1 repeated"),
            (["a", "b", "c", "c"], "1 repeated; of 3, number 3 should be missing and is 'c'"),
            (["a", b"b", "c"], "1 changed or not sent by us; of 3, number 1 should be 'b'"),
        ],
    )
    def test_a_difference_is_named(self, found: list[Any], problem: str) -> None:
        with pytest.raises(DishonestError, match=f"frames: {problem}"):
            check_sequence("frames", ["a", "b", "c"], found)

    def test_equal_values_could_stand_for_each_other(self) -> None:
        with pytest.raises(ValueError, match="not different from each other"):
            check_sequence("frames", ["a", "a"], ["a", "a"])

    def test_equal_values_of_other_types_are_other_values(self) -> None:
        check_equal("a number", 1, 1)
        with pytest.raises(DishonestError, match="expected 1, got True"):
            check_equal("a number", 1, True)

    def test_shared_values_are_found(self) -> None:
        def spoil(message: dict[str, Any]) -> None:
            message["rows"].append(0)

        inner = [1, 2]
        check_copies("messages", [{"rows": [1]}, {"rows": [1]}], spoil)
        with pytest.raises(DishonestError, match="receivers 0 and 1 share a value"):
            check_copies("messages", [{"rows": inner}, {"rows": inner}], spoil)


class Bad(Mailboxes):
    """A layer with one fault."""

    def __init__(self, fault: str) -> None:
        super().__init__(dict if fault != "shares" else lambda message: message)
        self.fault = fault
        self.sent = 0

    async def send(self, channel: str, message: Any) -> None:
        self.sent += 1
        if self.sent == 30 and self.fault == "changes":
            message = {**message, "text": "hello"}
        if self.sent != 30 or self.fault != "drops":
            await super().send(channel, message)
        if self.sent == 30 and self.fault == "duplicates":
            await super().send(channel, message)

    async def receive(self, channel: str) -> Any:
        message = await super().receive(channel)
        queue = self._queues[channel]
        if self.fault == "reorders" and len(queue) > 1:
            queue.rotate(-1)
        return message


class TestBadLayers:
    """What a case counts must really arrive, or the run ends with the reason."""

    row = replace(layer.CASE.row("small-buffered"), timeout=2)

    @pytest.mark.parametrize(
        ("fault", "problem"),
        [
            ("changes", "changed or not sent by us"),
            ("drops", "not all of it arrived"),
            ("duplicates", "repeated"),
            ("reorders", "another order"),
            ("shares", "expected .*'number': 1.* got .*'number': 2"),
        ],
    )
    def test_a_fault_is_found(self, fault: str, problem: str) -> None:
        with pytest.raises(DishonestError, match=problem):
            layer.measure(Bad(fault), self.row, QUICK)

    def test_a_good_layer_is_measured(self) -> None:
        assert 0 < layer.measure(Bad(""), self.row, QUICK) < 1

    def test_members_that_share_a_message_are_found(self) -> None:
        class Sharing(Mailboxes):
            async def group_send(self, group: str, message: Any) -> None:
                copy = dict(message)
                for channel in self._groups[group]:
                    self._put(channel, copy)

        with pytest.raises(DishonestError, match="receivers 0 and 1 share a value"):
            fan_out.measure(Sharing(dict), fan_out.CASE.row("members-10"), QUICK)


class TestBadApplications:
    row = replace(echo_text.CASE.row("burst"), timeout=2)

    @pytest.mark.parametrize(
        ("frames", "problem"),
        [
            (
                lambda number, text: [],
                "100 lost; of 100, number 0 should be 'hello 0'",
            ),
            (lambda number, text: [text] * 2, "repeated"),
            (lambda number, text: [text.upper()], "changed"),
        ],
    )
    def test_a_fault_is_found(self, frames: Any, problem: str) -> None:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            number = 0
            while (message := await receive())["type"] == "websocket.receive":
                number += 1
                for text in frames(number, message["text"]):
                    await send({"type": "websocket.send", "text": text})

        with pytest.raises(DishonestError, match=problem):
            echo_text.measure(application, self.row, QUICK)

    def test_a_refused_handshake_is_found(self) -> None:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.close", "code": 1000})

        with pytest.raises(DishonestError, match=r"expected 'websocket.accept', got"):
            echo_text.measure(application, self.row, QUICK)


class TestSlowNetwork:
    async def test_what_passes_stays_in_order_in_both_directions(self) -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(1000):
                writer.write(data)
            writer.close()
            await writer.wait_closed()
            ended.set()

        ended = asyncio.Event()
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        with slow_network(server.sockets[0].getsockname()[1], 0.001) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            sent = [b"part %d " % number for number in range(100)]
            for part in sent:
                writer.write(part)
                await asyncio.sleep(0)
            assert await reader.readexactly(len(b"".join(sent))) == b"".join(sent)
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        await ended.wait()
        server.close()
        await server.wait_closed()


class RoomLayer(Mailboxes):
    """A layer that hands all members the same message, or loses one."""

    def __init__(self, fault: str = "") -> None:
        super().__init__((lambda message: message) if fault == "share" else dict.copy)
        self.fault = fault

    async def receive(self, channel: str) -> Any:
        message = await super().receive(channel)
        if self.fault == "repeat" and message["number"] == 1:
            return small(0)
        return message


class TestRoomOfAProcess:
    @pytest.mark.parametrize(
        ("fault", "problem"),
        [
            ("", ""),
            ("share", "copies for members: expected 4, got 2"),
            ("repeat", "messages of a member: 1 repeated"),
        ],
    )
    async def test_it_tells_what_is_wrong(
        self, monkeypatch: pytest.MonkeyPatch, fault: str, problem: str
    ) -> None:
        said: asyncio.Queue[str] = asyncio.Queue()
        asked: asyncio.Queue[str] = asyncio.Queue()

        async def lines() -> AsyncIterator[str]:
            while True:
                yield await asked.get()

        monkeypatch.setattr(redis_process, "say", lambda line="": said.put_nowait(line))
        monkeypatch.setattr(redis_process, "lines", lines)
        layer = RoomLayer(fault)
        room = asyncio.ensure_future(redis_process.Room(layer, 2, 2, copies=True).run())
        assert await said.get() == "ready"
        for number in range(2):
            await layer.group_send(redis_process.GROUP, small(number))
        assert await said.get() == "arrived"
        asked.put_nowait("2")
        assert (await said.get()).startswith(problem)
        room.cancel()


class TestLive:
    def test_a_room_is_served_and_measured(self) -> None:
        row = live.CASE.row("uvicorn-200-time")
        found = live.measure("limit", row, QUICK)
        assert set(found) == {row.name for row in live.CASE.rows if row.together == "uvicorn-200"}
        assert all(figure > 0 for figure in found.values())

    @pytest.mark.parametrize("size", [1, 3, 1000])
    async def test_a_client_reads_frames_in_pieces(self, size: int) -> None:
        arrived: list[bytes] = []
        client = LiveClient(arrived.append)
        texts = [b"short", b"x" * 300, b""]
        content = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
        for text in texts:
            length = bytes([len(text)]) if len(text) < 126 else b"\x7e" + len(text).to_bytes(2)
            content += b"\x81" + length + text
        for at in range(0, len(content), size):
            client.data_received(content[at : at + size])
        await client.connected
        assert arrived == client.texts == texts

    async def test_a_refused_handshake_is_found(self) -> None:
        client = LiveClient(lambda text: None)
        with pytest.raises(DishonestError, match=r"a handshake was answered with b'HTTP/1\.1 403"):
            client.data_received(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        client.connection_lost(None)
        with pytest.raises(DishonestError, match="a handshake was refused"):
            await client.connected


class TestSoak:
    row = soak.CASE.row("connections")

    def test_a_room_that_keeps_nothing_is_measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Scale, "count", lambda self, full, quick: 0.5)
        assert 0 < soak.measure(soak.limit(self.row), self.row, QUICK) < 1

    @pytest.mark.parametrize(
        ("kept", "problem"),
        [
            ("groups", "groups: expected 0, got 1"),
            ("tasks", "tasks: expected 2, got "),
            ("threads", r"threads: \d+ before, \d+ now"),
        ],
    )
    def test_what_piles_up_is_found(
        self, monkeypatch: pytest.MonkeyPatch, kept: str, problem: str
    ) -> None:
        monkeypatch.setattr(Scale, "count", lambda self, full, quick: 0.5)
        room = soak.limit(self.row)
        application, calls, tasks = room.asynchronous, 0, []
        end = threading.Event()

        async def leaking(scope: Any, receive: Any, send: Any) -> None:
            nonlocal calls
            calls += 1
            # After the connections that warm up.
            if calls == 450 and kept == "tasks":
                tasks.append(asyncio.ensure_future(asyncio.sleep(600)))
            if 450 <= calls < 470 and kept == "threads":
                threading.Thread(target=end.wait).start()
            await application(scope, receive, send)

        room.asynchronous = leaking
        if kept == "groups":
            room.groups = lambda: int(calls > 450)
        try:
            with pytest.raises(DishonestError, match=problem):
                soak.measure(room, self.row, QUICK)
        finally:
            end.set()


class TestRunner:
    job = Job("layer", layer.CASE, (layer.CASE.row("small-buffered"),), ("limit",))

    def test_each_round_begins_with_another_peer(self) -> None:
        assert [order("abc", number) for number in range(3)] == [
            ["a", "b", "c"],
            ["b", "c", "a"],
            ["c", "a", "b"],
        ]

    def test_a_row_runs_for_the_peers_that_can_do_it(self) -> None:
        rows = (ROW, replace(ROW, name="slow", quick=False), replace(ROW, name="x", peers=("y",)))
        case = Case(1, "a case", "", rows)
        found = jobs_of({"case": case}, ["ours", "django"], quick=False)
        assert [(job.key(), job.peers) for job in found] == [
            ("case/row", ("ours",)),
            ("case/slow", ("ours",)),
        ]
        assert len(jobs_of({"case": case}, ["ours"], quick=True)) == 1

    def test_another_tree_of_ours_runs_what_ours_runs(self, tmp_path: Path) -> None:
        (job,) = jobs_of({"case": Case(1, "a case", "", (ROW,))}, ["ours", "before"], quick=True)
        assert job.peers == ("ours", "before")
        assert before(tmp_path).requirements == PEERS["ours"].requirements

    def test_a_worker_does_not_inherit_what_would_change_python(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PYTHONPATH", "/nowhere")
        monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "settings")
        found = environment()
        assert "PYTHONPATH" not in found
        assert "DJANGO_SETTINGS_MODULE" not in found
        assert found["PYTHONHASHSEED"] == "0"

    def test_a_worker_measures(self) -> None:
        # The limit of this row needs only the standard library.
        found = measure_once(self.job, "limit", Path(sys.executable), scale=QUICK)
        assert list(found) == ["small-buffered"]
        assert 0 < found["small-buffered"] < 1

    def test_a_failed_check_ends_the_run_with_its_text(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = """
import sys
from benchmarks.cases import layer
from benchmarks.layers import Mailboxes, small
from benchmarks.worker import main
layer.PROGRAMS["limit"] = lambda row: Mailboxes(lambda message: message)
sys.argv[1:] = ["layer", "small-buffered", "limit", "--quick"]
main()
"""
        monkeypatch.setattr(
            "benchmarks.runner.command", lambda *args, **kwargs: [sys.executable, "-c", program]
        )
        with pytest.raises(FailedError, match="for limit did not do what it counts: a message"):
            measure_once(self.job, "limit", Path(sys.executable), scale=QUICK)

    def test_an_error_ends_the_run_with_its_text(self, monkeypatch: pytest.MonkeyPatch) -> None:
        broken = [sys.executable, "-c", "raise RuntimeError('broken')"]
        monkeypatch.setattr("benchmarks.runner.command", lambda *args, **kwargs: broken)
        with pytest.raises(FailedError, match=r"status 1:\n(?s:.)*RuntimeError: broken"):
            measure_once(self.job, "limit", Path(sys.executable), scale=QUICK)

    def test_a_process_that_hangs_is_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        job = self.job._replace(rows=(replace(self.job.row, timeout=0.2),))
        hanging = [sys.executable, "-c", "import time; time.sleep(600)"]
        monkeypatch.setattr("benchmarks.runner.command", lambda *args, **kwargs: hanging)
        with pytest.raises(FailedError, match=r"not done after 0\.2 seconds"):
            measure_once(job, "limit", Path(sys.executable), scale=QUICK)

    def test_the_command_is_the_one_of_the_readme(self) -> None:
        found = command(self.job, "limit", Path("python"), scale=Scale(quick=True, soak=30))
        assert found[:6] == [
            *("python", "-m", "benchmarks.worker"),
            *("layer", "small-buffered", "limit"),
        ]
        assert found[6:9] == ["--quick", "--soak", "30"]


class TestResults:
    def test_a_run_can_be_resumed(self, tmp_path: Path) -> None:
        path = tmp_path / "folder" / "results.json"
        first = Results.new(path, [PEERS["ours"]], quick=False)
        first.add("case/row", Round({"ours": 1.5}, 0.25))
        again = Results.load(path)
        assert again.rounds == {"case/row": [Round({"ours": 1.5}, 0.25)]}
        assert again.days() == [""]
        assert again.about == first.about
        assert again.about["peers"]["ours"]["pins"]["django"].startswith("5.2")
        again.add("case/row", Round({"ours": 2.5}, 0.75))
        assert Results.load(path).load_spread() == (0.25, 0.75)
        assert [one.name for one in path.parent.iterdir()] == ["results.json"]

    def test_a_case_can_be_measured_again(self, tmp_path: Path) -> None:
        results = Results.new(tmp_path / "results.json", [PEERS["ours"]], quick=False)
        results.add("case/row", Round({"ours": 1.5}, 0.25, "2026-01-31"))
        results.add("other/row", Round({"ours": 1.5}, 0.25, "2026-01-31"))
        results.forget(["case/row", "case/new"])
        results.add("case/row", Round({"ours": 2.5}, 0.25, "2026-02-01"))
        again = Results.load(results.path)
        assert again.rounds["case/row"] == [Round({"ours": 2.5}, 0.25, "2026-02-01")]
        assert again.days() == ["2026-01-31", "2026-02-01"]


def cells_of(row: Row, rounds: list[Round]) -> list[str]:
    """Return the cells of a row in the terminal."""
    found = block("1 case: a case", [(row, rounds)], list(PEERS.values()), 200)
    assert isinstance(found, Table)
    return [str(next(iter(column.cells))) for column in found.columns]


class TestTable:
    def test_it_shows_ratios_and_the_load(self) -> None:
        rounds = [
            Round({"ours": 2e-6, "upstream": 4e-6}, 0.5),
            Round({"ours": 1e-6, "upstream": 4e-6}, 1),
        ]
        assert cells_of(ROW, rounds) == [
            *("a row", "4 µs / frame", "3.00 (2.00 to 4.00)"),
            "0.5 to 1.0",
        ]

    def test_a_row_without_ratios_shows_figures(self) -> None:
        row = replace(ROW, unit="commands", absolute=True)
        found = cells_of(row, [Round({"ours": 0, "upstream": 4}, 0.5)])
        assert found == ["a row", "4 commands / frame", "0 commands", "0.5"]

    def test_costs_are_shown_without_upstream(self) -> None:
        found = cells_of(ROW, [Round({"ours": 2e-6, "limit": 1e-6}, 0.5)])
        assert found == ["a row", "2 µs / frame", "1 µs / frame", "0.5"]

    @pytest.mark.parametrize("width", [60, 80, 120, 200])
    def test_each_figure_is_whole(self, width: int) -> None:
        row = replace(ROW, title="a row with a title of so many words that it may need two lines")
        figures = {"upstream": 72e-3, "ours": 1e-6, "starlette": 2e-6, "limit": 3e-6}
        rounds = [Round(figures, 0.5), Round({**figures, "upstream": 90e-3}, 10.0)]
        console = Console(width=width, file=StringIO(), color_system=None)
        console.print(block("1 case: a case", [(row, rounds)] * 2, list(PEERS.values()), width))
        assert isinstance(console.file, StringIO)
        shown = console.file.getvalue()
        assert "…" not in shown
        assert max(map(len, shown.splitlines())) <= width
        for figure in [
            *("81 ms / frame", "81,000 (72,000 to 90,000)", "40,500 (36,000 to 45,000)"),
            *("27,000 (24,000 to 30,000)", "0.5 to 10.0", "Channels 4.3.2", "this tree"),
        ]:
            assert figure in shown

    @pytest.mark.parametrize(
        ("unit", "figure", "text"),
        [
            (SECONDS, 0.5e-6, "0.5 µs"),
            (SECONDS, 0.0123, "12.3 ms"),
            (SECONDS, 2.0, "2 s"),
            ("bytes", 2048, "2.0 KiB"),
            ("tasks", 2, "2 tasks"),
        ],
    )
    def test_a_cost_has_a_unit_that_suits_it(self, unit: str, figure: float, text: str) -> None:
        assert cost_text(replace(ROW, unit=unit), figure) == text

    def test_one_round_has_no_spread(self) -> None:
        assert ratio_text(Spread(1234.5, 1234.5, 1234.5)) == "1,234"
        assert ratio_text(None) == ""


class TestPage:
    line = tuple(
        replace(ROW, name=f"size-{size}", title=f"size {size}", size=size, line="cost by size")
        for size in (10, 1000)
    )
    case = Case(1, "a case", "What it measures.", (ROW, *line))

    def results(self, path: Path, *days: str) -> tuple[list[Job], Results]:
        """Return made-up results."""
        first, last = days or ("2026-01-31", "2026-01-31")
        peers = [PEERS["ours"], PEERS["upstream"], PEERS["limit"]]
        results = Results.new(path, peers, quick=False)
        jobs = jobs_of({"a-case": self.case}, [peer.name for peer in peers], quick=False)
        for job in jobs:
            results.add(
                job.key(), Round({"ours": 2e-6, "upstream": 3e-6, "limit": 1e-6}, 0.5, first)
            )
            results.add(
                job.key(), Round({"ours": 2e-6, "upstream": 5e-6, "limit": 1e-6}, 1.5, last)
            )
        return jobs, results

    def publish(self, folder: Path, *days: str) -> dict[str, str]:
        """Publish made-up results, and return the files."""
        publish(*self.results(folder / "results.json", *days), folder / "page")
        return {path.name: path.read_text() for path in (folder / "page").iterdir()}

    def test_a_case_has_a_table_a_plot_of_ratios_and_one_for_each_line(
        self, tmp_path: Path
    ) -> None:
        files = self.publish(tmp_path)
        assert set(files) == {"a-case-size.svg", "a-case.svg", "results.json", "results.md"}
        page = files["results.md"]
        assert page.startswith("Measured on 2026-01-31 with Python")
        assert "the load of the machine was 0.5 to 1.5" in page
        assert "### a case\n\nWhat it measures.\n\n| row |" in page
        assert (
            "| a row | 4 µs for a frame | **2.00 (1.50 to 2.50)** | 4.00 (3.00 to 5.00) |" in page
        )
        assert "![a case: a-case](/performance/a-case.svg)" in page
        assert "![a case: a-case-size](/performance/a-case-size.svg)" in page

    def test_days_are_told(self, tmp_path: Path) -> None:
        page = self.publish(tmp_path, "2026-01-31", "2026-02-01")["results.md"]
        assert page.startswith("Measured from 2026-01-31 to 2026-02-01 with Python")
        assert page.count("\n\nMeasured from 2026-01-31 to 2026-02-01") == 1

    def test_plots_name_peers_and_rows_and_load_nothing(self, tmp_path: Path) -> None:
        files = self.publish(tmp_path)
        for name, texts in {
            "a-case.svg": [
                *("this tree", "the limit", "a row"),
                "times better than Channels 4.3.2 (left of 1: worse)",
            ],
            "a-case-size.svg": ["this tree", "Channels 4.3.2", "1,000", "microseconds"],
        }.items():
            assert all(text in files[name] for text in texts)
            assert "<script" not in files[name]
            assert set(re.findall(r"https?://[^\"<> ]+", files[name])) <= {
                "http://www.w3.org/2000/svg",
                "http://www.w3.org/1999/xlink",
            }

    def test_drawing_leaves_no_finder_of_modules(self) -> None:
        """Python 3.11 would warn of it in each test of this process, and warnings are errors."""
        assert "pygal" in sys.modules
        assert not [each for each in sys.meta_path if "pygal" in type(each).__module__]

    def test_the_same_results_give_the_same_files(self, tmp_path: Path) -> None:
        for folder in ("one", "other"):
            (tmp_path / folder).mkdir()
        one, other = self.publish(tmp_path / "one"), self.publish(tmp_path / "other")
        del one["results.json"], other["results.json"]  # They have the time.
        assert one == other


class TestCases:
    @pytest.mark.parametrize("name", cases.NAMES)
    def test_each_row_has_a_program_for_each_of_its_peers(self, name: str) -> None:
        case = cases.load(name)
        module = sys.modules[module_of(name)]
        assert module.__doc__
        assert len({row.name for row in case.rows}) == len(case.rows)
        for row in case.rows:
            assert set(row.peers) <= set(module.PROGRAMS) <= set(PEERS)
            assert LIMIT in row.peers or UPSTREAM in row.peers or row.absolute

    @pytest.mark.parametrize("name", cases.NAMES)
    def test_a_case_imports_only_the_standard_library(self, name: str) -> None:
        """What a peer lacks must not be imported by a module that runs there."""
        program = f"import sys, {module_of(name)}; print(*sys.modules)"
        done = subprocess.run(
            # Without site-packages.
            [sys.executable, "-S", "-c", program],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def test_cases_are_selected_by_name_and_number(self) -> None:
        assert list(selected_cases(["layer", "2"])) == ["layer", "fan-out"]
        assert tuple(selected_cases([])) == cases.NAMES
        with pytest.raises(MistakeError, match="There is no case nothing: choose from layer,"):
            selected_cases(["nothing"])

    def test_peers_are_selected_by_name(self) -> None:
        assert [peer.name for peer in selected_peers("limit,ours", None)] == ["ours", "limit"]
        assert [peer.name for peer in selected_peers("ours", ROOT)] == ["ours", "before"]
        with pytest.raises(MistakeError, match="There is no peer nobody: choose from ours,"):
            selected_peers("nobody", None)


class TestCommandLine:
    def test_one_run_at_a_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("benchmarks.__main__.FOLDER", tmp_path / "benchmarks")
        done = []
        with pytest.raises(MistakeError, match="Another run"):
            alone(lambda: alone(lambda: done.append(1)))
        alone(lambda: done.append(2))
        assert done == [2]

    def test_results_are_shown_without_a_run(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "results.json"
        results = Results.new(path, list(PEERS.values()), quick=False)
        results.add("layer/small-buffered", Round({"ours": 1e-6, "upstream": 5e-6}, 0.5))
        main(["layer", "--show", "--results", str(path)])
        assert re.search(r"small: buffered +│ +5 µs / message │ +5\.00", capsys.readouterr().out)
        with pytest.raises(SystemExit, match="2"):
            main(["--show", "--results", str(tmp_path / "nothing.json")])
        assert "There are no results in" in capsys.readouterr().err

    def test_the_cases_are_listed(self, capsys: pytest.CaptureFixture[str]) -> None:
        main(["--list", "layer"])
        assert "1 layer: small-buffered, small-waiting" in capsys.readouterr().out


class TestEnvironments:
    def test_our_packages_are_copied(self, tmp_path: Path) -> None:
        (tmp_path / "channels_core").mkdir()
        (tmp_path / "channels_core" / "of_an_earlier_copy.py").touch()
        copy_tree(ROOT, tmp_path)
        found = {path.name for path in tmp_path.iterdir()}
        assert found >= {"channels", "channels_core", "channels_layers_memory"}
        assert (tmp_path / "channels_core" / "consumer.py").is_file()
        assert not (tmp_path / "channels_core" / "of_an_earlier_copy.py").exists()

    def test_common_packages_have_the_same_versions(self) -> None:
        every: dict[str, set[str]] = {}
        for peer in PEERS.values():
            for name, version in versions(peer).items():
                every.setdefault(name, set()).add(version)
        assert {name: found for name, found in every.items() if len(found) > 1} == {}
        assert every["channels"] == {"4.3.2"}
        assert "channels" not in versions(PEERS["ours"])


def test_the_results_are_json(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    Results.new(path, list(PEERS.values()), quick=True).save()
    assert json.loads(path.read_text())["rounds"] == {}
