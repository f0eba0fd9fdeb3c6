"""Programs with one fault: each case has to end its run and to say what is wrong."""

import asyncio
import inspect
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers

from benchmarks import clock
from benchmarks.case import Row, Scale
from benchmarks.cases import (
    chat,
    connect,
    echo_sync,
    echo_text,
    http,
    idle_channels,
    layer,
    memory,
    sleepers,
    soak,
)
from benchmarks.honesty import DishonestError, check_copies
from benchmarks.layers import Mailboxes
from benchmarks.runner import FailedError, Job, measure_once

QUICK = Scale(quick=True)


def with_fault(write: Callable[[Row], Any], right: str, wrong: str) -> Callable[[Row], Any]:
    """Return the function that writes a program, with a fault in its source."""
    source = inspect.getsource(write)
    assert source.count(right) == 1
    names = dict(write.__globals__)
    exec(source.replace(right, wrong), names)
    found: Callable[[Row], Any] = names[write.__name__]
    return found


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a wait for what was lost end soon."""
    monkeypatch.setattr(clock, "LOOK", 0.05)
    monkeypatch.setattr(clock, "IDLE_LOOKS", 2)


@pytest.fixture
def our_layer(monkeypatch: pytest.MonkeyPatch) -> InMemoryChannelLayer:
    """Let the programs of Channels run with the settings of these tests, and return their layer."""
    for module in ("benchmarks.cases.chat", "benchmarks.site"):
        monkeypatch.setattr(f"{module}.set_up", lambda **changes: None)
    found = InMemoryChannelLayer()
    monkeypatch.setattr(channel_layers, "backends", {"default": found})
    return found


class TestWaiting:
    """A wait for something that was lost ends within seconds, and what is slow may go on."""

    row = Row("row", "a row", "frame", ("limit",), timeout=60)

    def test_it_ends_within_seconds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        assert clock.IDLE_LOOKS * clock.LOOK <= 10

    def test_a_process_that_does_nothing_is_ended(self) -> None:
        begin = time.monotonic()
        with pytest.raises(DishonestError, match="not all of it arrived in time, or at all"):
            clock.run(asyncio.sleep(50), self.row)
        assert time.monotonic() - begin < 20

    def test_a_process_that_works_goes_on(self) -> None:
        async def work() -> int:
            end = time.monotonic() + 2 * clock.LOOK * clock.IDLE_LOOKS
            while time.monotonic() < end:
                sum(range(1000))
                await asyncio.sleep(0)
            return 1

        assert clock.run(work(), self.row) == 1

    def test_a_case_may_wait(self) -> None:
        wait = asyncio.sleep(2 * clock.LOOK * clock.IDLE_LOOKS, 1)
        assert clock.run(wait, self.row, waits=True) == 1

    def test_but_not_longer_than_its_time(self) -> None:
        with pytest.raises(DishonestError, match="not all of it arrived"):
            clock.run(asyncio.sleep(50), replace(self.row, timeout=0.1), waits=True)
        wait = asyncio.sleep(0.3, 1)
        assert clock.run(wait, replace(self.row, timeout=0.1), waits=True, more=20) == 1


def test_receivers_that_share_need_not_be_neighbours() -> None:
    shared = {"number": 1}
    with pytest.raises(DishonestError, match="messages: receiver 2 shares a value with an earlier"):
        check_copies("messages", [shared, {"number": 1}, shared], lambda message: message.clear())


class TestEcho:
    def test_a_handshake_without_an_answer_is_found(self) -> None:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await receive()

        with pytest.raises(DishonestError, match="the handshake was not answered"):
            echo_text.measure(application, echo_text.CASE.row("burst"), QUICK)

    @pytest.mark.parametrize(
        ("row", "problem"),
        [
            ("ping-pong", "1 lost; of 6, number 5 should be 'hello 5' and is missing"),
            ("burst", "1 lost; of 100, number 5 should be 'hello 5' and is 'hello 6'"),
        ],
    )
    @pytest.mark.parametrize("case", [echo_text, echo_sync])
    def test_a_lost_frame_is_named(self, case: Any, row: str, problem: str) -> None:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                if message["text"] != "hello 5":
                    await send({"type": "websocket.send", "text": message["text"]})

        with pytest.raises(DishonestError, match=f"echoed frames: {problem}"):
            case.measure(application, case.CASE.row(row), QUICK)


Messages = list[dict[str, Any]]


class TestHttp:
    @pytest.mark.parametrize(
        ("row", "fault", "problem"),
        [
            (
                "small",
                lambda sent: [{**sent[0], "status": 500}, {**sent[1], "body": b""}],
                "answer 1: the status: expected 200, got 500",
            ),
            (
                "small",
                lambda sent: [sent[0], {**sent[1], "body": b""}],
                "answer 1: the body: expected b'hello, world', got b''",
            ),
            ("small", lambda sent: [], r"answer 1: its messages: expected \['http"),
            ("small", lambda sent: sent * 2, r"answer 1: its messages: expected \['http"),
            (
                "small-layer",
                lambda sent: [{**sent[0], "headers": []}, sent[1]],
                "answer 1: content-type: expected b'text/plain; charset=utf-8', got None",
            ),
            (
                "chunks",
                lambda sent: [sent[0], *[sent[1]] * 1050, sent[-1]],
                "answer 1: the parts: 1 repeated; of 1000, number 1 should be",
            ),
            (
                "chunks-turns",
                lambda sent: [sent[0], *sent[-2:0:-1], sent[-1]],
                "answer 1: the parts: in another order; of 1000, number 0 should be",
            ),
            (
                "chunks",
                lambda sent: [*sent[:500], {**sent[500], "more_body": False}, *sent[501:]],
                "answer 1: more_body of message 500: expected True, got False",
            ),
            (
                "events",
                lambda sent: [*sent[:4], *sent[5:]],
                r"answer 1: the events: 1 lost; .* 3 should be b'data: hello, world 0003",
            ),
        ],
    )
    def test_a_fault_from_the_second_answer_on_is_found(
        self, row: str, fault: Callable[[Messages], Messages], problem: str
    ) -> None:
        good, answers = http.limit(http.CASE.row(row)), 0

        async def application(scope: Any, receive: Any, send: Any) -> None:
            nonlocal answers
            sent: Messages = []

            async def hold(message: dict[str, Any]) -> None:
                sent.append(message)

            await good(scope, receive, hold)
            for message in fault(sent) if answers else sent:
                await send(message)
            answers += 1

        with pytest.raises(DishonestError, match=problem):
            http.measure(application, http.CASE.row(row), QUICK)

    @pytest.mark.parametrize("row", [row.name for row in http.CASE.rows])
    def test_what_has_no_fault_is_measured(self, row: str) -> None:
        program = http.limit(http.CASE.row(row))
        assert 0 < http.measure(program, http.CASE.row(row), QUICK) < 1


class Sharing(InMemoryChannelLayer):
    """A layer that gives the receivers of equal messages the same object."""

    async def receive(self, channel: str) -> Any:
        message = await super().receive(channel)
        return vars(self).setdefault("kept", {}).setdefault(repr(message), message)


class TestChat:
    row = replace(chat.CASE.row("connections-100"), size=4)

    def test_a_limit_whose_members_share_a_message_is_found(self) -> None:
        program = with_fault(chat.limit, "message.copy()", "message")
        with pytest.raises(DishonestError, match="a message to the room: receivers 0 and 1 share"):
            chat.measure(program(self.row), self.row, QUICK)

    def test_a_layer_whose_members_share_a_message_is_found(
        self, our_layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(channel_layers, "backends", {"default": Sharing()})
        with pytest.raises(DishonestError, match="a message to the room: receivers 0 and 1 share"):
            chat.measure(chat.channels(self.row), self.row, QUICK)

    def test_a_layer_that_copies_is_measured(self, our_layer: InMemoryChannelLayer) -> None:
        assert 0 < chat.measure(chat.channels(self.row), self.row, QUICK) < 1

    def test_a_lost_frame_is_named(self) -> None:
        # The first member does not get this text.
        wrong = 'list(members.values())[text == "hello 1":]'
        program = with_fault(
            chat.limit, "in members.values():\n            mail", f"in {wrong}:\n            mail"
        )
        problem = "frames of member 0: 1 lost; of 2, number 1 should be 'hello 1' and is missing"
        with pytest.raises(DishonestError, match=problem):
            chat.measure(program(self.row), self.row, QUICK)


def test_idle_channels_beside_a_layer_that_shares_are_found() -> None:
    row = replace(idle_channels.CASE.row("idle-1000"), size=10)
    assert 0 < idle_channels.measure(Mailboxes(dict.copy), row, QUICK) < 1
    with pytest.raises(DishonestError, match=r"a message of a layer: expected .*'number': 1"):
        idle_channels.measure(Mailboxes(lambda message: message), row, QUICK)


class Ending:
    """An application that ends or closes one of its connections, but seems to hold it."""

    def __init__(self, application: Any, number: int, *, closes: bool) -> None:
        self.application = application
        self.left = number
        self.closes = closes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.left -= 1
        if self.left:
            await self.application(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        if self.closes:
            await asyncio.sleep(0)
            await send({"type": "websocket.close", "code": 1000})
            await receive()


class TestConnect:
    row = replace(connect.CASE.row("held-1000"), size=5)

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        return tmp_path

    def test_what_has_no_fault_is_measured_and_leaves_no_folder(
        self, our_layer: InMemoryChannelLayer, folder: Path
    ) -> None:
        for write in (connect.channels, connect.limit):
            site = write(self.row)
            assert len(list(folder.iterdir())) == (write is connect.channels)
            assert 0 < connect.measure(site, self.row, QUICK) < 1
            assert list(folder.iterdir()) == []

    def test_a_connection_outside_of_its_group_is_found(
        self, our_layer: InMemoryChannelLayer, folder: Path
    ) -> None:
        program = with_fault(connect.channels, 'groups = ["room"]', "groups = []")
        problem = "connection 0 of 55 that are held: a message to its group did not arrive"
        with pytest.raises(DishonestError, match=problem):
            connect.measure(program(self.row), self.row, QUICK)
        assert list(folder.iterdir()) == []

    def test_a_connection_that_is_twice_in_its_group_is_found(self) -> None:
        site = connect.limit(self.row)
        tell = site.tell

        async def twice(text: str) -> None:
            await tell(text)
            await tell(text)

        site.tell = twice
        with pytest.raises(
            DishonestError, match=r"connection 0 of 55 .* what it was sent: expected"
        ):
            connect.measure(site, self.row, QUICK)

    @pytest.mark.parametrize(
        ("closes", "problem"),
        [
            (False, "connection 2 of 55 that are held: has its application ended: .* got True"),
            (True, "connection 2 of 55 that are held: what it was sent: .*'websocket.close'"),
        ],
    )
    def test_a_connection_that_is_held_no_more_is_found(self, closes: bool, problem: str) -> None:
        site = connect.limit(self.row)
        site.application = Ending(site.application, 3, closes=closes)
        with pytest.raises(DishonestError, match=problem):
            connect.measure(site, self.row, QUICK)


class TestMemory:
    row = memory.CASE.row("tasks")

    def test_what_has_no_fault_is_measured(self) -> None:
        assert memory.measure(connect.limit(self.row), self.row, QUICK) == 1

    def test_a_site_leaves_no_folder(
        self, our_layer: InMemoryChannelLayer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        assert memory.measure(connect.channels(self.row), self.row, QUICK) >= 1
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("closes", "problem"),
        [
            (False, "connection 249 of 300 that are held: has its application ended"),
            (True, "connection 249 of 300 that are held: what it was sent: .*'websocket.close'"),
        ],
    )
    def test_a_connection_that_was_closed_is_found(self, closes: bool, problem: str) -> None:
        site = connect.limit(self.row)
        site.application = Ending(site.application, 250, closes=closes)
        with pytest.raises(DishonestError, match=problem):
            memory.measure(site, self.row, QUICK)

    def test_a_connection_that_cannot_leave_is_found(self) -> None:
        fault = with_fault(
            connect.limit, '!= "websocket.disconnect"', '!= "websocket.disconnected"'
        )
        with pytest.raises(DishonestError, match="a connection did not end when its client had"):
            memory.measure(fault(self.row), self.row, QUICK)


class TestSleepers:
    row = sleepers.CASE.row("handlers")

    @pytest.mark.parametrize(
        ("instead", "problem"),
        [
            ("pass", "handlers that slept: expected 64, got 0"),
            ("slept.append(0.01)", "a handler slept for 0.0100 s, not for 0.05 s"),
            ("slept.append(0.05)", "a round of handlers that sleep 0.05 s took 0.0"),
        ],
    )
    def test_a_handler_that_does_not_sleep_is_found(self, instead: str, problem: str) -> None:
        program = with_fault(sleepers.limit, "sleep()", instead)
        with pytest.raises(DishonestError, match=problem):
            sleepers.measure(program(self.row), self.row, QUICK)

    def test_handlers_that_sleep_are_measured(self) -> None:
        found = sleepers.measure(sleepers.limit(self.row), self.row, QUICK)
        assert found["handlers"] >= sleepers.SECONDS * 0.9


class TestSoak:
    row = soak.CASE.row("connections")

    @pytest.fixture(autouse=True)
    def short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Scale, "count", lambda self, full, quick: 0.1)
        monkeypatch.setattr(soak, "TRACED", 6)
        # The case itself waits for a tenth of a second, so that all settles.
        monkeypatch.setattr(clock, "IDLE_LOOKS", 20)

    @pytest.mark.parametrize("what", [bytes, bytearray])
    def test_a_small_leak_is_found(self, what: type[bytes] | type[bytearray]) -> None:
        room, kept = soak.limit(self.row), []
        application = room.asynchronous

        async def leaking(scope: Any, receive: Any, send: Any) -> None:
            kept.append(what(200))
            await application(scope, receive, send)

        room.asynchronous = room.synchronous = leaking
        with pytest.raises(DishonestError, match=r"memory: each connection leaves [23]\d\d bytes"):
            soak.measure(room, self.row, QUICK)

    def test_a_lost_broadcast_is_named(self) -> None:
        room = soak.limit(self.row)
        broadcast = room.broadcast

        async def lossy(text: str) -> None:
            if text != "set 3, broadcast 2":
                await broadcast(text)

        room.broadcast = lossy
        problem = (
            "1 lost; of 5, number 2 should be 'set 3, broadcast 2' and is 'set 3, broadcast 3'"
        )
        with pytest.raises(DishonestError, match=problem):
            soak.measure(room, self.row, QUICK)

    def test_a_process_may_take_the_minutes_that_are_asked_for(self) -> None:
        assert Scale(soak=54).more(self.row) == 54 * 60
        assert Scale(soak=54).more(layer.CASE.rows[0]) == 0

    def test_the_runner_waits_for_so_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        row = replace(self.row, timeout=0.2)
        hanging = [sys.executable, "-c", "import time; time.sleep(600)"]
        monkeypatch.setattr("benchmarks.runner.command", lambda *args, **kwargs: hanging)
        with pytest.raises(FailedError, match=r"not done after 0\.8 seconds"):
            measure_once(
                Job("soak", soak.CASE, (row,), ("limit",)),
                "limit",
                Path(sys.executable),
                scale=Scale(soak=0.01),
            )
