import asyncio
import copy
import logging
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync

from channels_core.exceptions import ChannelFull
from channels_layers_redis.layer import RedisChannelLayer
from redis_process import RedisProcess, until

Make = Callable[..., RedisChannelLayer]


async def next_of(layer: RedisChannelLayer, channel: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        return await layer.receive(channel)


async def nothing_more(layer: RedisChannelLayer, channel: str) -> None:
    await layer.send(channel, {"type": "mark"})
    assert await next_of(layer, channel) == {"type": "mark"}


async def settled() -> None:
    """Let calls that were started come as far as they can without Redis."""
    for _ in range(10):
        await asyncio.sleep(0)


class Ear:
    """Listens to a channel."""

    def __init__(self, layer: RedisChannelLayer, channel: str) -> None:
        self.woken = asyncio.Event()
        self.take = layer.listen(channel, self.woken.set)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while (message := self.take()) is None:
                await self.woken.wait()
                self.woken.clear()
        return message


class TestChannels:
    async def test_a_message_goes_to_a_channel_of_another_process(self, make: Make) -> None:
        here, there = make(), make()
        channel = await there.new_channel()
        waiting = asyncio.create_task(there.receive(channel))
        await there.ping()
        await here.send(channel, {"type": "a", "deep": [{"x": b"1"}]})
        assert await waiting == {"type": "a", "deep": [{"x": b"1"}]}

    async def test_messages_of_one_sender_arrive_in_order(self, make: Make) -> None:
        here, there = make(), make()
        channel = await there.new_channel()
        await there.group_add("room", channel)
        for number in range(0, 60, 2):
            await here.send(channel, {"type": "a", "number": number})
            await here.group_send("room", {"type": "a", "number": number + 1})
        got = [(await next_of(there, channel))["number"] for _ in range(60)]
        assert got == list(range(60))

    async def test_a_name_tells_its_process_and_may_have_a_prefix(self, make: Make) -> None:
        layer = make()
        channel = await layer.new_channel("mine.")
        assert channel.startswith("mine.")
        await layer.send(channel, {"type": "a"})
        assert await next_of(layer, channel) == {"type": "a"}

    async def test_only_its_process_receives_from_a_channel(self, make: Make) -> None:
        here, there = make(), make()
        channel = await there.new_channel()
        with pytest.raises(ValueError, match=r"Only the process that made channel 'specific\."):
            await here.receive(channel)
        with pytest.raises(ValueError, match="Only the process"):
            here.listen(channel, lambda: None)
        with pytest.raises(ValueError, match="Only the process"):
            here.listen("jobs", lambda: None)

    async def test_a_message_to_a_process_that_ended_is_dropped(self, make: Make) -> None:
        here, there = make(), make()
        channel = await there.new_channel()
        await there.ping()
        await there.close()
        await here.send(channel, {"type": "a"})

    async def test_a_channel_of_this_process_is_full_at_its_capacity(self, make: Make) -> None:
        layer = make(capacity=2)
        channel = await layer.new_channel()
        await asyncio.gather(*(layer.send(channel, {"type": "a"}) for _ in range(2)))
        with pytest.raises(ChannelFull, match="at its capacity of 2 messages"):
            await layer.send(channel, {"type": "b"})
        await next_of(layer, channel)
        await layer.send(channel, {"type": "c"})
        assert [(await next_of(layer, channel))["type"] for _ in range(2)] == ["a", "c"]

    async def test_a_channel_of_another_process_drops_what_is_too_much(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        here, there = make(), make(capacity=2)
        channel = await there.new_channel()
        await there.ping()
        for number in range(5):
            await here.send(channel, {"type": "a", "number": number})
        await there.ping()
        assert [(await next_of(there, channel))["number"] for _ in range(2)] == [0, 1]
        await nothing_more(there, channel)
        assert there.dropped == 3
        (record,) = caplog.records
        assert record.message == (
            f"Channel {channel!r} is at capacity: 1 message(s) dropped since the last warning. "
            "Receive faster, or set a higher capacity."
        )

    async def test_a_cancelled_receive_loses_nothing(self, make: Make) -> None:
        layer = make()
        channel = await layer.new_channel()
        for name in (channel, "jobs"):
            for cancelled_after in range(12):
                waiting = asyncio.create_task(layer.receive(name))
                await settled()
                sending = asyncio.create_task(layer.send(name, {"type": "a"}))
                for _ in range(cancelled_after):
                    await asyncio.sleep(0.0002)
                waiting.cancel()
                with suppress(asyncio.CancelledError):
                    await waiting
                await sending
                if waiting.cancelled():
                    assert await next_of(layer, name) == {"type": "a"}
            await nothing_more(layer, name)

    async def test_what_a_cancelled_receive_was_given_goes_to_the_next(self, make: Make) -> None:
        layer = make()
        channel = await layer.new_channel()
        first, second = (asyncio.create_task(layer.receive(channel)) for _ in range(2))
        await settled()
        ear = Ear(layer, channel)
        layer._shared.mailboxes.put(channel, _body(layer, {"type": "a"}))
        first.cancel()  # It has been woken, and has not run yet.
        assert await second == {"type": "a"}
        third = asyncio.create_task(layer.receive(channel))
        await settled()
        layer._shared.mailboxes.put(channel, _body(layer, {"type": "b"}))
        third.cancel()
        assert await ear.next() == {"type": "b"}

    async def test_a_receive_that_is_thrown_away_gets_nothing(self, make: Make) -> None:
        layer = make()
        channel = await layer.new_channel()
        steps = layer.receive(channel)
        steps.send(None)
        steps.close()
        await layer.send(channel, {"type": "a"})
        assert await next_of(layer, channel) == {"type": "a"}

    async def test_a_closed_event_loop_gets_nothing(self, make: Make) -> None:
        layer = make()
        channel = await layer.new_channel()
        loop = asyncio.new_event_loop()

        def begin() -> tuple[Any, Any]:
            async def start() -> tuple[Any, Any]:
                steps = layer.receive(channel)
                waits_for = steps.send(None)
                layer.listen(channel, lambda: None)
                return steps, waits_for

            try:
                return loop.run_until_complete(start())
            finally:
                loop.close()

        kept = await asyncio.to_thread(begin)
        await layer.send(channel, {"type": "a"})
        await layer.send(channel, {"type": "b"})
        assert await next_of(layer, channel) == {"type": "a"}
        with suppress(RuntimeError):
            kept[0].close()

    async def test_a_message_is_checked(self, make: Make) -> None:
        layer = make()
        channel = await layer.new_channel()
        for message, text in (
            (["a"], "must be a dict, not list"),
            ({1: "a"}, "a key must be a str, not 1 in message"),
            ({"a": [{"b": {2: 3}}]}, r"not 2 in message\['a'\]\[0\]\['b'\]"),
            ({"a": object()}, r"cannot be packed: message\['a'\] is of type object"),
        ):
            with pytest.raises(TypeError, match=text):
                await layer.send(channel, message)
        with pytest.raises(AssertionError):
            await layer.send(channel, "a")
        assert layer.copy_message({"type": "a", "t": (1,)}) == {"type": "a", "t": [1]}
        with pytest.raises(TypeError):
            layer.copy_message({"type": object()})

    @pytest.mark.parametrize("serializer", ["msgpack", "json"])
    def test_what_cannot_be_packed_is_named_and_not_shown(self, serializer: str) -> None:
        layer = RedisChannelLayer(serializer_format=serializer)
        shared = ["secret"]
        itself: dict[str, Any] = {"secret": "secret", "twice": [shared, shared]}
        itself["self"] = itself
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        for message, text in (
            ({"a": "secret", "b": [1, ({"c": {"secret"}},)]}, "message['b'][1][0]['c'] is of type"),
            ({"a": "secret", "b": uuid4()}, "message['b'] is of type UUID ("),
            ({"a": "secret", "b": "\ud800"}, "message['b'] is of type str ("),
            ({"a": "secret", "b": [{"\ud800": 1}]}, "there is a key that cannot be packed ("),
            ({"a": "secret", "b": [{b"c": 1}]}, "a key must be a str, not b'c' in message['b'][0]"),
            (itself, "recursion"),
            ({"a": "secret", "b": deep}, "recursion"),
        ):
            with pytest.raises(TypeError, match=f"cannot be packed: .*{re.escape(text)}") as told:
                layer.copy_message(message)
            assert "secret" not in str(told.value)

    async def test_valid_names_are_remembered_up_to_a_bound(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("channels_layers_redis.layer._REMEMBERED", 2)
        layer = make()
        for name in "abc":
            await layer.send(name, {"type": "a"})
        assert len(layer._checked) == 1

    async def test_a_channel_that_is_forgotten_drops_what_is_on_its_way(self, make: Make) -> None:
        layer = make()
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        sending = asyncio.gather(*(layer.send(channel, {"type": "old"}) for _ in range(3)))
        await settled()
        await layer.forget_channel(channel)
        await sending
        await nothing_more(layer, channel)
        await layer.group_send("room", {"type": "g"})
        await nothing_more(layer, channel)
        await layer.forget_channel("specific.unknown!x")
        await layer.forget_channel(channel)
        await layer.forget_channel(channel)


def _body(layer: RedisChannelLayer, message: dict[str, Any]) -> Any:
    from channels_layers_redis._layer.codec import Body

    codec = layer._shared.codec
    return Body(codec, codec.pack(message))


class TestPlainChannels:
    """Channels by name, such as those of workers."""

    async def test_each_message_goes_to_one_receiver_of_all_processes(self, make: Make) -> None:
        here, *others = make(), make(), make()
        tasks = [asyncio.create_task(one.receive("jobs")) for one in others for _ in range(3)]
        for number in range(6):
            await here.send("jobs", {"type": "a", "number": number})
        got = [(await task)["number"] for task in tasks]
        assert sorted(got) == list(range(6))
        await nothing_more(here, "jobs")

    async def test_a_full_channel_refuses_across_processes(self, make: Make) -> None:
        here, there = make(capacity=2), make(capacity=2)
        await here.send("jobs", {"type": "a"})
        await there.send("jobs", {"type": "b"})
        with pytest.raises(ChannelFull, match="Channel 'jobs' is at its capacity of 2"):
            await here.send("jobs", {"type": "c"})

    async def test_what_nobody_can_read_is_counted_and_skipped(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        here, there = make(), make(serializer_format="json")
        await there.send("jobs", {"type": "a"})
        await here.send("jobs", {"type": "b"})
        assert await next_of(here, "jobs") == {"type": "b"}
        assert here.unreadable == 1
        (record,) = caplog.records
        assert record.message.startswith("1 message(s) could not be read, and were skipped; the")

    async def test_listening_ends_when_nobody_has_waited_for_a_while(
        self, make: Make, server: RedisProcess
    ) -> None:
        layer = make()
        waiting = asyncio.create_task(layer.receive("jobs"))
        await layer.send("jobs", {"type": "a"})
        await waiting
        link = layer._link()
        assert server.ask("PUBSUB", "CHANNELS", "*jobs*")
        waiting = asyncio.create_task(layer.receive("jobs"))
        await settled()
        link._sweep()
        assert link._readers
        waiting.cancel()
        # A look that had begun may still wait for its answer.
        while link._readers:
            await layer.ping()
            link._sweep()
        await until(lambda: not server.ask("PUBSUB", "CHANNELS", "*jobs*"))


class TestListening:
    async def test_a_listener_takes_messages_and_is_woken_for_more(self, make: Make) -> None:
        layer = make()
        ear = Ear(layer, channel := await layer.new_channel())
        assert ear.take() is None
        for number in range(3):
            await layer.send(channel, {"type": "a", "number": number})
        assert [(await ear.next())["number"] for _ in range(3)] == [0, 1, 2]
        assert ear.take() is None
        await layer.send(channel, {"type": "b"})
        assert await ear.next() == {"type": "b"}

    async def test_it_is_woken_for_what_waited_before(self, make: Make) -> None:
        layer = make()
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "a"})
        ear = Ear(layer, channel)
        await ear.woken.wait()
        assert ear.take() == {"type": "a"}

    async def test_a_message_that_cannot_be_read_is_skipped(self, make: Make) -> None:
        here, there = make(), make(serializer_format="json")
        ear = Ear(here, channel := await here.new_channel())
        await here.ping()
        await there.send(channel, {"type": "a"})
        await here.send(channel, {"type": "b"})
        assert await ear.next() == {"type": "b"}

    async def test_a_sender_in_a_thread_wakes_it_in_its_own_loop(self, make: Make) -> None:
        layer = make()
        ear = Ear(layer, channel := await layer.new_channel())
        await layer.ping()

        def send() -> None:
            layer.send_sync(channel, {"type": "a"})

        await asyncio.to_thread(send)
        assert await ear.next() == {"type": "a"}

    async def test_a_forgotten_channel_has_no_listener(self, make: Make) -> None:
        layer = make()
        ear = Ear(layer, channel := await layer.new_channel())
        await layer.send(channel, {"type": "a"})
        await layer.forget_channel(channel)
        assert ear.take() is None

    async def test_a_listener_that_is_full_drops_the_oldest_if_asked_for(self, make: Make) -> None:
        layer = make(capacity=2, overflow="drop oldest")
        ear = Ear(layer, channel := await layer.new_channel())
        await layer.group_add("room", channel)
        for number in range(5):
            await layer.group_send("room", {"type": "a", "number": number})
        await layer.ping()
        await make().group_send("room", {"type": "a", "number": 5})
        await until(lambda: layer.dropped == 4)
        assert [(await ear.next())["number"] for _ in range(2)] == [4, 5]

    async def test_a_listener_that_is_full_is_closed_if_asked_for(self, make: Make) -> None:
        from channels_layers_redis._layer.mailboxes import ChannelOverflow

        layer = make(capacity=2, overflow="close")
        ear = Ear(layer, channel := await layer.new_channel())
        await layer.group_add("room", channel)
        for number in range(3):
            await layer.group_send("room", {"type": "a", "number": number})
        await until(lambda: layer.dropped)
        assert layer.dropped == 3
        with pytest.raises(ChannelOverflow, match="more messages than its capacity of 2"):
            await ear.next()


class TestGroups:
    async def test_a_group_reaches_members_in_all_processes(self, make: Make) -> None:
        layers = make(), make()
        channels = [(layer, await layer.new_channel()) for layer in layers for _ in range(3)]
        for layer, channel in channels:
            await layer.group_add("room", channel)
        await make().group_send("room", {"type": "g"})
        for layer, channel in channels:
            assert await next_of(layer, channel) == {"type": "g"}

    async def test_excluded_channels_get_no_copy(self, make: Make) -> None:
        here, there = make(), make()
        one, two = await here.new_channel(), await here.new_channel()
        for channel in (one, two, "jobs"):
            await here.group_add("room", channel)
        await there.group_send("room", {"type": "g"}, exclude=[one, "jobs"])
        assert await next_of(here, two) == {"type": "g"}
        await nothing_more(here, one)
        await nothing_more(here, "jobs")
        for wrong in (one, "", [1]):
            with pytest.raises(TypeError, match="exclude must"):
                await here.group_send("room", {"type": "g"}, exclude=wrong)

    async def test_a_channel_leaves(self, make: Make, server: RedisProcess) -> None:
        layer = make()
        one, two = await layer.new_channel(), await layer.new_channel()
        for channel in (one, two):
            await layer.group_add("room", channel)
            await layer.group_add("hall", channel)
            await layer.group_add("yard", channel)
        await layer.group_discard("room", one)
        await layer.group_send("room", {"type": "g"})
        assert await next_of(layer, two) == {"type": "g"}
        await nothing_more(layer, one)
        await layer.group_discard("room", two)
        await layer.group_discard("room", two)
        await layer.group_discard("room", "specific.nobody!x")
        assert not server.ask("PUBSUB", "CHANNELS", "*{room}")
        for channel in (one, two):
            await layer.forget_channel(channel)
        assert not server.ask("PUBSUB", "CHANNELS", "*{hall}")

    async def test_another_process_adds_and_removes_a_channel(self, make: Make) -> None:
        here, there = make(), make()
        channel = await there.new_channel()
        await there.ping()
        await here.group_add("room", channel)
        await here.group_send("room", {"type": "g"})
        assert await next_of(there, channel) == {"type": "g"}
        await here.group_discard("room", channel)
        await here.group_send("room", {"type": "g"})
        await nothing_more(there, channel)

    async def test_a_channel_of_nobody_is_no_member(self, make: Make) -> None:
        layer = make()
        await layer.group_add("room", "specific.nobody!x")
        await layer.group_discard("room", "specific.nobody!x")

    async def test_a_plain_channel_is_a_member(self, make: Make) -> None:
        here, there = make(), make()
        await there.new_channel()
        await there.ping()
        await here.group_add("room", "jobs")
        await there.new_channel()
        link = there._link()
        await until(lambda: link._shards[0].plain_groups.may_have("room"))
        await there.group_send("room", {"type": "g"})
        assert await next_of(here, "jobs") == {"type": "g"}
        await here.group_discard("room", "jobs")
        await here.group_send("room", {"type": "g"})
        await nothing_more(here, "jobs")
        # A process that comes later knows, and forgets when the time is over.
        later = make()
        await later.group_add("hall", await later.new_channel())
        shard = later._link()._shards[0]
        assert shard.may_have_plain_members("room")
        assert not shard.may_have_plain_members("hall")

    async def test_a_plain_member_that_is_full_is_passed_over(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        layer = make(capacity=1)
        await layer.group_add("room", "jobs")
        await layer.send("jobs", {"type": "a"})
        await layer.group_send("room", {"type": "g"})
        await asyncio.to_thread(layer.group_send_sync, "room", {"type": "g"})
        assert layer.dropped == 2
        await asyncio.to_thread(layer.group_send_sync, "room", {"type": "g"}, exclude=["jobs"])
        assert layer.dropped == 2
        assert [record.levelno for record in caplog.records] == [logging.WARNING]

    async def test_a_membership_ends_unless_it_is_renewed(self, make: Make) -> None:
        layer = make(group_expiry=60)
        now = 0.0
        layer._shared.mailboxes.clock = lambda: now
        old, young = await layer.new_channel(), await layer.new_channel()
        for channel in (old, young):
            await layer.group_add("room", channel)
        now = 40.0
        await layer.group_add("room", young)
        now = 61.0
        await layer.group_send("room", {"type": "g"})
        assert await next_of(layer, young) == {"type": "g"}
        await nothing_more(layer, old)
        now = 101.0
        layer._link()._sweep()
        assert not layer._link()._groups

    async def test_each_member_owns_its_message(self, make: Make) -> None:
        layer = make()
        channels = [await layer.new_channel() for _ in range(3)]
        for channel in channels:
            await layer.group_add("room", channel)
        for message in ({"type": "g", "deep": [1]}, {"type": "g", "flat": 1}):
            await layer.group_send("room", message)
            for channel in channels:
                got = await next_of(layer, channel)
                assert got == message
                got["deep"] = got.get("deep", [])
                got["deep"].append(2)

    async def test_what_is_of_no_known_kind_is_skipped(
        self, make: Make, server: RedisProcess
    ) -> None:
        layer = make()
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        addresses = layer._shared.addresses
        process = addresses.process(layer._link().token)
        server.ask("PUBLISH", addresses.group("room"), "?what")
        server.ask("PUBLISH", process, "?what")
        server.ask("PUBLISH", process, b"q\xc1")
        server.ask("PUBLISH", process, "anobody ")
        server.ask("PUBLISH", addresses.control, "?what")
        await nothing_more(layer, channel)
        assert layer.unreadable == 3


class TestThreadsAndLoops:
    async def test_other_loops_use_channels_of_this_one(self, make: Make) -> None:
        layer = make()
        channel = await layer.new_channel()

        def elsewhere(call: Callable[..., Any], *args: object) -> Any:
            return asyncio.to_thread(lambda: async_to_sync(call)(*args))

        await elsewhere(layer.group_add, "room", channel)
        await elsewhere(layer.group_send, "room", {"type": "g"})
        assert await next_of(layer, channel) == {"type": "g"}
        receiving = asyncio.create_task(elsewhere(layer.receive, channel))
        await layer.send(channel, {"type": "a"})
        assert await receiving == {"type": "a"}
        await elsewhere(layer.group_discard, "room", channel)
        await elsewhere(layer.group_send, "room", {"type": "g"})
        await elsewhere(layer.forget_channel, channel)
        await nothing_more(layer, channel)

    async def test_a_loop_that_ends_closes_its_connections(
        self, make: Make, server: RedisProcess
    ) -> None:
        layer = make()
        # Made in the thread: asgiref 3.9 would use the event loop in which it is made.
        await asyncio.to_thread(lambda: async_to_sync(layer.send)("jobs", {"type": "a"}))
        channel = await asyncio.to_thread(lambda: async_to_sync(layer.new_channel)("a."))
        with pytest.raises(ValueError, match="Only the process"):
            await layer.receive(channel)
        assert not layer._links
        await layer.ping()
        # That of the question, and ours.
        await until(lambda: len(server.ask("CLIENT", "LIST").splitlines()) == 2)

    async def test_a_channel_of_a_closed_loop_is_nobodys(self, make: Make) -> None:
        layer = make()
        loop = asyncio.new_event_loop()

        def begin() -> str:
            async def link() -> str:
                return layer._link().token

            token = loop.run_until_complete(link())
            loop.close()
            return token

        token = await asyncio.to_thread(begin)
        assert layer._shared.link_of(f"specific.{token}!1") is None

    async def test_a_loop_that_was_closed_without_an_end_is_forgotten(self, make: Make) -> None:
        layer = make()
        loop = asyncio.new_event_loop()

        def begin() -> None:
            async def link() -> None:
                layer._link()

            loop.run_until_complete(link())
            loop.close()

        await asyncio.to_thread(begin)
        assert list(layer._links) == [loop]
        await layer.ping()
        assert list(layer._links) == [asyncio.get_running_loop()]

    async def test_close_ends_the_links_of_other_loops(self, make: Make) -> None:
        layer = make()
        begun, closed = asyncio.Event(), threading.Event()
        here = asyncio.get_running_loop()
        loop = asyncio.new_event_loop()

        async def use() -> None:
            await layer.ping()
            here.call_soon_threadsafe(begun.set)
            # Not until the link has gone from `_links`: it closes its connections after that.
            await until(closed.is_set)

        def run() -> None:
            loop.run_until_complete(use())
            loop.close()

        running = asyncio.create_task(asyncio.to_thread(run))
        await begun.wait()
        await layer.close()
        assert not layer._links
        closed.set()
        await running

        idle = asyncio.new_event_loop()

        def begin() -> None:
            async def link() -> None:
                layer._link()

            idle.run_until_complete(link())

        await asyncio.to_thread(begin)
        await layer.close()
        idle.close()
        assert not layer._links


class TestAsAWhole:
    async def test_flush_drops_everything_in_all_processes(
        self, make: Make, server: RedisProcess
    ) -> None:
        here, there = make(prefix="a*"), make(prefix="a*")
        server.ask("SET", "ab:other", "kept")
        channel = await there.new_channel()
        ear = Ear(there, await there.new_channel())
        await there.group_add("room", channel)
        await here.group_add("room", "jobs")
        await there.send(channel, {"type": "old"})
        await here.send("jobs", {"type": "old"})
        for _ in range(2):
            await here.flush()
        await there.flush()
        await here.group_send("room", {"type": "g"})
        await nothing_more(there, channel)
        await nothing_more(here, "jobs")
        assert ear.take() is None
        assert server.ask("KEYS", "*") == [b"ab:other"]

    async def test_a_layer_may_be_closed_twice_and_used_again(self, make: Make) -> None:
        layer = make()
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        link = layer._link()
        await layer.close()
        await layer.close()
        await link.close()
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "a"})
        assert await next_of(layer, channel) == {"type": "a"}

    async def test_ping_asks_redis(self, make: Make) -> None:
        layer = make()
        await layer.ping()
        await layer.new_channel()
        await layer.ping()
        await asyncio.to_thread(layer.ping_sync)

    async def test_a_copy_of_a_layer_is_a_layer_of_its_own(self, make: Make) -> None:
        """Django copies the class data of tests."""
        layer = make(capacity=7)
        await layer.ping()
        copied = copy.deepcopy(layer)
        assert copied.capacity == 7
        assert copied._shared is not layer._shared
        await copied.ping()
        await copied.close()


class WithoutExtensions(RedisChannelLayer):
    """A subclass as programs have it of a layer without the last two arguments."""

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        await super().send(channel, {**message, "by": "send"})

    async def group_add(self, group: str, channel: str) -> None:
        await super().group_add(f"tenant.{group}", channel)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await super().group_send(f"tenant.{group}", message)


async def test_a_subclass_may_override_without_the_extensions(server: RedisProcess) -> None:
    """Type checkers accept it, too."""
    layer = WithoutExtensions(hosts=[server.url])
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "a"})
    assert await layer.receive(channel) == {"type": "a"}
    await layer.send(channel, {"type": "b"})
    assert await layer.receive(channel) == {"type": "b", "by": "send"}
    await layer.close()
