import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from channels_core._worker.slots import Instance, Slots
from fakes import until


def message(number: int) -> dict[str, Any]:
    return {"type": "job", "number": number}


class Crew:
    """Run instances as a worker does; the test says when each message is handled."""

    def __init__(self, concurrency: int = 2, limit: int = 100) -> None:
        self.slots = Slots(self.run, concurrency, limit)
        self.started: list[str] = []
        self.ended: list[str] = []
        self.working: dict[int, asyncio.Future[None]] = {}
        self.by: defaultdict[int, list[Instance]] = defaultdict(list)
        # Called before an instance asks for its first message.
        self.at_start: Callable[[Instance], Awaitable[None]] | None = None

    async def run(self, instance: Instance) -> None:
        self.started.append(instance.channel)
        try:
            if self.at_start is not None:
                await self.at_start(instance)
            while True:
                number = (await instance.receive())["number"]
                self.by[number].append(instance)
                self.working[number] = asyncio.get_running_loop().create_future()
                try:
                    await self.working[number]
                finally:
                    del self.working[number]
        except LookupError:
            pass
        finally:
            self.ended.append(instance.channel)

    async def take(self, number: int, channel: str = "a") -> None:
        slot = await self.slots.reserve(channel)
        assert slot is not None
        self.slots.give(slot, message(number))
        await until(lambda: number in self.working)

    async def finish(self, number: int, error: Exception | None = None) -> None:
        future = self.working[number]
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
        await until(lambda: number not in self.working)
        await asyncio.sleep(0)

    async def is_full(self, channel: str = "a") -> bool:
        waiting = asyncio.ensure_future(self.slots.reserve(channel))
        for _ in range(10):
            await asyncio.sleep(0)
        if waiting.done():
            slot = waiting.result()
            assert slot is not None
            self.slots.release(slot)
            return False
        waiting.cancel()
        return True


@pytest.fixture
async def end() -> Any:
    crews: list[Crew] = []
    yield crews.append
    for crew in crews:
        crew.slots.close()
        crew.slots.cut()
        await crew.slots.wait(20)
        assert not crew.slots.left


async def test_an_idle_instance_gets_the_next_message(end: Any) -> None:
    end(crew := Crew())
    for number in range(3):
        await crew.take(number)
        await crew.finish(number)
    assert crew.started == ["a"]
    assert crew.by[0] == crew.by[1] == crew.by[2]


async def test_there_are_as_many_as_messages_at_a_time_up_to_the_bound(end: Any) -> None:
    end(crew := Crew(concurrency=2))
    await crew.take(1)
    await crew.take(2)
    assert crew.started == ["a", "a"]
    assert await crew.is_full()
    assert not await crew.is_full("b")
    await crew.finish(1)
    assert not await crew.is_full()
    await crew.take(3)
    assert crew.started == ["a", "a"]
    assert crew.by[3] == crew.by[1]


async def test_the_one_used_last_is_used_next(end: Any) -> None:
    end(crew := Crew())
    await crew.take(1)
    await crew.take(2)
    await crew.finish(2)
    await crew.finish(1)
    await crew.take(3)
    assert crew.by[3] == crew.by[1]


async def test_one_that_became_idle_meanwhile_is_used(end: Any) -> None:
    end(crew := Crew())
    await crew.take(1)
    slot = await crew.slots.reserve("a")
    assert slot is not None
    await crew.finish(1)
    crew.slots.give(slot, message(2))
    await until(lambda: 2 in crew.working)
    assert crew.started == ["a"]
    assert not await crew.is_full()


async def test_one_that_ends_is_replaced(end: Any) -> None:
    end(crew := Crew(concurrency=1))
    await crew.take(1)
    await crew.finish(1, LookupError())
    await crew.take(2)
    assert crew.started == ["a", "a"]
    assert crew.by[1] != crew.by[2]


