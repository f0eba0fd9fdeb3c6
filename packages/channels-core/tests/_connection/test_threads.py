"""Threads of synchronous handlers, and the coroutines that these run in their event loop."""

import asyncio
import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async

from channels_core._connection import threads as _threads
from channels_core._connection.threads import ThreadCall, run_in_loop, run_in_thread
from channels_core.generic.websocket import WebsocketConsumer
from channels_core.layers import channel_layers
from fakes import LocalLayer, Server, call_in_handler


def current() -> threading.Thread:
    return threading.current_thread()


async def test_handlers_run_in_the_pool() -> None:
    thread = await call_in_handler(current)
    assert thread.name.startswith("channels-sync")


async def test_the_pool_is_bounded(settings: Any) -> None:
    settings.CHANNELS_SYNC_THREADS = 2
    threads = await asyncio.gather(*(call_in_handler(current) for _ in range(20)))
    assert len(set(threads)) <= 2
    settings.CHANNELS_SYNC_THREADS = 1
    threads = await asyncio.gather(*(call_in_handler(current) for _ in range(20)))
    assert len(set(threads)) == 1


def test_under_an_outer_async_to_sync_handlers_run_in_the_calling_thread() -> None:
    async def here() -> threading.Thread:
        thread: threading.Thread = await call_in_handler(current)
        return thread

    async def in_a_task() -> threading.Thread:
        return await asyncio.create_task(here())

    assert async_to_sync(here)() is threading.current_thread()
    assert async_to_sync(in_a_task)() is threading.current_thread()


async def test_in_a_thread_sensitive_context_handlers_run_in_its_thread() -> None:
    async with ThreadSensitiveContext():
        expected = await sync_to_async(current)()
        assert await call_in_handler(current) is expected


