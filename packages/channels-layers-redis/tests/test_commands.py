"""How many commands each operation costs Redis, as the server counts them."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from channels_layers_redis._layer.shard import Shard
from channels_layers_redis.layer import RedisChannelLayer
from redis_process import RedisProcess

Make = Callable[..., RedisChannelLayer]

#: What asking for the counts itself costs.
OF_THE_QUESTION = {"info", "config", "client", "hello", "auth", "select"}


def counted(server: RedisProcess, names: Iterable[str] = ()) -> dict[str, int]:
    return {name: n for name, n in server.counts().items() if name not in OF_THE_QUESTION}


async def member(layer: RedisChannelLayer, *groups: str) -> str:
    channel = await layer.new_channel()
    for group in groups:
        await layer.group_add(group, channel)
    return channel


async def test_a_message_to_a_group_is_one_publish(make: Make, server: RedisProcess) -> None:
    here, there = make(), make()
    channels = [await member(layer, "room") for layer in (here, there) for _ in range(50)]
    server.reset_counts()
    await here.group_send("room", {"type": "g"})
    async with asyncio.timeout(10):
        for number, channel in enumerate(channels):
            await (here, there)[number // 50].receive(channel)
    assert counted(server) == {"publish": 1}


async def test_the_first_member_subscribes_and_the_last_one_unsubscribes(
    make: Make, server: RedisProcess
) -> None:
    layer = make()
    channels = [await layer.new_channel() for _ in range(50)]
    await layer.group_add("hall", channels[0])
    server.reset_counts()
    for channel in channels:
        await layer.group_add("room", channel)
        await layer.group_add("room", channel)
    assert counted(server) == {"subscribe": 1}
    assert server.ask("PUBSUB", "CHANNELS", "*{room}") == [b"asgi:group:{room}"]
    server.reset_counts()
    for channel in channels:
        await layer.group_discard("room", channel)
    assert counted(server) == {"unsubscribe": 1}
    assert server.ask("PUBSUB", "CHANNELS", "*{room}") == []


async def test_a_message_to_a_consumer_is_one_publish(make: Make, server: RedisProcess) -> None:
    here, there = make(), make()
    channel = await member(there, "room")
    await here.ping()
    server.reset_counts()
    waiting = asyncio.create_task(there.receive(channel))
    await here.send(channel, {"type": "a"})
    await waiting
    await there.send(channel, {"type": "a"})
    await there.receive(channel)
    assert counted(server) == {"publish": 2}


async def test_those_who_wait_cost_nothing(make: Make, server: RedisProcess) -> None:
    layer = make()
    channels = [await member(layer, "room", f"room.{number}") for number in range(100)]
    server.reset_counts()
    tasks = [asyncio.create_task(layer.receive(channel)) for channel in channels[:50]]
    for channel in channels[50:]:
        layer.listen(channel, lambda: None)
    await asyncio.sleep(0)
    assert counted(server) == {}
    for task in tasks:
        task.cancel()
    for channel in channels:
        await layer.forget_channel(channel)
    assert counted(server) == {"unsubscribe": 101}


async def test_a_message_to_a_worker_is_one_script(make: Make, server: RedisProcess) -> None:
    here, there = make(), make()
    for _ in range(2):
        await here.send("jobs", {"type": "a"})
        await there.receive("jobs")
    server.reset_counts()
    await here.send("jobs", {"type": "a"})
    assert counted(server)["evalsha"] == 1
    assert counted(server)["publish"] == 1  # within the script


async def test_commands_of_one_turn_go_out_together(make: Make, server: RedisProcess) -> None:
    layer = make()
    await layer.ping()
    (shard,) = layer._link()._shards
    assert isinstance(shard, Shard)
    writes = 0
    make_connection = shard._host.new_connection

    def counting() -> Any:
        connection = make_connection()
        send = connection.send_packed_command

        async def count(*args: Any, **kwargs: Any) -> None:
            nonlocal writes
            writes += 1
            await send(*args, **kwargs)

        connection.send_packed_command = count  # type: ignore[method-assign] # it counts
        return connection

    shard._host.new_connection = counting  # type: ignore[method-assign] # it counts
    try:
        await shard._commands.close()
        await layer.ping()
        writes = 0
        await asyncio.gather(*(layer.group_send("room", {"type": "g"}) for _ in range(50)))
        assert writes == 1
    finally:
        del shard._host.new_connection
