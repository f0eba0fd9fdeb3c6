import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from channels_core import applications, legacy
from channels_core.legacy import await_many_dispatch
from channels_core.typing import Message
from fakes import until


def test_it_gives_the_names_of_their_owners() -> None:
    assert legacy.name_that_thing is applications.name_that_thing


def test_nothing_else_is_public() -> None:
    assert legacy.__all__ == ["await_many_dispatch", "name_that_thing"]


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
    await until(lambda: bool(seen))
    # Nothing on the way of a message waits, and still this task has its turn in the midst.
    assert 0 < len(seen) <= 64
    assert left
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
    # The caller's own, one for each source, and one of `until`.
    assert most - before <= 4
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
