import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from channels_layers_redis.layer import RedisChannelLayer
from redis_process import RedisProcess

Make = Callable[..., RedisChannelLayer]

HISTORY = {"room.*": {"size": 5, "age": 600}}


async def next_of(layer: RedisChannelLayer, channel: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        return await layer.receive(channel)


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    return [message["number"] for message in messages]


async def test_messages_arrive_with_their_position_and_are_kept(make: Make) -> None:
    here, there = make(history=HISTORY), make(history=HISTORY)
    channel = await there.new_channel()
    await there.group_add("room.1", channel)
    before = (await here.group_history("room.1")).position
    for number in range(3):
        await here.group_send("room.1", {"type": "a", "number": number, "deep": [1]})
    got = [await next_of(there, channel) for _ in range(3)]
    found = await there.group_history("room.1", after=before)
    assert found.messages == got
    assert (found.position, found.complete) == (got[-1]["position"], True)
    assert numbers(got) == [0, 1, 2]
    rest = await here.group_history("room.1", after=got[0]["position"], limit=1)
    assert numbers(rest.messages) == [1]
    assert numbers((await here.group_history("room.1", limit=2)).messages) == [1, 2]


async def test_one_script_keeps_and_publishes(make: Make, server: RedisProcess) -> None:
    layer = make(history=HISTORY)
    for _ in range(2):
        await layer.group_send("room.1", {"type": "a"})
    server.reset_counts()
    for _ in range(10):
        await layer.group_send("room.1", {"type": "a"})
    counts = server.counts()
    assert counts["evalsha"] == counts["publish"] == 10


async def test_only_groups_that_the_option_names_have_a_history(make: Make) -> None:
    layer = make(history=HISTORY)
    channel = await layer.new_channel()
    await layer.group_add("hall", channel)
    await layer.group_send("hall", {"type": "a", "position": "mine"})
    assert await next_of(layer, channel) == {"type": "a", "position": "mine"}
    limits = layer.history_limits("room.1")
    assert limits is not None
    assert (limits.size, limits.age) == (5, 600)
    assert layer.history_limits("hall") is None
    with pytest.raises(ValueError, match=r"no history of group 'hall': no pattern .*room"):
        await layer.group_history("hall")
    without = make()
    assert without.history_limits("room.1") is None
    with pytest.raises(ValueError, match="it has none"):
        await without.group_history("room.1")


async def test_wrong_arguments_are_refused(make: Make) -> None:
    layer = make(history=HISTORY)
    with pytest.raises(ValueError, match="must not have a key 'position'"):
        await layer.group_send("room.1", {"type": "a", "position": "x"})
    with pytest.raises(ValueError, match="limit must not be negative"):
        await layer.group_history("room.1", limit=-1)
    for limit in (True, "2", 1.5):
        with pytest.raises(TypeError, match="limit must be an int or None"):
            await layer.group_history("room.1", limit=limit)  # type: ignore[arg-type] # it is wrong
    await layer.group_send("room.1", {"type": "a"})
    assert len((await layer.group_history("room.1", limit=10**30)).messages) == 1
    with pytest.raises(ValueError, match="size"):
        make(history={"room": {"size": 0, "age": 1}})


@pytest.mark.parametrize("after", ["", "x", "00000000.00000000.1", "9" * 40, ["a list"]])
async def test_unknown_positions_are_not_complete(make: Make, after: Any) -> None:
    layer = make(history=HISTORY)
    await layer.group_send("room.1", {"type": "a", "number": 1})
    found = await layer.group_history("room.1", after=after)
    assert (found.complete, numbers(found.messages)) == (False, [1])


async def test_an_emptied_server_is_noticed(make: Make, server: RedisProcess) -> None:
    layer = make(history=HISTORY)
    await layer.group_send("room.1", {"type": "a"})
    position = (await layer.group_history("room.1")).position
    server.ask("FLUSHALL")
    assert not (await layer.group_history("room.1", after=position)).complete


async def test_excluded_channels_learn_the_position(make: Make) -> None:
    layer = make(history=HISTORY)
    first, second = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("room.1", first)
    await layer.group_add("room.1", second)
    await layer.group_send("room.1", {"type": "a"}, exclude=[first])
    message = await next_of(layer, second)
    assert await next_of(layer, first) == {
        "type": "group.position",
        "position": message["position"],
    }
    assert (await layer.group_history("room.1")).messages == [message]


async def test_members_that_are_channels_of_no_process_get_the_position_too(make: Make) -> None:
    layer = make(history=HISTORY)
    await layer.group_add("room.1", "jobs")
    await layer.group_send("room.1", {"type": "a"})
    message = await next_of(layer, "jobs")
    assert (await layer.group_history("room.1")).messages == [message]
    await asyncio.to_thread(layer.group_send_sync, "room.1", {"type": "b"})
    assert (await next_of(layer, "jobs"))["position"] > message["position"]


async def test_synchronous_code_sends_and_reads(make: Make) -> None:
    layer = make(history=HISTORY)
    channel = await layer.new_channel()
    await layer.group_add("room.1", channel)

    def work() -> Any:
        layer.group_send_sync("room.1", {"type": "a"})
        with pytest.raises(ValueError, match="position"):
            layer.group_send_sync("room.1", {"type": "a", "position": "x"})
        layer.group_send_sync("hall", {"type": "a", "position": "x"})
        return layer.group_history_sync("room.1")

    found = await asyncio.to_thread(work)
    assert found.messages == [await next_of(layer, channel)]
    assert found == await layer.group_history("room.1")


@pytest.mark.cryptography
async def test_the_history_is_encrypted(make: Make, server: RedisProcess) -> None:
    layer = make(history=HISTORY, symmetric_encryption_keys=["a"])
    await layer.group_send("room.1", {"type": "a", "number": 1, "secret": "visible"})
    [_, key] = sorted(server.ask("KEYS", "*history*"))
    assert b"visible" not in server.ask("LINDEX", key, 0)
    assert numbers((await layer.group_history("room.1")).messages) == [1]
    other = make(history=HISTORY, symmetric_encryption_keys=["b"])
    found = await other.group_history("room.1")
    assert (found.messages, found.complete, other.unreadable) == ([], True, 1)


class TestReadsAtOnce:
    """All clients of a room come back at the same moment."""

    async def test_equal_ones_share_a_command_and_no_message(
        self, make: Make, server: RedisProcess
    ) -> None:
        layer = make(history=HISTORY)
        for number in range(4):
            await layer.group_send("room.1", {"type": "a", "number": number, "deep": [number]})
        first = (await layer.group_history("room.1")).messages[0]["position"]
        server.reset_counts()
        reads = [layer.group_history("room.1", after=first) for _ in range(20)]
        found = await asyncio.gather(*reads, layer.group_history("room.1", limit=1))
        assert server.counts()["evalsha"] == 2
        assert [numbers(one.messages) for one in found] == [[1, 2, 3]] * 20 + [[3]]
        found[0].messages[0]["deep"].append("changed")
        del found[0].messages[1]["number"]
        assert all(one.messages == found[1].messages for one in found[2:20])

    async def test_one_that_ends_disturbs_no_other(self, make: Make) -> None:
        layer = make(history=HISTORY)
        await layer.group_send("room.1", {"type": "a", "number": 0})
        tasks = [asyncio.create_task(layer.group_history("room.1")) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [True, False, False]
        assert [numbers(task.result().messages) for task in tasks[1:]] == [[0], [0]]

    async def test_without_redis_each_gets_an_error_of_its_own(
        self, make: Make, server: RedisProcess
    ) -> None:
        layer = make(hosts=["redis://127.0.0.1:1"], history=HISTORY)
        reads = [layer.group_history("room.1") for _ in range(3)]
        errors = await asyncio.gather(*reads, return_exceptions=True)
        assert {type(error) for error in errors} == {RedisConnectionError}
        assert len({id(error) for error in errors}) == 3
