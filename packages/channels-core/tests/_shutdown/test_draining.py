"""Stop signals, which end the open connections before they reach the server."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from channels_core.generic.websocket import AsyncWebsocketConsumer
from fakes import STOP_SIGNALS, Server, StopHandler, begin_after_a_stop, raise_stop, until

RESTART = {"type": "websocket.close", "code": 1012, "reason": "Service restart"}


class Consumer(AsyncWebsocketConsumer):
    """Waits in `receive` for ever, and in `disconnect` for the event in its scope, if any."""

    channel_layer_alias = None

    async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        await asyncio.Event().wait()

    async def disconnect(self, code: int) -> None:
        if "may_end" in self.scope:
            await self.scope["may_end"].wait()


class Stubborn(Consumer, cleanup_timeout=0.01):
    """Ignores the time limit of its clean-up."""

    async def disconnect(self, code: int) -> None:
        while not self.scope["may_end"].is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self.scope["may_end"].wait()


async def connect(kind: type[Consumer] = Consumer, may_end: asyncio.Event | None = None) -> Server:
    server = Server(kind.as_asgi(), {"may_end": may_end} if may_end else None)
    await server.connect()
    return server


class TestTheSignal:
    async def test_connections_end_before_the_server_gets_it(
        self, stop_handler: StopHandler
    ) -> None:
        may_end = asyncio.Event()
        first, second = await connect(), await connect(may_end=may_end)
        await raise_stop()
        await first.end()
        await until(lambda: second.received[-1] == RESTART)
        assert first.received[-1] == RESTART
        assert stop_handler.got == []
        may_end.set()
        await stop_handler.event.wait()
        assert stop_handler.got == [signal.SIGTERM]
        await second.end()

    @pytest.mark.parametrize("number", STOP_SIGNALS)
    async def test_without_connections_the_server_gets_it_at_once(
        self, stop_handler: StopHandler, number: signal.Signals
    ) -> None:
        server = await connect()
        await server.leave()
        signal.raise_signal(number)
        assert stop_handler.got == [number]

    async def test_a_connection_that_is_just_ending_does_not_hold_it_back(
        self, stop_handler: StopHandler
    ) -> None:
        class Raising(Consumer):
            async def disconnect(self, code: int) -> None:
                signal.raise_signal(signal.SIGTERM)

        server = await connect(Raising)
        await server.leave()
        await stop_handler.event.wait()
        assert stop_handler.got == [signal.SIGTERM]

    async def test_a_second_one_is_passed_on_at_once(self, stop_handler: StopHandler) -> None:
        may_end = asyncio.Event()
        server = await connect(may_end=may_end)
        signal.raise_signal(signal.SIGTERM)
        assert stop_handler.got == []
        signal.raise_signal(signal.SIGINT)
        assert stop_handler.got == [signal.SIGINT]
        await until(lambda: server.received[-1] == RESTART)
        may_end.set()
        await until(lambda: len(stop_handler.got) == 2)
        await server.end()

    async def test_a_handler_that_takes_too_long_is_cancelled(
        self, stop_handler: StopHandler, settings: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.CHANNELS_DRAIN_TIMEOUT = 0.01
        server = await connect()
        server.text("wait")
        await raise_stop()
        await stop_handler.event.wait()
        await server.end()
        assert server.received[-1] == RESTART
        assert "1 connections did not end within CHANNELS_DRAIN_TIMEOUT" in caplog.text

    async def test_a_clean_up_that_takes_too_long_does_not_hold_the_server(
        self, stop_handler: StopHandler, settings: Any
    ) -> None:
        settings.CHANNELS_DRAIN_TIMEOUT = 0.01
        may_end = asyncio.Event()
        server = await connect(Stubborn, may_end)
        await raise_stop()
        await stop_handler.event.wait()
        assert not server.task.done()
        may_end.set()
        await server.end()


class TestHandlersOfALoop:
    """A server may set its handlers by `loop.add_signal_handler`."""

    @pytest.fixture
    async def got(self) -> AsyncIterator[asyncio.Queue[int]]:
        """Return a queue of the signals that have reached the server."""
        loop = asyncio.get_running_loop()
        got: asyncio.Queue[int] = asyncio.Queue()
        for number in (*STOP_SIGNALS, signal.SIGHUP):
            loop.add_signal_handler(number, got.put_nowait, number)
        yield got
        for number in (*STOP_SIGNALS, signal.SIGHUP):
            loop.remove_signal_handler(number)
        await begin_after_a_stop()

    async def test_connections_end_before_the_server_gets_it(self, got: asyncio.Queue[int]) -> None:
        may_end = asyncio.Event()
        server = await connect(may_end=may_end)
        await raise_stop()
        await until(lambda: server.received[-1] == RESTART)
        # A signal that does not stop the server is not held back.
        signal.raise_signal(signal.SIGHUP)
        assert await got.get() == signal.SIGHUP
        may_end.set()
        assert await got.get() == signal.SIGTERM
        await server.end()

    async def test_a_second_one_is_passed_on_at_once(self, got: asyncio.Queue[int]) -> None:
        may_end = asyncio.Event()
        server = await connect(may_end=may_end)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert await got.get() == signal.SIGINT
        await until(lambda: server.received[-1] == RESTART)
        may_end.set()
        assert await got.get() == signal.SIGTERM
        await server.end()

    async def test_without_connections_the_server_gets_it_at_once(
        self, got: asyncio.Queue[int]
    ) -> None:
        server = await connect()
        await server.leave()
        signal.raise_signal(signal.SIGTERM)
        assert await got.get() == signal.SIGTERM
        assert got.empty()

    async def test_a_handler_that_is_set_again_is_replaced_again(
        self, got: asyncio.Queue[int]
    ) -> None:
        first = await connect()
        again: asyncio.Queue[int] = asyncio.Queue()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, again.put_nowait, 1)
        second = await connect()
        signal.raise_signal(signal.SIGTERM)
        assert await again.get() == 1
        for server in (first, second):
            await server.end()
            assert server.received[-1] == RESTART


class TestWhichSignals:
    """Only the signals of a server in the main thread are taken."""

    async def test_without_a_handler_nothing_is_done(self) -> None:
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        server = await connect()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        await server.leave()

    async def test_the_settings_may_turn_it_off(
        self, stop_handler: StopHandler, settings: Any
    ) -> None:
        settings.CHANNELS_DRAIN_TIMEOUT = None
        server = await connect()
        assert signal.getsignal(signal.SIGTERM) is stop_handler
        await server.leave()

    def test_connections_in_another_thread_do_not_take_them(self) -> None:
        def handler(*args: object) -> None: ...

        async def serve() -> None:
            server = await connect()
            found.append(signal.getsignal(signal.SIGTERM))
            await server.leave()

        found: list[Any] = []
        previous = signal.signal(signal.SIGTERM, handler)
        try:
            thread = threading.Thread(target=lambda: asyncio.run(serve()))
            thread.start()
            thread.join()
        finally:
            signal.signal(signal.SIGTERM, previous)
        assert found == [handler]

    async def test_a_signal_that_the_server_ignores_is_not_taken(
        self, stop_handler: StopHandler
    ) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        server = await connect()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is not stop_handler
        await server.leave()

    async def test_a_second_server_has_signals_of_its_own(self, stop_handler: StopHandler) -> None:
        may_end = asyncio.Event()
        first = await connect(may_end=may_end)
        await raise_stop()
        other = StopHandler()
        signal.signal(signal.SIGTERM, other)
        second = await connect()
        assert second.received == [{"type": "websocket.accept", "subprotocol": None}]
        await raise_stop()
        await second.end()
        assert second.received[-1] == RESTART
        may_end.set()
        await first.end()
        await other.event.wait()
        assert stop_handler.got == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_that_is_forked_while_serving_ends_by_its_own_handler() -> None:
    program = """
import asyncio, os, signal, sys, warnings
from django.conf import settings
settings.configure()
from channels_core.generic.websocket import AsyncWebsocketConsumer
warnings.simplefilter("ignore")  # of newer Pythons, at forks of processes that have threads
got = []
class Consumer(AsyncWebsocketConsumer):
    channel_layer_alias = None
async def serve():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, got.append, "the parent's loop")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
    inbox, accepted = asyncio.Queue(), asyncio.Event()
    async def send(message):
        accepted.set()
    inbox.put_nowait({"type": "websocket.connect"})
    scope = {"type": "websocket", "path": "/"}
    task = asyncio.create_task(Consumer.as_asgi()(scope, inbox.get, send))
    await accepted.wait()
    child = os.fork()
    if child == 0:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        os._exit(1)
    status = os.waitpid(child, 0)[1]
    await asyncio.sleep(0)
    print(os.waitstatus_to_exitcode(status), got)
    inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await task
asyncio.run(serve())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("7 []\n", "")
