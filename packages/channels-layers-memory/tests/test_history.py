import asyncio
import re
import subprocess
import sys
import threading
from copy import deepcopy
from typing import Any

import pytest

from channels_core.layer_extensions import HistoryLimits, parse_position
from channels_layers_memory.layer import InMemoryChannelLayer
from fakes import Clock

SIZE, AGE, GROUP_EXPIRY = 3, 60, 600
OPTION = {"room.*": {"size": SIZE, "age": AGE}}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def layer(clock: Clock) -> InMemoryChannelLayer:
    return InMemoryChannelLayer(clock=clock, history=OPTION, group_expiry=GROUP_EXPIRY)


async def send(layer: InMemoryChannelLayer, *numbers: int, group: str = "room.1") -> None:
    for number in numbers:
        await layer.group_send(group, {"type": "a", "n": number})


async def kept(layer: InMemoryChannelLayer, **asked: Any) -> list[int]:
    """Return the numbers of the messages that are kept."""
    return [one["n"] for one in (await layer.group_history("room.1", **asked)).messages]


async def newest(layer: InMemoryChannelLayer, group: str = "room.1") -> str:
    return (await layer.group_history(group, limit=0)).position


class TestWhatIsKept:
    async def test_messages_have_positions(self, layer: InMemoryChannelLayer) -> None:
        """As a program sees it: what is received live is what the history returns."""
        await layer.group_add("room.1", "member")
        await send(layer, 1, 2)
        live = [await layer.receive("member") for _ in range(2)]
        answer = await layer.group_history("room.1")
        assert answer.messages == live
        assert answer.complete
        assert answer.position == live[-1]["position"]
        numbers = [parse_position(message["position"]) for message in live]
        assert [one and one.number for one in numbers] == [1, 2]

    async def test_size(self, layer: InMemoryChannelLayer) -> None:
        await send(layer, 1, 2, 3, 4, 5)
        assert await kept(layer) == [3, 4, 5]

    async def test_age(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        await send(layer, 1)
        clock.advance(AGE - 1)
        await send(layer, 2)
        assert await kept(layer) == [1, 2]
        clock.advance(1)
        assert await kept(layer) == [2]
        clock.advance(AGE)
        assert await kept(layer) == []

    async def test_only_groups_that_match(self, layer: InMemoryChannelLayer) -> None:
        await layer.group_add("hall", "member")
        await send(layer, 1, group="hall")
        assert await layer.receive("member") == {"type": "a", "n": 1}
        assert layer.history_limits("hall") is None
        assert layer.history_limits("room.1") == HistoryLimits(SIZE, AGE)
        for one in (layer, InMemoryChannelLayer()):
            expected = (
                "InMemoryChannelLayer keeps no messages of group 'hall': no pattern of its option "
                "'history' matches that name"
            )
            with pytest.raises(ValueError, match=re.escape(expected)):
                await one.group_history("hall")

    async def test_a_position_of_the_program_is_refused(self, layer: InMemoryChannelLayer) -> None:
        await layer.group_send("hall", {"type": "a", "position": 1})
        with pytest.raises(ValueError, match=r"must not have a key 'position', which its history"):
            await layer.group_send("room.1", {"type": "a", "position": 1})
        assert await kept(layer) == []

    async def test_nobody_shares_a_message(self, layer: InMemoryChannelLayer) -> None:
        await layer.group_send("room.1", {"type": "a", "list": [1]})
        for _ in range(2):
            (message,) = (await layer.group_history("room.1")).messages
            assert message["list"] == [1]
            message["list"].append(2)

    async def test_a_full_member_loses_what_is_kept(self, layer: InMemoryChannelLayer) -> None:
        layer.capacity = 1
        await layer.group_add("room.1", "member")
        await send(layer, 1, 2)
        assert layer.dropped == 1
        seen = (await layer.receive("member"))["position"]
        assert await kept(layer, after=seen) == [2]

    def test_many_names(self) -> None:
        layer = InMemoryChannelLayer(history=OPTION)
        for number in range(10_001):
            assert layer.history_limits(f"room.{number}")
        assert layer._history_limits is not None
        assert len(layer._history_limits._found) == 1


class TestAfter:
    async def test_what_came_after(self, layer: InMemoryChannelLayer) -> None:
        await send(layer, 1)
        seen = await newest(layer)
        await send(layer, 2, 3)
        answer = await layer.group_history("room.1", after=seen)
        assert [one["n"] for one in answer.messages] == [2, 3]
        assert answer.complete
        again = await layer.group_history("room.1", after=answer.position)
        assert again == ([], answer.position, True)

    async def test_before_the_first(self, layer: InMemoryChannelLayer) -> None:
        start = await newest(layer)
        assert start.endswith(".0")
        await send(layer, 1)
        assert await kept(layer, after=start) == [1]

    async def test_limit(self, layer: InMemoryChannelLayer) -> None:
        start = await newest(layer)
        await send(layer, 1, 2, 3)
        assert await kept(layer, limit=2) == [2, 3]
        assert await kept(layer, limit=0) == []
        assert await kept(layer, limit=9) == [1, 2, 3]
        assert await kept(layer, limit=10**30) == [1, 2, 3]
        assert await kept(layer, after=start, limit=2) == [1, 2]
        assert await kept(layer, after=start, limit=0) == []

    async def test_a_wrong_limit(self, layer: InMemoryChannelLayer) -> None:
        with pytest.raises(ValueError, match="limit must not be negative, but got -1"):
            await layer.group_history("room.1", limit=-1)
        for wrong in (True, 1.5, "1"):
            with pytest.raises(TypeError, match="limit must be an int or None, not "):
                await layer.group_history("room.1", limit=wrong)  # type: ignore[arg-type] # as said
        with pytest.raises(TypeError, match="Group name must be"):
            await layer.group_history("a room")

    async def test_what_is_gone_is_said(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        start = await newest(layer)
        await send(layer, 1, 2, 3)
        assert (await layer.group_history("room.1", after=start)).complete
        await send(layer, 4)
        answer = await layer.group_history("room.1", after=start)
        assert not answer.complete
        assert [one["n"] for one in answer.messages] == [2, 3, 4]
        first = answer.messages[0]["position"]
        clock.advance(AGE)
        for after, complete in [(first, False), (answer.position, True)]:
            assert (await layer.group_history("room.1", after=after)).complete is complete

    async def test_other_positions(self, layer: InMemoryChannelLayer) -> None:
        await send(layer, 1)
        tag, epoch, _ = (await newest(layer)).split(".")
        others = ["", "x", "1", f"{tag}.{epoch}.2", f"{tag}.00000000.1", f"{tag}.{epoch}.-1"]
        for after in [*others, await newest(layer, "room.2")]:
            answer = await layer.group_history("room.1", after=after)
            assert not answer.complete, after
            assert [one["n"] for one in answer.messages] == [1]

    async def test_after_a_flush(self, layer: InMemoryChannelLayer) -> None:
        await send(layer, 1)
        seen = await newest(layer)
        await layer.flush()
        assert not (await layer.group_history("room.1", after=seen)).complete
        assert await kept(layer) == []


class TestTheNumbering:
    async def test_it_lasts_as_long_as_the_group(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        await layer.group_add("room.1", "member")
        await send(layer, 1)
        seen = (await layer.receive("member"))["position"]
        for _ in range(5):
            clock.advance(GROUP_EXPIRY - 1)
            await layer.group_add("room.1", "member")
        assert (await layer.group_history("room.1", after=seen)).complete

    async def test_it_outlasts_the_members(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        await send(layer, 1)
        clock.advance(GROUP_EXPIRY - 1)
        seen = await newest(layer)
        clock.advance(GROUP_EXPIRY - 1)
        assert await newest(layer) == seen

    async def test_it_is_forgotten_at_last(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        await send(layer, 1)
        clock.advance(AGE)
        await send(layer, 1, group="room.2")
        clock.advance(GROUP_EXPIRY)
        await layer.group_count("hall")
        assert layer._histories is not None
        assert layer._histories._histories == {}


class TestExclude:
    async def test_it_gets_no_copy(self) -> None:
        layer = InMemoryChannelLayer()
        for name in ("a", "b"):
            await layer.group_add("room", name)
        await layer.group_send("room", {"type": "a"}, exclude=["a", "stranger"])
        assert [*layer.channels] == ["b"]
        await layer.group_send("room", {"type": "b"}, exclude=set())
        assert await layer.receive("a") == {"type": "b"}

    async def test_it_is_a_collection(self) -> None:
        for layer in (InMemoryChannelLayer(), InMemoryChannelLayer(history=OPTION)):
            for wrong in ("a", [1]):
                with pytest.raises(TypeError, match="exclude must "):
                    await layer.group_send("room.1", {"type": "a"}, exclude=wrong)

    async def test_with_history_it_learns_the_position(self, layer: InMemoryChannelLayer) -> None:
        for name in ("a", "b"):
            await layer.group_add("room.1", name)
        await layer.group_send("room.1", {"type": "a"}, exclude=("a",))
        got = await layer.receive("b")
        assert await layer.receive("a") == {"type": "group.position", "position": got["position"]}
        assert (await layer.group_history("room.1")).messages == [got]

    async def test_what_is_dropped_is_counted(self) -> None:
        layer = InMemoryChannelLayer(capacity=1, history=OPTION)
        for name in ("a", "b"):
            await layer.group_add("room.1", name)
        for _ in range(2):
            await layer.group_send("room.1", {"type": "a"}, exclude=["a"])
        assert layer.dropped == 2


class TestTheLayer:
    def test_options_are_checked(self) -> None:
        with pytest.raises(ValueError, match=re.escape("history['room'] must have 'size' and")):
            InMemoryChannelLayer(history={"room": {"size": 1}})

    async def test_a_copy_has_its_own(self, layer: InMemoryChannelLayer) -> None:
        await send(layer, 1)
        copied = deepcopy(layer)
        assert await kept(copied) == []
        assert await kept(layer) == [1]

    async def test_threads_see_one_order(self) -> None:
        layer = InMemoryChannelLayer(capacity=1000, history={"*": {"size": 1000, "age": 60}})
        for name in ("a", "b"):
            await layer.group_add("room", name)

        def send_some() -> None:
            async def send() -> None:
                for _ in range(50):
                    await layer.group_send("room", {"type": "a"})

            asyncio.run(send())

        threads = [threading.Thread(target=send_some) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        kept = (await layer.group_history("room")).messages
        for name in ("a", "b"):
            assert [await layer.receive(name) for _ in range(200)] == kept
        assert len({message["position"] for message in kept}) == 200

    def test_nothing_is_loaded_where_nothing_is_configured(self) -> None:
        program = """
import asyncio, sys
from channels_layers_memory.layer import InMemoryChannelLayer
async def use():
    layer = InMemoryChannelLayer()
    await layer.group_add("room", "a")
    await layer.group_send("room", {"type": "a"})
    await layer.receive("a")
    await layer.group_discard("room", "a")
    await layer.flush()
asyncio.run(use())
rooms = ("history", "members", "queues", "alarm", "timetable", "limits_by_name")
names = [f"channels_layers_memory._layer.{room}" for room in rooms]
print([name for name in [*names, "channels_core.layer_extensions"] if name in sys.modules])
"""
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert done.stdout == "[]\n"
