import asyncio
import contextvars
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from typing import Any

import pytest

from channels_core import _dispatch
from channels_core._cancellation import (
    Bound,
    MessageLoop,
    await_many_dispatch,
    run_despite_cancellation,
    wait_despite_cancellation,
)
from channels_core.typing import Message
from fakes import until


def numbered(source: str, count: int) -> tuple[Callable[[], Awaitable[Message]], list[int]]:
    """Return a source with so many messages ready, which then waits for ever."""
    left = list(range(count))

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return {"source": source, "number": left.pop(0)}

    return receive, left


async def collect(seen: list[Message], message: Message) -> None:
    seen.append(message)


async def end(loop: asyncio.Task[None]) -> None:
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop


async def test_one_source_is_served_in_order() -> None:
    seen: list[Message] = []
    receive, _ = numbered("a", 50)
    loop = asyncio.ensure_future(
        await_many_dispatch([receive], lambda message: collect(seen, message))
    )
    await until(lambda: len(seen) == 50)
    assert [message["number"] for message in seen] == list(range(50))
    await end(loop)


@pytest.mark.parametrize("late", [True, False])
async def test_what_ends_at_once_may_do_without_tasks(late: bool) -> None:
    async def first() -> Message:
        raise LookupError("the end")

    async def second() -> Message:
        raise AssertionError("asked")

    made: list[object] = []

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    dispatch = partial(collect, [])
    loop = asyncio.get_running_loop()
    loop.set_task_factory(make)
    try:
        with pytest.raises(LookupError):
            await MessageLoop((first, dispatch), (second, dispatch), late=late).run(timeout=10)
    finally:
        loop.set_task_factory(None)
    assert bool(made) != late


async def test_other_sources_may_be_asked_late() -> None:
    seen: list[Message] = []
    sources = [(numbered(name, 10)[0], partial(collect, seen)) for name in "ab"]
    loop = asyncio.ensure_future(MessageLoop(*sources, late=True).run(timeout=10))
    await until(lambda: len(seen) == 20)
    await end(loop)


async def test_several_sources_share_fairly_and_keep_their_order() -> None:
    seen: list[Message] = []
    sources = [numbered(name, 100)[0] for name in "abc"]
    loop = asyncio.ensure_future(
        await_many_dispatch(sources, lambda message: collect(seen, message))
    )
    await until(lambda: len(seen) == 300)
    for name in "abc":
        own = [message["number"] for message in seen if message["source"] == name]
        assert own == list(range(100))
    # None waits for another to run dry: each is there among the first half.
    assert {message["source"] for message in seen[:150]} == {"a", "b", "c"}
    await end(loop)


async def test_messages_are_handled_one_at_a_time() -> None:
    running = 0
    most = 0
    done = 0

    async def dispatch(message: Message) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done += 1

    sources = [numbered(name, 20)[0] for name in "ab"]
    loop = asyncio.ensure_future(await_many_dispatch(sources, dispatch))
    await until(lambda: done == 40)
    assert most == 1
    await end(loop)


