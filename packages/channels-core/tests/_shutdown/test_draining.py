import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from types import FrameType
from typing import Any

import pytest

from channels_core._shutdown.draining import Draining
from channels_core._shutdown.open_connections import OpenConnections
from fakes import until


class Connection:
    """Ends when it is told to, or later."""

    def __init__(self, draining: Draining, *, stubborn: bool = False) -> None:
        self.options: Any = {"cleanup_timeout": 60.0}
        self.draining = draining
        self.stubborn = stubborn
        self.told: list[str] = []

    def drain(self) -> None:
        self.told.append("drain")
        if not self.stubborn:
            self.draining.connections.discard(self)

    def uses_layer(self, layer: object) -> bool:
        return False

    def cut(self) -> None:
        self.told.append("cut")
        self.draining.connections.discard(self)


class ServersHandler:
    """Handles the signals as a server does: it takes note, and ends a little later."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.event = asyncio.Event()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.got.append(number)
        self.event.set()


@pytest.fixture
async def server() -> AsyncIterator[ServersHandler]:
    handler = ServersHandler()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, handler)
    yield handler
    for number, previous in before.items():
        signal.signal(number, previous)


@pytest.fixture
def draining() -> Draining:
    return Draining(OpenConnections())


class TestTheSignal:
    async def test_connections_end_before_the_server_is_told(
        self, draining: Draining, server: ServersHandler
    ) -> None:
        first, second = Connection(draining), Connection(draining)
        draining.connections.add(first)
        draining.connections.add(second)
        second.stubborn = True
        signal.raise_signal(signal.SIGTERM)
        assert draining.begun
        await until(lambda: bool(second.told))
        assert first.told == ["drain"]
        assert server.got == []
        draining.connections.discard(second)
        await server.event.wait()
        assert server.got == [signal.SIGTERM]

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_without_any_the_server_is_told_at_once(
        self, draining: Draining, server: ServersHandler, number: signal.Signals
    ) -> None:
        connection = Connection(draining)
        draining.connections.add(connection)
        draining.connections.discard(connection)
        signal.raise_signal(number)
        assert server.got == [number]
        assert draining.begun

    async def test_a_second_one_goes_on_at_once(
        self, draining: Draining, server: ServersHandler
    ) -> None:
        connection = Connection(draining, stubborn=True)
        draining.connections.add(connection)
        signal.raise_signal(signal.SIGTERM)
        assert server.got == []
        signal.raise_signal(signal.SIGINT)
        assert server.got == [signal.SIGINT]
        await until(lambda: bool(connection.told))
        draining.connections.discard(connection)
        await until(lambda: len(server.got) == 2)

    async def test_what_does_not_end_is_cut_short(
        self,
        draining: Draining,
        server: ServersHandler,
        settings: Any,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        settings.CHANNELS_DRAIN_TIMEOUT = 0.01
        connection = Connection(draining, stubborn=True)
        draining.connections.add(connection)
        signal.raise_signal(signal.SIGTERM)
        await server.event.wait()
        assert connection.told == ["drain", "cut"]
        assert "1 connections did not end within CHANNELS_DRAIN_TIMEOUT" in caplog.text

    async def test_what_does_not_even_end_then_does_not_hold_the_server(
        self,
        draining: Draining,
        server: ServersHandler,
        settings: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        settings.CHANNELS_DRAIN_TIMEOUT = 0.01
        connection = Connection(draining, stubborn=True)
        connection.options = {"cleanup_timeout": 0.01}
        monkeypatch.setattr(connection, "cut", lambda: connection.told.append("cut"))
        draining.connections.add(connection)
        signal.raise_signal(signal.SIGTERM)
        await server.event.wait()
        assert connection.told == ["drain", "cut"]


class TestALoopsHandler:
    """A server may let its loop call its handlers, which Python itself then does not."""

    @pytest.fixture
    async def told(self) -> AsyncIterator[asyncio.Queue[int]]:
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[int] = asyncio.Queue()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, told.put_nowait, number)
        yield told
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)

    async def test_connections_end_before_the_server_is_told(
        self, draining: Draining, told: asyncio.Queue[int]
    ) -> None:
        connection = Connection(draining, stubborn=True)
        draining.connections.add(connection)
        signal.raise_signal(signal.SIGTERM)
        await until(lambda: bool(connection.told))
        # What came before it is known by now as well.
        signal.raise_signal(signal.SIGHUP)
        assert await told.get() == signal.SIGHUP
        assert connection.told == ["drain"]
        draining.connections.discard(connection)
        assert await told.get() == signal.SIGTERM

    async def test_a_second_one_goes_on_at_once(
        self, draining: Draining, told: asyncio.Queue[int]
    ) -> None:
        connection = Connection(draining, stubborn=True)
        draining.connections.add(connection)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert await told.get() == signal.SIGINT
        await until(lambda: bool(connection.told))
        draining.connections.discard(connection)
        assert await told.get() == signal.SIGTERM

    async def test_without_connections_the_server_is_told_at_once(
        self, draining: Draining, told: asyncio.Queue[int]
    ) -> None:
        connection = Connection(draining)
        draining.connections.add(connection)
        draining.connections.discard(connection)
        signal.raise_signal(signal.SIGTERM)
        assert await told.get() == signal.SIGTERM
        assert told.empty()

    async def test_a_handler_that_is_set_again_is_held_back_again(
        self, draining: Draining, told: asyncio.Queue[int]
    ) -> None:
        draining.connections.add(Connection(draining))
        again: asyncio.Queue[int] = asyncio.Queue()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, again.put_nowait, 1)
        connection = Connection(draining)
        draining.connections.add(connection)
        signal.raise_signal(signal.SIGTERM)
        assert await again.get() == 1
        assert connection.told == ["drain"]


class TestWhoseSignals:
    """Only a server's in the main thread are taken."""

    def untaken(self, draining: Draining) -> bool:
        draining.connections.add(Connection(draining))
        return not draining._open and signal.getsignal(signal.SIGTERM) != draining._handler

    async def test_where_nobody_handles_them_nothing_is_done(self, draining: Draining) -> None:
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert self.untaken(draining)

    async def test_nor_where_the_settings_say_so(
        self, draining: Draining, server: ServersHandler, settings: Any
    ) -> None:
        settings.CHANNELS_DRAIN_TIMEOUT = None
        assert self.untaken(draining)

    def test_nor_in_another_thread(self, draining: Draining) -> None:
        previous = signal.signal(signal.SIGTERM, lambda *_: None)
        found: list[bool] = []

        async def look() -> None:
            found.append(self.untaken(draining))

        try:
            thread = threading.Thread(target=lambda: asyncio.run(look()))
            thread.start()
            thread.join()
        finally:
            signal.signal(signal.SIGTERM, previous)
        assert found == [True]

    async def test_a_signal_without_a_handler_is_left_alone(
        self, draining: Draining, server: ServersHandler
    ) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        draining.connections.add(Connection(draining))
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is draining._handler

    async def test_another_server_after_the_first_is_served_anew(
        self, draining: Draining, server: ServersHandler
    ) -> None:
        draining.connections.add(Connection(draining, stubborn=True))
        draining.begun = True
        signal.signal(signal.SIGTERM, server)
        connection = Connection(draining)
        draining.connections.add(connection)
        assert not draining.begun
        signal.raise_signal(signal.SIGTERM)
        await until(lambda: connection.told == ["drain"])


async def test_a_forked_process_is_told_at_once(draining: Draining, server: ServersHandler) -> None:
    connection = Connection(draining)
    draining.connections.add(connection)
    draining.forget()
    signal.raise_signal(signal.SIGTERM)
    assert server.got == [signal.SIGTERM]
    assert connection.told == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_that_is_forked_while_serving_ends_by_its_own_handler() -> None:
    program = """
import asyncio, os, signal, sys, warnings
from django.conf import settings
from channels_core._shutdown.draining import draining
settings.configure()
warnings.simplefilter("ignore")  # of newer Pythons, at forks of processes that have threads
told = []
async def serve():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, told.append, "the parent's loop")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
    draining.connections.add(object())
    child = os.fork()
    if child == 0:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        os._exit(1)
    status = os.waitpid(child, 0)[1]
    await asyncio.sleep(0)
    print(os.waitstatus_to_exitcode(status), told)
asyncio.run(serve())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("7 []\n", "")
