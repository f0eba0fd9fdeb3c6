"""A layer behind Sentinel: the master is killed, and another server takes its place."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from channels_core.exceptions import MessagesMissed
from channels_layers_redis._layer.hosts import Host
from channels_layers_redis.layer import RedisChannelLayer
from redis_process import RedisProcess, free_port, running_redis, until


class Watched(NamedTuple):
    master: RedisProcess
    replica: RedisProcess
    sentinel: RedisProcess
    port: int


@pytest.fixture
def watched() -> Iterator[Watched]:
    with ExitStack() as ends:
        port, watching = free_port(), free_port()
        master = ends.enter_context(running_redis(port=port))
        follows = ("--replicaof", f"127.0.0.1 {port}", "--repl-diskless-sync-delay", "0")
        replica = ends.enter_context(running_redis(*follows, port=free_port()))
        config = (
            f"sentinel monitor site 127.0.0.1 {port} 1\n"
            "sentinel down-after-milliseconds site 500\n"
            "sentinel failover-timeout site 3000\n"
        )
        sentinel = ends.enter_context(running_redis("--sentinel", port=watching, config=config))
        yield Watched(master, replica, sentinel, watching)


async def until_sent(layer: RedisChannelLayer, group: str, text: str) -> None:
    """Send a message to a group as soon as there is a master."""
    async with asyncio.timeout(60):
        while True:
            try:
                await layer.group_send(group, {"type": "g", "text": text})
            except (RedisConnectionError, RedisTimeoutError):
                await asyncio.sleep(0.05)
            else:
                return


async def until_missed(
    layer: RedisChannelLayer, channel: str, waiting: asyncio.Task[dict[str, Any]]
) -> None:
    """Receive until the loss is told; a message that arrives live may come first."""
    async with asyncio.timeout(20):
        while await waiting:
            waiting = asyncio.create_task(layer.receive(channel))


async def test_the_layer_follows_the_new_master(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "django.channels.layers.redis")
    host = {
        "sentinels": [("127.0.0.1", watched.port)],
        "master_name": "site",
        "socket_timeout": 2,
    }
    history = {"room": {"size": 50, "age": 600}}
    here, there = (RedisChannelLayer(hosts=[host], history=history) for _ in range(2))
    channel = await there.new_channel()
    await there.group_add("room", channel)
    await here.group_send("room", {"type": "g", "text": "before"})
    before = await there.receive(channel)
    waiting = asyncio.create_task(there.receive(channel))
    await here.send("jobs", {"type": "a"})
    # What the replica does not have yet would be lost with the master.
    await until(lambda: watched.sentinel.ask("SENTINEL", "REPLICAS", "site"))
    await until(lambda: watched.replica.ask("ROLE")[4] == watched.master.ask("ROLE")[1])

    watched.master.stop()
    await until_sent(here, "room", "away")
    # From now on, a pause of a busy machine is not to look like another outage.
    watched.sentinel.ask("SENTINEL", "SET", "site", "down-after-milliseconds", "60000")
    with pytest.raises(MessagesMissed):
        await until_missed(there, channel, waiting)
    assert watched.replica.ask("ROLE")[0] == b"master"

    missed = await there.group_history("room", after=before["position"])
    assert missed.complete
    assert [message["text"] for message in missed.messages] == ["away"]
    await here.group_send("room", {"type": "g", "text": "after"})
    await asyncio.to_thread(here.group_send_sync, "room", {"type": "g", "text": "last"})
    async with asyncio.timeout(20):
        got = [await there.receive(channel)]
        while got[-1]["text"] != "last":
            got.append(await there.receive(channel))
        assert [message["text"] for message in got][-2:] == ["after", "last"]
        assert await there.receive("jobs") == {"type": "a"}
    for layer in (here, there):
        await layer.close()
    lines = [record.message for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith("Redis at the master 'site' of Sentinel cannot be reached")
    assert lines[1].startswith("Redis at the master 'site' of Sentinel is reached again")


async def test_who_gives_up_leaves_no_connection_to_sentinel() -> None:
    ended: list[asyncio.Event] = []

    async def refuse_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end = asyncio.Event()
        ended.append(end)
        with contextlib.closing(writer), contextlib.suppress(ConnectionResetError):
            while await reader.read(1000):
                writer.write(b"-ERR not now\r\n" * 5)
        end.set()

    async with await asyncio.start_server(refuse_all, "127.0.0.1", 0) as server:
        host = Host({"sentinels": [server.sockets[0].getsockname()], "master_name": "site"})
        async with asyncio.timeout(20):
            for turns in range(100):
                connecting = asyncio.ensure_future(host.new_connection().connect())
                for _ in range(turns):
                    await asyncio.sleep(0)
                connecting.cancel()
                await asyncio.wait([connecting])
            for end in ended:
                await end.wait()
    assert len(ended) > 50