async def test_a_burst_lets_other_tasks_run() -> None:
    seen: list[Message] = []
    receive, left = numbered("a", 1000)
    loop = asyncio.ensure_future(
        await_many_dispatch([receive], lambda message: collect(seen, message))
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    # Nothing on the way of a message waits, and still this task has its turn in the midst.
    assert 0 < len(seen) <= 64
    assert left
    await end(loop)


class OfAnotherKind(asyncio.SelectorEventLoop):
    """An event loop that does not show what is ready to run, as uvloop's."""

    def __getattribute__(self, name: str) -> Any:
        caller = sys._getframe(1).f_globals["__name__"]
        if name == "_ready" and caller == "channels_core._cancellation":
            raise AttributeError(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize("kind", [asyncio.SelectorEventLoop, OfAnotherKind])
@pytest.mark.parametrize("count", [1, 2])
def test_between_two_messages_other_tasks_get_their_turn(kind: Any, count: int) -> None:
    """What a message gives to another task, that one takes before the next message."""
    inbox: asyncio.Queue[int] = asyncio.Queue(maxsize=1)
    taken: list[int] = []

    async def work() -> None:
        while True:
            taken.append(await inbox.get())

    async def dispatch(message: Message) -> None:
        inbox.put_nowait(message["number"])

    async def main() -> None:
        worker = asyncio.create_task(work())
        await asyncio.sleep(0)
        sources = [numbered(str(source), 40)[0] for source in range(count)]
        loop = asyncio.ensure_future(await_many_dispatch(sources, dispatch))
        await until(lambda: len(taken) == 40 * count or loop.done())
        await end(loop)
        worker.cancel()

    with asyncio.Runner(loop_factory=kind) as runner:
        runner.run(main())


async def test_there_is_no_turn_where_the_wait_for_a_message_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_dispatch, "_BURST_SECONDS", inf)  # on a slow machine, too
    steps: list[str] = []
    receive, left = numbered("a", 5)

    async def dispatch(message: Message) -> None:
        asyncio.get_running_loop().call_soon(steps.append, "other")
        steps.append("message")

    for waiting, expected in (
        (lambda: bool(left), ["message", "other"] * 5),
        (lambda: False, ["message"] * 5 + ["other"] * 5),
    ):
        steps.clear()
        left[:] = range(5)
        source = (receive, dispatch, waiting)
        loop = asyncio.ensure_future(MessageLoop(source).run(timeout=10))
        await until(lambda: len(steps) == 10)
        assert steps == expected
        await end(loop)


async def test_nor_does_a_message_of_another_source_come_before_that_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_dispatch, "_BURST_SECONDS", inf)  # on a slow machine, too
    steps: list[Any] = []
    inboxes: list[asyncio.Queue[Message]] = [asyncio.Queue(), asyncio.Queue()]

    async def dispatch(message: Message) -> None:
        steps.append(message["number"])
        asyncio.get_running_loop().call_soon(steps.append, "other")

    loop = asyncio.ensure_future(
        MessageLoop(*((inbox.get, dispatch, lambda: False) for inbox in inboxes)).run(timeout=10)
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    # Both wait, and wake up in the same turn.
    for number, inbox in enumerate(inboxes):
        inbox.put_nowait({"number": number})
    await until(lambda: len(steps) == 4)
    assert steps == [0, "other", 1, "other"]
    await end(loop)


async def test_a_slow_handler_gives_way_after_each_message() -> None:
    from time import monotonic

    seen: list[Message] = []

    async def dispatch(message: Message) -> None:
        seen.append(message)
        start = monotonic()
        while monotonic() - start < 0.002:
            pass

    receive, _ = numbered("a", 10)
    loop = asyncio.ensure_future(await_many_dispatch([receive], dispatch))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(seen) <= 2
    await end(loop)


async def test_no_task_is_made_for_a_message() -> None:
    seen: list[Message] = []
    sources = [numbered(name, 200)[0] for name in "ab"]
    before = len(asyncio.all_tasks())
    most = 0

    async def dispatch(message: Message) -> None:
        nonlocal most
        most = max(most, len(asyncio.all_tasks()))
        seen.append(message)

    loop = asyncio.ensure_future(await_many_dispatch(sources, dispatch))
    await until(lambda: len(seen) == 400)
    # The caller's own, one for the second source, and one of `until`.
    assert most - before <= 3
    await end(loop)


async def test_context_variables_are_shared_by_the_sources() -> None:
    language: contextvars.ContextVar[str] = contextvars.ContextVar("language", default="none")
    first, second = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    async def one() -> Message:
        await first.wait()
        first.clear()
        return {"set": "de"}

    async def other() -> Message:
        await second.wait()
        second.clear()
        return {"set": "fr"}

    async def dispatch(message: Message) -> None:
        seen.append(language.get())
        language.set(message["set"])

    def reached(number: int) -> bool:
        return len(seen) == number

    loop = asyncio.ensure_future(await_many_dispatch([one, other], dispatch))
    for number, event in enumerate([first, second, first, first], 1):
        event.set()
        await until(partial(reached, number))
    assert seen == ["none", "de", "fr", "de"]
    await end(loop)


@pytest.mark.parametrize("failing", [0, 1])
async def test_a_failing_handler_ends_the_loop_with_its_exception(failing: int) -> None:
    ready = asyncio.Event()

    async def silent() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def speaking() -> Message:
        await ready.wait()
        return {}

    async def dispatch(message: Message) -> None:
        raise LookupError("broken")

    sources = [silent, silent]
    sources[failing] = speaking
    before = asyncio.all_tasks()
    loop = asyncio.ensure_future(await_many_dispatch(sources, dispatch))
    await asyncio.sleep(0)
    ready.set()
    with pytest.raises(LookupError, match="broken"):
        await loop
    assert asyncio.all_tasks() == before
    assert not loop.cancelling()


async def test_nothing_is_handled_after_a_failure() -> None:
    handled = []
    sources = [numbered(name, 5)[0] for name in "ab"]

    async def dispatch(message: Message) -> None:
        handled.append(message)
        await asyncio.sleep(0)
        raise LookupError

    with pytest.raises(LookupError):
        await await_many_dispatch(sources, dispatch)
    assert len(handled) == 1


async def test_a_message_that_waits_for_its_turn_is_not_handled_after_a_failure() -> None:
    started, go_on = asyncio.Event(), asyncio.Event()
    handled: list[Message] = []

    async def dispatch(message: Message) -> None:
        handled.append(message)
        started.set()
        await go_on.wait()
        raise LookupError

    async def second() -> Message:
        await started.wait()
        return {}

    # The task of the first is cancelled at once; that of the last still gets its turn.
    sources = [second, numbered("a", 1)[0], second]
    loop = asyncio.ensure_future(await_many_dispatch(sources, dispatch))
    await started.wait()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(LookupError):
        await loop
    assert len(handled) == 1


async def test_a_failing_source_lets_the_running_handler_end() -> None:
    started, go_on = asyncio.Event(), asyncio.Event()
    ended = False

    async def broken() -> Message:
        await started.wait()
        raise ConnectionError("the layer is gone")

    async def dispatch(message: Message) -> None:
        nonlocal ended
        started.set()
        await go_on.wait()
        ended = True

    loop = asyncio.ensure_future(await_many_dispatch([numbered("a", 1)[0], broken], dispatch))
    await started.wait()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(ConnectionError):
        await loop
    assert ended


@pytest.mark.parametrize("speaking", [0, 1])
async def test_cancellation_reaches_the_running_handler_and_leaves_no_task(speaking: int) -> None:
    started = asyncio.Event()
    outcome: list[str] = []

    async def dispatch(message: Message) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise

    sources = [numbered("a", 0)[0], numbered("b", 0)[0]]
    sources[speaking] = numbered("c", 1)[0]
    before = asyncio.all_tasks()
    loop = asyncio.ensure_future(await_many_dispatch(sources, dispatch))
    await started.wait()
    await end(loop)
    assert outcome == ["cancelled"]
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("speaking", [0, 1])
async def test_a_cancellation_that_a_handler_lets_through_ends_the_loop(speaking: int) -> None:
    async def dispatch(message: Message) -> None:
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone

    sources = [numbered("a", 0)[0], numbered("b", 0)[0]]
    sources[speaking] = numbered("c", 1)[0]
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(await_many_dispatch(sources, dispatch), 20)


async def test_an_outer_timeout_is_not_swallowed_by_a_failure_at_the_same_moment() -> None:
    loop = MessageLoop((numbered("a", 0)[0], lambda message: collect([], message)))
    task = asyncio.ensure_future(loop.run(1))
    await asyncio.sleep(0)
    loop.stop(LookupError())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_stop_waits_for_the_running_handler() -> None:
    ended = []
    started, go_on = asyncio.Event(), asyncio.Event()

    async def dispatch(message: Message) -> None:
        started.set()
        await go_on.wait()
        ended.append(True)

    loop = MessageLoop((numbered("a", 3)[0], dispatch))
    task = asyncio.ensure_future(loop.run(1))
    await started.wait()
    loop.stop(LookupError("first"))
    loop.stop(LookupError("second"))
    go_on.set()
    with pytest.raises(LookupError, match="first"):
        await task
    assert ended == [True]
    loop.stop_later(0, LookupError("too late"))


async def test_stop_later_ends_a_waiting_loop() -> None:
    loop = MessageLoop((numbered("a", 0)[0], lambda message: collect([], message)))
    loop.stop_later(0, LookupError("not running yet"))
    task = asyncio.ensure_future(loop.run(1))
    await asyncio.sleep(0)
    loop.stop_later(0, LookupError("now"))
    with pytest.raises(LookupError, match="now"):
        await task


async def test_waiting_goes_on_despite_cancellation() -> None:
    go_on = asyncio.Event()
    ended = False

    async def work() -> None:
        nonlocal ended
        await go_on.wait()
        ended = True

    work_task = asyncio.ensure_future(work())
    waiting: asyncio.Task[Any] = asyncio.ensure_future(wait_despite_cancellation([work_task], 20))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended


async def test_a_source_that_keeps_a_cancellation_to_itself_is_interrupted_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_dispatch, "_INSIST_AFTER", 0.01)
    kept = 0

    async def first() -> Message:
        await asyncio.sleep(0)
        raise LookupError("the end")

    async def second() -> Message:
        nonlocal kept
        while kept < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                kept += 1
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def refuse(message: Message) -> None:
        raise AssertionError(message)

    with pytest.raises(LookupError, match="the end"):
        await MessageLoop((first, refuse), (second, refuse)).run(20)
    assert kept == 2


