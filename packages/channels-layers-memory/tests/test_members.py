import asyncio
import logging
import re
from typing import Any

import pytest

from channels_layers_memory.layer import InMemoryChannelLayer
from fakes import Clock

LINGER = 5
ANN, BOB = {"id": 1, "name": "Ann"}, {"id": "bob"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def layer(clock: Clock) -> InMemoryChannelLayer:
    return InMemoryChannelLayer(clock=clock, group_expiry=600)


def joined(member: dict[str, Any], group: str = "room") -> dict[str, Any]:
    return {"type": "group.joined", "group": group, "member": member}


def left(member: dict[str, Any], group: str = "room") -> dict[str, Any]:
    return {"type": "group.left", "group": group, "member": member}


async def told(layer: InMemoryChannelLayer, channel: str) -> list[dict[str, Any]]:
    """Return what waits in a channel."""
    await layer.group_count("room")  # an operation that settles what is due
    waiting = layer.channels.get(channel)
    return [await layer.receive(channel) for _ in range(waiting.qsize() if waiting else 0)]


async def listed(layer: InMemoryChannelLayer, group: str = "room") -> list[tuple[object, int]]:
    return [(one["id"], one["connections"]) for one in await layer.group_members(group)]


class TestJoining:
    async def test_the_group_is_told(self, layer: InMemoryChannelLayer) -> None:
        await layer.group_add("room", "watcher")
        await layer.group_add("room", "a", member=ANN)
        await layer.group_add("room", "b", BOB)
        assert await told(layer, "watcher") == [joined(ANN), joined(BOB)]
        assert await told(layer, "a") == [joined(ANN), joined(BOB)]
        assert await told(layer, "b") == [joined(BOB)]
        assert await layer.group_members("room") == [
            {**ANN, "connections": 1},
            {**BOB, "connections": 1},
        ]

    async def test_a_second_connection(self, layer: InMemoryChannelLayer) -> None:
        await layer.group_add("room", "a", ANN)
        await layer.group_add("room", "b", BOB)
        await layer.group_add("room", "c", {"id": 1, "name": "Anna"})
        assert await told(layer, "c") == []
        assert await layer.group_members("room") == [
            {"id": 1, "name": "Anna", "connections": 2},
            {**BOB, "connections": 1},
        ]
        await layer.group_discard("room", "c")
        assert (await layer.group_members("room"))[0] == {**ANN, "connections": 1}

    async def test_again_is_new_data(self, layer: InMemoryChannelLayer) -> None:
        for name in ("Ann", "Anna"):
            await layer.group_add("room", "a", {"id": 1, "name": name})
        await layer.group_add("room", "b", {"id": 1, "name": "Annie"})
        await layer.group_add("room", "a", {"id": 1, "name": "Hannah"})
        members = await layer.group_members("room")
        assert members == [{"id": 1, "name": "Annie", "connections": 2}]
        await layer.group_discard("room", "b")
        members = await layer.group_members("room")
        assert members == [{"id": 1, "name": "Hannah", "connections": 1}]
        assert await told(layer, "a") == [joined(ANN)]

    async def test_a_renewal_keeps_the_member(self, layer: InMemoryChannelLayer) -> None:
        await layer.group_add("room", "a", ANN)
        await layer.group_add("room", "a")
        assert await layer.group_members("room") == [{**ANN, "connections": 1}]

    async def test_another_id(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        await layer.group_add("room", "a", ANN)
        await layer.group_add("room", "a", BOB)
        assert await listed(layer) == [(1, 0), ("bob", 1)]
        clock.advance(LINGER)
        assert await told(layer, "a") == [joined(ANN), joined(BOB), left(ANN)]

    async def test_an_int_is_not_its_text(self, layer: InMemoryChannelLayer) -> None:
        await layer.group_add("room", "a", {"id": 1})
        await layer.group_add("room", "b", {"id": "1"})
        assert await listed(layer) == [(1, 1), ("1", 1)]

    async def test_groups_do_not_mix(self, layer: InMemoryChannelLayer) -> None:
        await layer.group_add("room", "a", ANN)
        await layer.group_add("hall", "a", BOB)
        assert await listed(layer) == [(1, 1)]
        assert await listed(layer, "hall") == [("bob", 1)]
        await layer.group_discard("hall", "a")
        assert await listed(layer) == [(1, 1)]

    async def test_nobody(self, layer: InMemoryChannelLayer) -> None:
        assert await layer.group_members("room") == []
        with pytest.raises(TypeError, match="Group name must be"):
            await layer.group_members("a room")

    async def test_what_is_no_member(self, layer: InMemoryChannelLayer) -> None:
        with pytest.raises(ValueError, match="must have an 'id'"):
            await layer.group_add("room", "a", {})
        assert await layer.group_channels("room") == []

    async def test_data_are_copied(self, layer: InMemoryChannelLayer) -> None:
        data: dict[str, Any] = {"id": 1, "tags": ["a"]}
        await layer.group_add("room", "a", data)
        data["tags"].append("b")
        (notice,) = await told(layer, "a")
        notice["member"]["tags"].append("c")
        for _ in range(2):
            (member,) = await layer.group_members("room")
            assert member["tags"] == ["a"]
            member["tags"].append("d")

    async def test_a_full_member_is_not_told(
        self, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        layer.capacity = 1
        await layer.group_add("room", "a", ANN)
        with caplog.at_level(logging.WARNING):
            await layer.group_add("room", "b", BOB)
        assert layer.dropped == 1
        assert "Group 'room' has channels at capacity: 1 message(s)" in caplog.text

    async def test_in_a_group_with_history(self, clock: Clock) -> None:
        layer = InMemoryChannelLayer(clock=clock, history={"*": {"size": 9, "age": 9}})
        await layer.group_add("room", "a", ANN)
        assert await told(layer, "a") == [joined(ANN)]
        assert (await layer.group_history("room")).messages == []


class TestLeaving:
    async def test_the_group_is_told_after_a_while(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        await layer.group_add("room", "watcher")
        await layer.group_add("room", "a", ANN)
        await layer.group_add("room", "b", {"id": 1, "name": "Anna"})
        await layer.group_discard("room", "a")
        clock.advance(LINGER)
        assert await told(layer, "watcher") == [joined(ANN)]
        await layer.group_discard("room", "b")
        clock.advance(LINGER - 1)
        assert await layer.group_members("room") == [{"id": 1, "name": "Anna", "connections": 0}]
        assert await told(layer, "watcher") == []
        clock.advance(1)
        assert await layer.group_members("room") == []
        assert await told(layer, "watcher") == [left({"id": 1, "name": "Anna"})]

    async def test_who_comes_back_has_not_left(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        await layer.group_add("room", "watcher")
        await layer.group_add("room", "b", BOB)
        for channel in "acd":
            await layer.group_add("room", channel, ANN)
            await layer.group_discard("room", channel)
            clock.advance(LINGER - 1)
        await layer.group_add("room", "e", ANN)
        clock.advance(LINGER)
        assert await told(layer, "watcher") == [joined(BOB), joined(ANN)]
        assert await listed(layer) == [("bob", 1), (1, 1)]

    async def test_every_way_out(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        for channel, name in [("a", 1), ("b", 2), ("c", 3)]:
            await layer.group_add("room", channel, {"id": name})
            await told(layer, channel)
        await layer.forget_channel("a")
        await layer.group_discard("room", "b")
        clock.advance(LINGER)
        assert await listed(layer) == [(3, 1)]
        clock.advance(600)
        await layer.group_add("room", "watcher")
        clock.advance(LINGER)
        assert await listed(layer) == []
        assert await told(layer, "watcher") == [left({"id": 3})]

    async def test_at_once(self, clock: Clock) -> None:
        layer = InMemoryChannelLayer(clock=clock, member_linger=0)
        await layer.group_add("room", "watcher")
        await layer.group_add("room", "a", ANN)
        await layer.group_discard("room", "a")
        assert await told(layer, "watcher") == [joined(ANN), left(ANN)]

    async def test_a_flush_tells_nobody(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        await layer.group_add("room", "a", ANN)
        await layer.group_add("room", "b", BOB)
        await layer.group_discard("room", "b")
        await layer.flush()
        await layer.group_add("room", "watcher")
        clock.advance(LINGER)
        assert await listed(layer) == []
        assert await told(layer, "watcher") == []
        await layer.group_add("room", "a", ANN)
        assert await told(layer, "watcher") == [joined(ANN)]

    async def test_groups_that_a_test_empties(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        for empty in (layer.groups.clear, lambda: setattr(layer, "groups", {})):
            await layer.group_add("room", "a", ANN)
            assert await told(layer, "a") == [joined(ANN)]
            await layer.group_add("room", "b", BOB)
            await told(layer, "a")
            empty()
            await layer.group_add("room", "a", ANN)
            assert await told(layer, "a") == [joined(ANN)]
            assert await listed(layer) == [(1, 1)]
            await layer.flush()
            await told(layer, "b")

    async def test_a_channel_that_a_test_removes(self, layer: InMemoryChannelLayer) -> None:
        for channel in "ab":
            await layer.group_add("room", channel, ANN)
        del layer.groups["room"]["b"]
        assert await listed(layer) == [(1, 1)]
        await layer.group_discard("room", "b")
        assert await listed(layer) == [(1, 1)]


class TestTimers:
    async def test_who_waits_is_told(self) -> None:
        layer = InMemoryChannelLayer(member_linger=0.001)
        await layer.group_add("room", "watcher")
        await layer.group_add("room", "a", ANN)
        assert await layer.receive("watcher") == joined(ANN)
        waiting = asyncio.create_task(layer.receive("watcher"))
        await layer.group_discard("room", "a")
        async with asyncio.timeout(5):
            assert await waiting == left(ANN)

    async def test_who_listens_is_woken(self) -> None:
        layer = InMemoryChannelLayer(member_linger=0.001)
        woken = asyncio.Event()
        await layer.group_add("room", "watcher")
        take = layer.listen("watcher", woken.set)
        await layer.group_add("room", "a", ANN)
        assert take() == joined(ANN)
        assert take() is None
        woken.clear()
        await layer.group_discard("room", "a")
        async with asyncio.timeout(5):
            await woken.wait()
        assert take() == left(ANN)

    def test_the_next_operation_does_it_if_the_loop_is_gone(self) -> None:
        layer = InMemoryChannelLayer(member_linger=0)

        async def come_and_go() -> None:
            await layer.group_add("room", "watcher")
            await layer.group_add("room", "a", ANN)
            assert await layer.receive("watcher") == joined(ANN)
            await layer.group_discard("room", "a")

        async def look() -> None:
            assert await layer.group_members("room") == []
            assert await layer.receive("watcher") == left(ANN)

        asyncio.run(come_and_go())
        asyncio.run(look())

    async def test_a_full_member_is_counted_later(self) -> None:
        layer = InMemoryChannelLayer(capacity=1, member_linger=0)
        await layer.group_add("room", "a", ANN)
        await layer.group_add("room", "b", ANN)
        await layer.group_add("room", "a", BOB)
        await layer.group_discard("room", "b")
        assert layer.dropped == 1
        await layer.group_count("room")  # settles, and has no time for the warning
        assert layer.dropped == 2


class TestOptions:
    @pytest.mark.parametrize("option", ["member_linger", "member_lease"])
    def test_they_are_seconds(self, option: str) -> None:
        assert getattr(InMemoryChannelLayer(**{option: 0.5}), option) == 0.5  # type: ignore[arg-type] # any option
        for wrong in (-1, float("inf"), float("nan")):
            with pytest.raises(ValueError, match=f"{option} must be "):
                InMemoryChannelLayer(**{option: wrong})  # type: ignore[arg-type] # any option
        for other in (True, None, "5"):
            with pytest.raises(TypeError, match=f"{option} must be "):
                InMemoryChannelLayer(**{option: other})  # type: ignore[arg-type] # as said

    def test_a_lease_is_positive(self) -> None:
        assert InMemoryChannelLayer(member_linger=0).member_linger == 0
        expected = "member_lease must be a positive number of seconds, not 0"
        with pytest.raises(ValueError, match=re.escape(expected)):
            InMemoryChannelLayer(member_lease=0)