async def test_one_that_ends_while_idle_leaves_room(end: Any) -> None:
    end(crew := Crew(concurrency=1))
    await crew.take(1)
    await crew.finish(1)
    [task] = crew.slots._running
    task.cancel()
    await until(lambda: crew.ended == ["a"])
    await crew.take(2)
    assert crew.started == ["a", "a"]


async def test_one_that_ends_while_a_message_is_on_its_way_is_replaced_for_it(end: Any) -> None:
    end(crew := Crew(concurrency=1))
    await crew.take(1)
    await crew.finish(1)
    slot = await crew.slots.reserve("a")
    assert slot is not None
    [task] = crew.slots._running
    task.cancel()
    await until(lambda: crew.ended == ["a"])
    assert await crew.is_full()
    crew.slots.give(slot, message(2))
    await until(lambda: 2 in crew.working)
    assert crew.started == ["a", "a"]


async def test_one_that_has_just_ended_is_not_given_a_message(end: Any) -> None:
    end(crew := Crew(concurrency=1))
    await crew.take(1)
    await crew.finish(1)
    slot = await crew.slots.reserve("a")
    assert slot is not None
    [task] = crew.slots._running
    task.cancel()
    # Called before the slots learn of the end.
    task.remove_done_callback(crew.slots._finished)
    task.add_done_callback(lambda _: crew.slots.give(slot, message(2)))
    task.add_done_callback(crew.slots._finished)
    await until(lambda: 2 in crew.working)
    assert crew.slots.left == Counter(a=1)


async def test_a_message_that_was_given_to_one_that_ends_unseen_is_not_lost(end: Any) -> None:
    end(crew := Crew(concurrency=1))
    await crew.take(1)
    await crew.finish(1)
    slot = await crew.slots.reserve("a")
    assert slot is not None
    [task] = crew.slots._running
    task.cancel()
    crew.slots.give(slot, message(2))
    await until(lambda: 2 in crew.working)
    assert crew.started == ["a", "a"]
    assert await crew.is_full()


async def test_a_message_that_a_fresh_one_did_not_take_is_not_tried_again(end: Any) -> None:
    end(crew := Crew(concurrency=1))

    async def refuse(instance: Instance) -> None:
        assert instance.message == instance.untaken == message(1)
        raise LookupError

    crew.at_start = refuse
    slot = await crew.slots.reserve("a")
    assert slot is not None
    crew.slots.give(slot, message(1))
    await until(lambda: crew.ended == ["a"])
    assert not await crew.is_full()
    assert crew.started == ["a"]


async def test_a_seat_that_is_not_used_goes_back(end: Any) -> None:
    end(crew := Crew(concurrency=1))
    assert not await crew.is_full()
    await crew.take(1)
    await crew.finish(1)
    assert not await crew.is_full()
    await crew.take(2)
    assert crew.by[1] == crew.by[2]


async def test_asking_once_more_for_the_same_message_changes_nothing(end: Any) -> None:
    end(crew := Crew(concurrency=1))
    await crew.take(1)
    await crew.finish(1)
    [instance] = crew.by[1]
    second = asyncio.ensure_future(instance.receive())
    await asyncio.sleep(0)
    second.cancel()
    assert instance.message is None
    await crew.take(2)
    assert crew.by[2] == [instance]


async def test_the_bound_over_all_channels_ends_the_one_that_is_idle_for_longest(end: Any) -> None:
    end(crew := Crew(concurrency=2, limit=3))
    for number, channel in enumerate("abc"):
        await crew.take(number, channel)
    for number in (1, 0):
        await crew.finish(number)
    await crew.take(3, "c")
    assert crew.ended == ["b"]
    assert crew.slots.left == Counter(a=1, c=2)