async def test_waiting_ends_in_time() -> None:
    work = asyncio.ensure_future(asyncio.Event().wait())
    assert await wait_despite_cancellation([work], 0.01) == {work}
    work.cancel()


async def test_what_kept_a_cancellation_to_itself_is_cancelled_again() -> None:
    """As some clients of Redis do, which then wait on for the answer."""
    kept = asyncio.Event()

    async def deaf() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            kept.set()
            await asyncio.Event().wait()

    work = asyncio.ensure_future(deaf())
    await asyncio.sleep(0)
    work.cancel()
    waiting = asyncio.ensure_future(wait_despite_cancellation([work], 20, insist=lambda: False))
    await kept.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cancelled()


class TestBound:
    """Time that is not counted while a call waits for a thread."""

    async def test_time_passes_only_while_it_is_not_paused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 100.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
        bound = Bound(10)
        now = 103.0
        assert bound.left == 7
        bound.pause()
        now = 150.0
        assert bound.left == 7
        bound.go_on()
        now = 151.0
        bound.go_on()
        assert bound.left == 6
        now = 160.0
        assert bound.left < 0

    async def test_it_cancels_what_takes_too_long(self) -> None:
        with pytest.raises(TimeoutError):
            await Bound(0.01).run(asyncio.sleep(20))

    async def test_it_does_not_while_it_is_paused(self) -> None:
        bound = Bound(0.05)

        async def work() -> None:
            bound.pause()
            await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=0.1)
            ended.append("the pause")
            bound.go_on()
            await asyncio.Event().wait()

        ended: list[str] = []
        present = asyncio.all_tasks()
        with pytest.raises(TimeoutError):
            await bound.run(work())
        assert ended == ["the pause"]
        for task in asyncio.all_tasks() - present:
            task.cancel()


