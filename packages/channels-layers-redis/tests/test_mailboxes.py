"""What has arrived for channels of this process, without a server."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from channels_core.exceptions import MessagesMissed
from channels_layers_redis._layer.codec import Body, Codec
from channels_layers_redis._layer.dropped_messages import DroppedMessages
from channels_layers_redis._layer.mailbox import Group
from channels_layers_redis._layer.mailboxes import ChannelOverflow, Mailboxes

CODEC = Codec("msgpack", None)


class Limits:
    expiry = 60
    group_expiry = 600
    overflow = "drop newest"
    capacity = 2

    def get_capacity(self, channel: str) -> int:
        return self.capacity


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def body(kind: str) -> Body:
    return Body(CODEC, CODEC.pack({"type": kind}))


def boxes(**limits: Any) -> Mailboxes:
    made = Limits()
    vars(made).update(limits)
    return Mailboxes(made, DroppedMessages(), Clock())


def every(_: object) -> bool:
    return True


class Ear:
    def __init__(self, mailboxes: Mailboxes, name: str) -> None:
        self.wakes = 0
        self.mailbox = mailboxes.listen(name, self.wake)
        self.take: Callable[[], dict[str, Any] | None] = self.mailbox.take

    def wake(self) -> None:
        self.wakes += 1


async def test_expired_messages_make_room_and_are_not_taken() -> None:
    mailboxes = boxes()
    clock: Any = mailboxes.clock
    ear = Ear(mailboxes, "a!")
    for kind in ("old", "old"):
        mailboxes.put("a!", body(kind))
    mailboxes.put("a!", body("too much"))
    clock.now = 61.0
    mailboxes.put("a!", body("new"))
    assert ear.take() == {"type": "new"}
    mailboxes.put("a!", body("old"))
    clock.now = 122.0
    assert ear.take() is None
    mailboxes.put("a!", body("new"))
    assert ear.take() == {"type": "new"}
    assert ear.wakes == 3


async def test_a_place_that_was_given_up_is_free() -> None:
    mailboxes = boxes(capacity=1)
    assert mailboxes.reserve("a!")
    assert not mailboxes.reserve("a!")
    mailboxes.put("a!", body("of another process"))
    mailboxes.release("a!")
    assert mailboxes.reserve("a!")
    mailboxes.put_reserved("a!", body("b"))
    assert await mailboxes.receive("a!") == {"type": "b"}


async def test_what_was_on_its_way_when_a_channel_was_emptied_is_skipped() -> None:
    mailboxes = boxes()
    for _ in range(2):
        assert mailboxes.reserve("a!")
    assert mailboxes.forget("a!") is not None
    mailboxes.release("a!")
    mailboxes.put_reserved("a!", body("old"))
    mailboxes.put("a!", body("new"))
    assert await mailboxes.receive("a!") == {"type": "new"}
    assert mailboxes.forget("b!") is None
    mailboxes.put("b!", body("kept"))
    mailboxes.empty(lambda name: name == "a!")
    assert await mailboxes.receive("b!") == {"type": "kept"}


async def test_who_may_have_missed_something_is_told_once() -> None:
    mailboxes = boxes()
    ear, group = Ear(mailboxes, "a!"), Group("room")
    with mailboxes.lock:
        group.add(mailboxes.find("b!"), 600.0)
        mailboxes.find("c!")
    mailboxes.put("a!", body("before"))
    waiting = asyncio.create_task(mailboxes.receive("d!"))
    await asyncio.sleep(0)
    mailboxes.tell_missed(lambda mailbox: mailbox.name != "e!")
    mailboxes.tell_missed(lambda mailbox: mailbox.name == "e!")
    with pytest.raises(MessagesMissed):
        ear.take()
    assert ear.take() == {"type": "before"}
    assert ear.take() is None
    with pytest.raises(MessagesMissed):
        await mailboxes.receive("b!")
    with pytest.raises(MessagesMissed):
        await waiting
    mailboxes.put("c!", body("c"))
    assert await mailboxes.receive("c!") == {"type": "c"}


async def test_the_news_that_a_cancelled_call_was_given_goes_to_the_next() -> None:
    mailboxes = boxes()
    waiting = asyncio.create_task(mailboxes.receive("a!"))
    await asyncio.sleep(0)
    ear = Ear(mailboxes, "a!")
    mailboxes.tell_missed(every)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ear.wakes == 1
    with pytest.raises(MessagesMissed):
        ear.take()


async def test_calls_that_are_cancelled_are_taken_out() -> None:
    mailboxes = boxes()
    tasks = [asyncio.create_task(mailboxes.receive("a!")) for _ in range(3)]
    await asyncio.sleep(0)
    for task in tasks[:2]:
        task.cancel()
    await asyncio.wait(tasks[:2])
    mailboxes.put("a!", body("b"))
    assert await tasks[2] == {"type": "b"}


async def test_a_call_in_another_loop_that_is_woken_twice_goes_on_once() -> None:
    from channels_layers_redis._layer.mailbox import Receiver

    receiver = Receiver()
    for _ in range(2):
        assert receiver.wake(None)  # as from a thread without an event loop
    await receiver.woken
    await asyncio.sleep(0)
    assert not receiver.wake(None)


async def test_what_cannot_be_read_is_passed_over() -> None:
    mailboxes = boxes()
    wrong = Body(CODEC, CODEC.pack({"type": "a"})[:-1])
    mailboxes.put("a!", wrong)
    mailboxes.put("a!", body("b"))
    assert await mailboxes.receive("a!") == {"type": "b"}
    listed = Body(CODEC, b"\x90")
    mailboxes.put("a!", listed)
    ear = Ear(mailboxes, "a!")
    assert ear.take() is None


async def test_a_channel_that_overflows_is_told_so_once() -> None:
    mailboxes = boxes(overflow="close")
    ear = Ear(mailboxes, "a!")
    for kind in "abcd":
        mailboxes.put("a!", body(kind))
    assert mailboxes._dropped.total == 3  # two have waited for the consumer
    with pytest.raises(ChannelOverflow):
        ear.take()
    assert ear.take() == {"type": "d"}


async def test_channels_that_nobody_reads_go_with_their_messages() -> None:
    mailboxes = boxes()
    clock: Any = mailboxes.clock
    mailboxes.put("a!", body("a"))
    mailboxes.put("b!", body("b"))
    mailboxes.by_name.pop("b!")
    mailboxes.sweep()
    assert list(mailboxes.by_name) == ["a!"]
    clock.now = 61.0
    mailboxes.sweep()
    assert not mailboxes.by_name


async def test_a_listener_that_was_forgotten_is_not_woken() -> None:
    mailboxes = boxes()
    ear = Ear(mailboxes, "a!")
    assert mailboxes.reserve("a!")
    mailboxes.forget("a!")
    mailboxes.put("a!", body("late"))
    assert ear.wakes == 0
    mailboxes.empty(every)
    assert ear.take() is None


async def test_members_leave_groups_that_they_are_not_in() -> None:
    mailboxes = boxes()
    one, two, three = (Group(name) for name in "abc")
    with mailboxes.lock:
        mailbox = mailboxes.find("a!")
        one.remove(mailbox)
        for group in (one, two):
            group.add(mailbox, 600.0)
        three.remove(mailbox)
        assert mailbox.groups == {one, two}


def test_a_forked_process_starts_anew() -> None:
    mailboxes = boxes()
    mailboxes.put("a!", body("a"))
    lock = mailboxes.lock
    mailboxes.start_anew()
    assert mailboxes.lock is not lock
    assert not mailboxes.by_name