async def test_a_call_whose_task_was_cancelled_can_be_waited_for() -> None:
    started, go_on = threading.Event(), threading.Event()
    ended: list[bool] = []

    def work() -> None:
        started.set()
        go_on.wait(20)
        ended.append(True)

    call = ThreadCall(work, ())
    task = asyncio.ensure_future(run_in_thread(call))
    await asyncio.to_thread(started.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not ended
    waiting = asyncio.ensure_future(call.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    go_on.set()
    await waiting
    assert ended == [True]
    await call.wait()


async def test_a_call_that_was_waited_for_before_it_began_is_not_made() -> None:
    called: list[bool] = []
    call = ThreadCall(called.append, (True,))
    await call.wait()
    assert call() is None
    assert not called


async def test_a_child_process_has_threads_of_its_own() -> None:
    """What `os.fork` calls in the child, whose copies of the pools have no threads."""
    before = _threads._pools.get(ending=False)
    await run_in_thread(ThreadCall(current, ()))
    _threads._pools.forget()
    assert _threads._pools.get(ending=False) is not before
    thread = await run_in_thread(ThreadCall(current, ()))
    assert thread.name == "channels-sync_1"
    before.shutdown()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_sync_handlers_run_in_a_child_that_was_forked() -> None:
    program = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore")  # of newer Pythons, at forks of processes that have threads
from django.conf import settings
settings.configure()
from channels_core._connection.threads import ThreadCall, run_in_thread
def run():
    asyncio.run(run_in_thread(ThreadCall(print, ("ran",))))
    sys.stdout.flush()
run()
child = os.fork()
if not child:
    run()
    os._exit(0)
os.waitpid(child, 0)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "ran\nran\n"


class TestManyEndsAtOnce:
    """More connections end than there are threads; each has time for its own `disconnect` only."""

    async def test_waiting_for_a_thread_does_not_count(self, settings: Any) -> None:
        settings.CHANNELS_SYNC_THREADS = 1
        begun, go_on, ended = threading.Event(), threading.Event(), []

        class Slow(WebsocketConsumer):
            channel_layer_alias = None

            def disconnect(self, code: int) -> None:
                begun.set()
                go_on.wait(20)
                ended.append(code)

        class Bounded(Slow, cleanup_timeout=0.1):
            pass

        first = Server(Slow.as_asgi())
        others = [Server(Bounded.as_asgi()) for _ in range(5)]
        for server in [first, *others]:
            await server.connect()
        # The only thread is taken before the others ask for it.
        first.put({"type": "websocket.disconnect", "code": 1001})
        await asyncio.to_thread(begun.wait, 20)
        for server in others:
            server.put({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait([server.task for server in others], timeout=0.3)
        assert not any(server.task.done() for server in others)
        go_on.set()
        async with asyncio.timeout(20):
            await asyncio.gather(first.task, *(server.task for server in others))
        assert ended == [1001] * 6

    async def test_a_server_that_gives_up_does_not_keep_it_from_running(
        self, settings: Any
    ) -> None:
        settings.CHANNELS_SYNC_THREADS = 1
        go_on = threading.Event()
        blocking = asyncio.ensure_future(run_in_thread(ThreadCall(go_on.wait, (20,)), ending=True))
        await asyncio.sleep(0)
        called = threading.Event()
        waiting = asyncio.ensure_future(run_in_thread(ThreadCall(called.set, ()), ending=True))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        go_on.set()
        await blocking
        assert await asyncio.to_thread(called.wait, 20)


def test_a_call_may_outlive_the_loop_that_waits_for_it() -> None:
    async def make() -> ThreadCall:
        return ThreadCall(divmod, (7, 2), lambda: None)

    assert asyncio.run(make())() == (3, 1)


async def test_a_thread_of_the_program_sends_through_the_loop_of_its_consumer() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def note(text: str) -> str:
        loops.append(asyncio.get_running_loop())
        return text

    loop = asyncio.get_running_loop()
    assert await asyncio.to_thread(run_in_loop, loop, note, "sent") == "sent"
    assert await run_in_thread(ThreadCall(run_in_loop, (loop, note, "sent"))) == "sent"
    assert loops == [loop, loop]
    with pytest.raises(RuntimeError, match="same thread as an async event loop"):
        run_in_loop(loop, note, "sent")


async def test_a_sync_consumer_may_send_from_a_thread_that_it_started() -> None:
    threads: list[threading.Thread] = []

    class Ticker(WebsocketConsumer):
        channel_layer_alias = None

        def connect(self) -> None:
            self.accept()
            self.thread = threading.Thread(target=self.send, args=("tick",))
            threads.append(self.thread)
            self.thread.start()

    loops: set[asyncio.AbstractEventLoop] = set()

    class Strict(Server):
        async def _send(self, message: Any) -> None:
            loops.add(asyncio.get_running_loop())
            await super()._send(message)

    server = Strict(Ticker.as_asgi())
    await server.connect()
    await server.replies(2)
    assert server.received[1] == {"type": "websocket.send", "text": "tick"}
    assert loops == {asyncio.get_running_loop()}
    await asyncio.to_thread(threads[0].join, 20)
    await server.leave()


async def test_a_thread_that_it_started_joins_and_leaves_in_its_loop() -> None:
    loops: set[asyncio.AbstractEventLoop] = set()
    threads: list[threading.Thread] = []

    class Strict(LocalLayer):
        def _called(self, name: str, *args: str) -> None:
            loops.add(asyncio.get_running_loop())
            super()._called(name, *args)

    layer = Strict()
    channel_layers.set("default", layer)

    class Member(WebsocketConsumer):
        def connect(self) -> None:
            self.accept()
            self.thread = threading.Thread(target=self.change)
            threads.append(self.thread)
            self.thread.start()

        def change(self) -> None:
            self.join_group("joined")
            self.join_group("left")
            self.leave_group("left")
            self.send("changed")

    server = Server(Member.as_asgi())
    await server.connect()
    await server.replies(2)
    assert layer.groups["joined"]
    assert loops == {asyncio.get_running_loop()}
    await asyncio.to_thread(threads[0].join, 20)
    await server.leave()
    assert layer.members == 0
    channel_layers.set("default", None)


def test_a_consumer_without_a_server_joins_in_a_new_loop(layer: LocalLayer) -> None:
    consumer = WebsocketConsumer()
    consumer.channel_layer, consumer.channel_name = layer, "one"
    consumer.join_group("g")
    assert layer.groups["g"] == {"one"}
    consumer.leave_group("g")
    assert layer.members == 0


def test_a_thread_of_the_program_does_not_wait_for_a_loop_that_has_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_threads, "_LOOK_AGAIN", 0.01)
    asked = asyncio.Event()
    errors: list[Exception] = []

    async def never() -> None:
        asked.set()
        await asyncio.Event().wait()

    def work(loop: asyncio.AbstractEventLoop) -> None:
        for _ in range(2):
            try:
                run_in_loop(loop, never)
            except ConnectionError as error:
                errors.append(error)

    async def serve() -> threading.Thread:
        thread = threading.Thread(target=work, args=(asyncio.get_running_loop(),))
        thread.start()
        await asked.wait()
        # Longer than from one look to the next, so that there is one in vain.
        await asyncio.sleep(0.05)
        return thread

    loop = asyncio.new_event_loop()
    # It stops with the task unfinished, as that of a server that gives up.
    loop.run_until_complete(serve()).join(20)
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
    loop.close()
    assert [str(error) for error in errors] == ["The server's event loop has stopped"] * 2


async def test_a_thread_does_not_wait_for_a_coroutine_that_was_cancelled() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(ConnectionError, match="event loop has stopped"):
        await asyncio.to_thread(run_in_loop, asyncio.get_running_loop(), cancelled)