class TestRunDespiteCancellation:
    """As the clean-up of a connection runs."""

    async def test_what_a_loops_end_cancels_is_started_anew(self) -> None:
        """Such a loop cancels all of its tasks at once, also those that have not begun."""
        calls: list[str] = []

        async def work() -> None:
            calls.append("called")

        async def outer() -> None:
            task, cancelled = await run_despite_cancellation(work, 20)
            assert not task.cancelled()
            assert cancelled is not None
            calls.append("ended")
            raise cancelled

        present = asyncio.all_tasks()
        main = asyncio.ensure_future(outer())
        await asyncio.sleep(0)
        for task in asyncio.all_tasks() - present:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await main
        assert calls == ["called", "ended"]

    async def test_what_cancels_itself_is_not_called_for_ever(self) -> None:
        calls: list[int] = []

        async def work() -> None:
            calls.append(1)
            raise asyncio.CancelledError

        task, cancelled = await run_despite_cancellation(work, 20)
        assert task.cancelled()
        assert cancelled is None
        assert len(calls) == 2

    async def test_what_does_not_end_is_given_up(self) -> None:
        async def work() -> None:
            await asyncio.Event().wait()

        task, _ = await run_despite_cancellation(work, 0.01)
        assert not task.done()
        with pytest.raises(asyncio.CancelledError):
            await task
