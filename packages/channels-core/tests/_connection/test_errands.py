"""The coroutines of sync handlers, which the task that waits for the handler runs."""

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from channels_core._bell import Bell
from channels_core._connection import errands as _errands
from channels_core._connection.errands import Handling, Pace, handling_here
from channels_core._connection.threads import ThreadCall, run_in_loop, run_in_thread
from channels_core._pool import BoundedPool
from channels_core.generic.websocket import WebsocketConsumer
from fakes import Server

variable: ContextVar[str] = ContextVar("variable", default="unset")
no_default: ContextVar[str] = ContextVar("no_default")


class Failure(Exception):
    """An exception that weak references may point to."""


async def handle(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function as a handler."""
    return await run_in_thread(ThreadCall(function, args))


def begin(function: Callable[..., Any], *args: Any) -> asyncio.Task[Any]:
    """Call a function as a handler, in a task."""
    return asyncio.create_task(handle(function, *args))


async def task_of() -> asyncio.Task[Any] | None:
    return asyncio.current_task()


async def test_no_task_is_made_for_a_frame_of_a_sync_consumer() -> None:
    class Echo(WebsocketConsumer):
        channel_layer_alias = None

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            self.send(text_data)
            self.send(text_data)

    made: list[object] = []
    of_test = asyncio.current_task()

    def factory(
        loop: asyncio.AbstractEventLoop, coroutine: Any, **kwargs: Any
    ) -> asyncio.Task[Any]:
        if asyncio.current_task() is not of_test:
            made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **kwargs)

    server = Server(Echo.as_asgi())
    await server.connect()
    asyncio.get_running_loop().set_task_factory(factory)
    for number in range(10):
        server.put({"type": "websocket.receive", "text": str(number)})
    await server.replies(21)
    asyncio.get_running_loop().set_task_factory(None)
    assert [one["text"] for one in server.received[1:]] == [str(n // 2) for n in range(20)]
    assert made == []
    await server.leave()


async def test_the_task_that_waits_for_a_handler_runs_its_coroutines() -> None:
    loop = asyncio.get_running_loop()

    def handler() -> list[Any]:
        return [run_in_loop(loop, task_of) for _ in range(3)]

    task = begin(handler)
    assert await task == [task] * 3


async def test_an_exception_is_raised_at_the_call_and_leaves_no_circle() -> None:
    loop = asyncio.get_running_loop()
    seen: list[weakref.ref[Failure]] = []

    async def fail() -> None:
        failure = Failure("sent too late")
        seen.append(weakref.ref(failure))
        try:
            raise failure
        finally:
            del failure

    def catches() -> bool:
        try:
            run_in_loop(loop, fail)
        except Failure as failure:
            return seen[-1]() is failure
        return False

    def raises() -> None:
        run_in_loop(loop, fail)

    async def call() -> None:
        with pytest.raises(Failure, match="sent too late"):
            await handle(raises)

    gc.disable()
    try:
        assert await handle(catches)
        await call()
        # The thread may still be leaving its frames.
        for _ in range(1000):
            if seen[0]() is seen[1]() is None:
                break
            await asyncio.sleep(0.01)
        assert [one() for one in seen] == [None, None]
    finally:
        gc.enable()


async def test_variables_of_the_context_go_both_ways() -> None:
    loop = asyncio.get_running_loop()

    async def change(value: str) -> str:
        before = variable.get()
        variable.set(value)
        return before

    def handler() -> tuple[str, str, str]:
        first = run_in_loop(loop, change, "by the coroutine")
        second = variable.get()
        variable.set("by the handler")
        return first, second, run_in_loop(loop, change, "by another coroutine")

    variable.set("by the task")
    expected = "by the task", "by the coroutine", "by the handler"
    assert await handle(handler) == expected
    assert variable.get() == "by another coroutine"


async def test_a_variable_that_a_handler_resets_is_not_seen_afterwards() -> None:
    loop = asyncio.get_running_loop()

    async def read() -> tuple[str, asyncio.Task[Any] | None]:
        return no_default.get("unset"), asyncio.current_task()

    def handler() -> tuple[Any, Any]:
        token = no_default.set("for a while")
        inner = run_in_loop(loop, read)
        no_default.reset(token)
        return inner, run_in_loop(loop, read)

    task = begin(handler)
    inner, outer = await task
    assert inner[0] == "for a while"
    assert inner[1] is not task
    assert outer[0] == "unset"
    assert await begin(no_default.get, "unset") == "unset"


async def test_a_coroutine_sees_the_exception_that_its_handler_handles() -> None:
    loop = asyncio.get_running_loop()

    async def seen() -> BaseException | None:
        return sys.exc_info()[1]

    def handler() -> tuple[BaseException | None, BaseException | None]:
        try:
            raise Failure
        except Failure:
            inner = run_in_loop(loop, seen)
        return inner, run_in_loop(loop, seen)

    inner, outer = await handle(handler)
    assert isinstance(inner, Failure)
    assert outer is None


async def test_a_cancellation_reaches_the_coroutine_and_then_the_handler() -> None:
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()

    async def never() -> None:
        begun.set()
        await asyncio.Event().wait()

    def keeps() -> str:
        try:
            run_in_loop(loop, never)
        except asyncio.CancelledError:
            return "went on"
        return ""

    def passes() -> None:
        run_in_loop(loop, never)

    task = begin(keeps)
    await begun.wait()
    task.cancel()
    assert await task == "went on"
    begun.clear()
    task = begin(passes)
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_reaches_what_a_handler_runs_by_async_to_sync() -> None:
    begun = asyncio.Event()

    async def never() -> None:
        begun.set()
        await asyncio.Event().wait()

    def handler() -> str:
        try:
            async_to_sync(never)()
        except asyncio.CancelledError:
            return "went on"
        return ""

    task = begin(handler)
    await begun.wait()
    task.cancel()
    assert await task == "went on"


async def test_a_handler_that_outlives_its_task_has_a_task_for_each_coroutine() -> None:
    loop = asyncio.get_running_loop()
    go_on, started, ended = threading.Event(), asyncio.Event(), asyncio.Event()
    found: list[Any] = []

    def handler() -> None:
        loop.call_soon_threadsafe(started.set)
        assert go_on.wait(20)
        found.append(run_in_loop(loop, task_of))
        loop.call_soon_threadsafe(ended.set)
        raise Failure

    task = begin(handler)
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await ended.wait()
    assert found[0] is not task
    assert isinstance(found[0], asyncio.Task)


@pytest.mark.parametrize("order", ["arrives first", "is cancelled first", "has left"])
async def test_a_coroutine_that_crosses_the_cancellation_has_a_task_of_its_own(order: str) -> None:
    loop = asyncio.get_running_loop()
    found: asyncio.Queue[Any] = asyncio.Queue()

    class Crossed(Handling):
        """Is cancelled in the turn of the event loop in which an errand arrives, or before."""

        def _arrive(self, arrived: Any) -> None:
            if order == "arrives first":
                super()._arrive(arrived)
            task.cancel()
            if order == "is cancelled first":
                super()._arrive(arrived)
            if order == "has left":
                loop.call_soon(super()._arrive, arrived)

    def handler() -> None:
        loop.call_soon_threadsafe(found.put_nowait, run_in_loop(loop, task_of))

    pool = BoundedPool(1, "crossed")

    async def call() -> None:
        await Crossed(handler).run(pool)

    task = asyncio.create_task(call())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await found.get() is not task
    # The end of the handler is told to the task, which has left.
    await asyncio.to_thread(pool.shutdown)


async def test_a_handler_that_was_cancelled_before_a_thread_began_is_not_called() -> None:
    pool = BoundedPool(1, "one")
    free = threading.Event()
    blocking = pool.submit(free.wait, 20)
    called: list[bool] = []
    task = asyncio.create_task(Handling(lambda: called.append(True)).run(pool))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    free.set()
    assert await asyncio.wrap_future(blocking)
    await asyncio.to_thread(pool.shutdown)
    assert not called


async def test_sync_to_async_in_a_coroutine_runs_in_the_handlers_thread() -> None:
    loop = asyncio.get_running_loop()

    def inner() -> tuple[threading.Thread, Any]:
        # The connection's task is busy with the outer coroutine.
        return threading.current_thread(), run_in_loop(loop, task_of)

    async def outer() -> Any:
        first = await sync_to_async(inner)()
        assert await sync_to_async(threading.current_thread)() is first[0]
        return first

    def handler() -> tuple[Any, threading.Thread]:
        return run_in_loop(loop, outer), threading.current_thread()

    task = begin(handler)
    (thread, inner_task), expected = await task
    assert thread is expected
    assert inner_task is not task


@pytest.mark.parametrize("used", [False, True])
async def test_the_handlers_thread_takes_nothing_after_the_coroutine(used: bool) -> None:
    loop = asyncio.get_running_loop()
    go_on = asyncio.Event()
    tasks: list[asyncio.Task[Any]] = []

    async def late() -> None:
        await go_on.wait()
        await sync_to_async(threading.current_thread)()

    async def leaves_a_task() -> None:
        if used:
            await sync_to_async(threading.current_thread)()
        tasks.append(asyncio.create_task(late()))

    await handle(run_in_loop, loop, leaves_a_task)
    go_on.set()
    with pytest.raises(RuntimeError, match="already quit"):
        await tasks[0]
    # The connection's own task is not concerned.
    assert await sync_to_async(threading.current_thread)() is not threading.current_thread()


async def test_a_handler_that_uses_async_to_sync_may_still_send() -> None:
    loop = asyncio.get_running_loop()

    async def within() -> tuple[Any, threading.Thread]:
        await sync_to_async(run_in_loop)(loop, task_of)
        return await sync_to_async(run_in_loop)(loop, task_of), await sync_to_async(
            threading.current_thread
        )()

    def handler() -> tuple[Any, ...]:
        first = run_in_loop(loop, task_of)
        inner, thread = async_to_sync(within)()
        return first, inner, thread is threading.current_thread(), run_in_loop(loop, task_of)

    task = begin(handler)
    first, inner, is_handlers_thread, last = await task
    assert first is task
    assert is_handlers_thread
    # The handler's context has changed, so that each coroutine has a task of its own.
    assert isinstance(inner, asyncio.Task)
    assert isinstance(last, asyncio.Task)


async def test_a_coroutine_that_is_closed_lets_its_thread_go_on() -> None:
    loop = asyncio.get_running_loop()
    ended: list[BaseException] = []

    def handler() -> None:
        try:
            run_in_loop(loop, asyncio.Event().wait)
        except BaseException as error:
            ended.append(error)
            raise

    pool = BoundedPool(1, "closed")
    running = Handling(handler).run(pool)
    errand = running.send(None)
    assert isinstance(errand, asyncio.Future)
    await asyncio.wait([errand])
    running.send(None)
    running.close()
    await asyncio.to_thread(pool.shutdown)
    assert isinstance(ended[0], GeneratorExit)


def test_a_loop_that_is_closed_runs_no_errand() -> None:
    async def make() -> Handling:
        return Handling(lambda: None)

    assert asyncio.run(make()).run_errand(task_of, ()) is None


async def test_a_child_process_has_no_task_that_waits_for_its_handler() -> None:
    def handler() -> tuple[bool, Handling | None]:
        here = handling_here()
        _errands._forget()
        return here is not None, handling_here()

    assert await handle(handler) == (True, None)


class TestStandingStill:
    """The event loop waits for quick handlers, and for nothing else, for a moment."""

    @pytest.fixture
    def loop_is_woken(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """Return a list of the calls by which a thread wakes the event loop."""
        # Any handler is quick, however slow the machine is.
        monkeypatch.setattr(_errands, "_QUICK", 20.0)
        monkeypatch.setattr(_errands, "_STAND_STILL", 20.0)
        calls: list[Any] = []

        def tell(loop: Any, callback: Any, *args: Any) -> bool:
            calls.append(callback)
            return _tell(loop, callback, *args)

        _tell = _errands.tell
        monkeypatch.setattr(_errands, "tell", tell)
        return calls

    async def test_frames_of_a_sync_consumer_do_not_wake_it(self, loop_is_woken: list[Any]) -> None:
        class Echo(WebsocketConsumer):
            channel_layer_alias = None

            def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
                self.send(text_data)

        server = Server(Echo.as_asgi())
        await server.connect()
        server.put({"type": "websocket.receive", "text": "0"})
        await server.replies(2)
        loop_is_woken.clear()  # the thread for `connect` had to be started
        for number in range(1, 10):
            server.put({"type": "websocket.receive", "text": str(number)})
        await server.replies(11)
        assert [one["text"] for one in server.received[1:]] == [str(n) for n in range(10)]
        assert loop_is_woken == []
        await server.leave()

    async def test_a_handler_that_needs_the_event_loop_gets_it(self) -> None:
        loop = asyncio.get_running_loop()
        pace = Pace()
        pool = BoundedPool(1, "needs")
        await asyncio.wrap_future(pool.submit(int))
        called: list[str] = []

        def handler() -> None:
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01), loop).result(20)
            called.append("handler")

        for _ in range(_errands._SLOW_CALLS):
            assert pace.is_quick()
            await Handling(handler, pace).run(pool)
        assert len(called) == _errands._SLOW_CALLS
        assert not pace.is_quick()
        await asyncio.to_thread(pool.shutdown)

    def test_a_slow_method_is_tried_more_and_more_seldom(self) -> None:
        pace = Pace()

        def calls_until_quick() -> int:
            calls = 0
            while not pace.is_quick():
                calls += 1
            return calls

        found = []
        for _ in range(13):
            found.append(calls_until_quick())
            pace.record(quick=False)
        assert found == [0, 0, 0, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024]
        calls_until_quick()
        pace.record(quick=True)
        pace.record(quick=False)
        assert pace.is_quick()

    async def test_a_handler_that_sends_much_lets_others_run(
        self, loop_is_woken: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop = asyncio.get_running_loop()
        now = [100.0]

        def later() -> float:
            now[0] += 6.0
            return now[0]

        monkeypatch.setattr(_errands, "monotonic", later)

        def handler() -> None:
            for _ in range(3):
                run_in_loop(loop, task_of)

        pool = BoundedPool(1, "much")
        await asyncio.wrap_future(pool.submit(int))
        await Handling(handler, Pace()).run(pool)
        # At 106 it begins, and 20 seconds later that is enough: the third errand, and the end.
        assert len(loop_is_woken) == 2
        await asyncio.to_thread(pool.shutdown)

    @pytest.mark.parametrize("tells", [False, True])
    async def test_an_exception_of_a_signal_ends_it(
        self, loop_is_woken: list[Any], tells: bool
    ) -> None:
        """As when Python's own handler of SIGINT raises KeyboardInterrupt."""
        loop = asyncio.get_running_loop()
        begun, go_on = threading.Event(), threading.Event()
        tasks: asyncio.Queue[Any] = asyncio.Queue()

        class Interrupted:
            """A bell during whose wait a signal arrives."""

            def __init__(self, bell: Bell) -> None:
                self.ring = bell.ring
                self.rings = bell.wait

            def wait(self, seconds: float | None = None) -> bool:
                if seconds is None:
                    return self.rings(seconds)
                assert begun.wait(20)
                if tells:
                    # The thread has told just now.
                    assert self.rings(20)
                    self.ring()
                raise KeyboardInterrupt

        def handler() -> None:
            begun.set()
            assert tells or go_on.wait(20)
            loop.call_soon_threadsafe(tasks.put_nowait, run_in_loop(loop, task_of))

        pool = BoundedPool(1, "signal")
        await asyncio.wrap_future(pool.submit(int))
        handling = Handling(handler, Pace())
        interrupted: Any = Interrupted(handling._bell)
        handling._bell = interrupted
        task = asyncio.current_task()
        with pytest.raises(KeyboardInterrupt):
            await handling.run(pool)
        go_on.set()
        assert await tasks.get() is not task
        await asyncio.to_thread(pool.shutdown)