async def test_without_an_idle_one_a_channel_waits_within_the_bound(end: Any) -> None:
    end(crew := Crew(concurrency=2, limit=2))
    await crew.take(1, "a")
    await crew.take(2, "b")
    assert await crew.is_full("b")
    waiting = [asyncio.ensure_future(crew.slots.reserve(channel)) for channel in "ab"]
    await asyncio.sleep(0)
    await crew.finish(2)
    # The idle instance of the other channel is ended to make room for the first one.
    await until(lambda: any(task.done() for task in waiting))
    assert crew.slots._counts.total() == 2
    await crew.finish(1)
    await until(lambda: all(task.done() for task in waiting))
    for task in waiting:
        slot = task.result()
        assert slot is not None
        crew.slots.release(slot)


async def test_two_that_need_room_end_one_each(end: Any) -> None:
    end(crew := Crew(concurrency=1, limit=2))
    for number, channel in enumerate("ab"):
        await crew.take(number, channel)
        await crew.finish(number)
    waiting = [asyncio.ensure_future(crew.slots.reserve(channel)) for channel in "cd"]
    await until(lambda: all(task.done() for task in waiting))
    assert sorted(crew.ended) == ["a", "b"]


async def test_the_end_cancels_idle_ones_and_lets_others_finish(end: Any) -> None:
    end(crew := Crew(concurrency=1))
    await crew.take(1, "c")
    await crew.finish(1)
    await crew.take(2)
    slot = await crew.slots.reserve("b")
    assert slot is not None
    waiting = asyncio.ensure_future(crew.slots.reserve("a"))
    await asyncio.sleep(0)
    crew.slots.close()
    await until(lambda: crew.ended == ["c"])
    assert await waiting is None
    assert await crew.slots.reserve("c") is None
    # A message that was taken before the end is handled.
    crew.slots.give(slot, message(3))
    await until(lambda: 3 in crew.working)
    await crew.slots.wait(0)
    assert crew.slots.left == Counter(a=1, b=1)
    await crew.finish(2)
    await crew.finish(3)
    await crew.slots.wait(20)
    assert not crew.slots.left
    assert not crew.slots.cut()


async def test_a_seat_of_an_idle_one_that_is_not_used_after_the_end_ends_it(end: Any) -> None:
    end(crew := Crew())
    await crew.take(1)
    await crew.finish(1)
    slot = await crew.slots.reserve("a")
    assert slot is not None
    crew.slots.close()
    assert crew.ended == []
    crew.slots.release(slot)
    await crew.slots.wait(20)
    assert crew.ended == ["a"]


async def test_waiting_goes_on_for_one_that_starts_meanwhile(end: Any) -> None:
    end(crew := Crew(concurrency=1))
    await crew.take(1)
    await crew.finish(1)
    slot = await crew.slots.reserve("a")
    assert slot is not None
    [task] = crew.slots._running
    task.cancel()
    crew.slots.give(slot, message(2))
    crew.slots.close()
    waiting = asyncio.ensure_future(crew.slots.wait(20))
    await until(lambda: 2 in crew.working)
    assert not waiting.done()
    await crew.finish(2)
    await waiting
    assert not crew.slots.left


async def test_those_at_work_are_cut_and_counted() -> None:
    crew = Crew()
    await crew.take(1, "a")
    await crew.take(2, "a")
    await crew.take(3, "b")
    crew.slots.close()
    assert crew.slots.cut() == Counter(a=2, b=1)
    assert crew.slots.cut() == Counter()
    await crew.slots.wait(20)
    assert sorted(crew.ended) == ["a", "a", "b"]
    assert all(instance.is_ended for instances in crew.by.values() for instance in instances)


async def test_a_cancelled_receive_takes_no_message() -> None:
    calls: list[str] = []
    instance = Instance("a", message(1), lambda: calls.append("idle"))
    assert await instance.receive() == message(1)
    assert not calls
    receiving = asyncio.ensure_future(instance.receive())
    await asyncio.sleep(0)
    assert calls == ["idle"]
    instance.give(message(2))
    receiving.cancel()
    await asyncio.wait([receiving])
    assert receiving.cancelled()
    assert instance.untaken == message(2)
    assert await instance.receive() == message(2)
