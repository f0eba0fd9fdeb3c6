"""Programs with one fault: each case has to end its run and to say what is wrong."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from benchmarks import clock
from benchmarks.case import Row, Scale
from benchmarks.cases import (
    echo_sync,
    echo_text,
)
from benchmarks.honesty import DishonestError

QUICK = Scale(quick=True)


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a wait for what was lost end soon."""
    monkeypatch.setattr(clock, "LOOK", 0.05)
    monkeypatch.setattr(clock, "IDLE_LOOKS", 2)


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
