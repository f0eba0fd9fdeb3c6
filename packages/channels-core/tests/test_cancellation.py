import asyncio
import contextlib
from typing import Any

import pytest

from channels_core import _cancellation
from channels_core._cancellation import Bound, wait_despite_cancellation


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


async def test_work_may_end_by_itself_when_it_is_cancelled_at_the_limit() -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        ended = True

    await Bound(0.001).run(work())
    assert ended


async def test_waiting_ends_in_time() -> None:
    work = asyncio.ensure_future(asyncio.Event().wait())
    assert await wait_despite_cancellation([work], 0.01) == {work}
    work.cancel()


async def test_a_task_that_ignores_a_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    monkeypatch.setattr(_cancellation, "_INSIST_AFTER", 0.01)
    waiting = asyncio.ensure_future(wait_despite_cancellation([work], 20, insist=True))
    await kept.wait()
    assert not await waiting
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

    async def test_it_cancels_work_that_takes_too_long(self) -> None:
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

    async def test_more_may_be_allowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 100.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
        bound = Bound(10)
        bound.at_least(5)
        assert bound.left == 10
        now = 109.0
        bound.at_least(5)
        assert bound.left == 5
        bound.pause()
        bound.at_least(7)
        now = 200.0
        assert bound.left == 7


async def test_a_limit_also_holds_for_what_is_no_coroutine() -> None:
    done = asyncio.get_running_loop().create_future()
    done.set_result(None)
    await Bound(20).run(done)
    with pytest.raises(TimeoutError):
        await Bound(0.001).run(asyncio.get_running_loop().create_future())


def timers() -> int:
    """Return the number of timers of the running event loop, cancelled ones included."""
    return len(asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined] # private, but of every asyncio loop


async def test_work_that_never_waits_makes_no_timer() -> None:
    async def work() -> None:
        found.append(timers())

    found = [timers()]
    await Bound(20).run(work())
    assert [*found, timers()] == [found[0]] * 3
