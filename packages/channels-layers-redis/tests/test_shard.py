"""One server, as one event loop sees it: what is subscribed to, and when."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from redis.exceptions import ConnectionError as RedisConnectionError

from channels_layers_redis._layer.hosts import Host
from channels_layers_redis._layer.outages import Outages
from channels_layers_redis._layer.shard import Shard
from channels_layers_redis._layer.wire import Wire
from redis_process import RedisProcess, until

MakeShard = Callable[[], Shard]


@pytest_asyncio.fixture
async def make_shard(server: RedisProcess) -> AsyncIterator[MakeShard]:
    shards = []

    def make() -> Shard:
        shard = Shard(
            Host(server.url),
            Outages(),
            control="control",
            plain_groups="plain-groups",
            on_return=lambda _: None,
            on_cancelled=lambda: None,
        )
        shards.append(shard)
        return shard

    yield make
    for shard in shards:
        await shard.close()


class Gate:
    """Holds a command back while a connection comes up."""

    def __init__(self, wire: Wire, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.open = asyncio.Event(), asyncio.Event()
        post = wire.post

        async def later(answer: asyncio.Future[Any]) -> Any:
            self.reached.set()
            await self.open.wait()
            return await answer

        def hold(*command: Any, answers: int = 1) -> asyncio.Future[Any]:
            answer = post(*command, answers=answers)
            if command[0] == name and not self.open.is_set():
                return asyncio.ensure_future(later(answer))
            return answer

        monkeypatch.setattr(wire, "post", hold)


@pytest.mark.parametrize("held", ["SUBSCRIBE", "ZRANGEBYSCORE"])
async def test_what_is_added_and_removed_while_it_comes_up(
    make_shard: MakeShard, server: RedisProcess, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    shard = make_shard()
    heard: list[bytes] = []
    wire = shard._listening if held == "SUBSCRIBE" else shard._commands
    gate = Gate(wire, held, monkeypatch)
    shard.start("control", heard.append)
    for address in ("gone", "back"):
        shard.listen(address, heard.append)
    await gate.reached.wait()
    coming = shard.listen("late", heard.append)
    for address in ("gone", "back"):
        shard.stop_listening(address)
    shard.listen("back", heard.append)
    gate.open.set()
    await coming
    assert sorted(server.ask("PUBSUB", "CHANNELS")) == [b"back", b"control", b"late"]
    for address in ("back", "late", "gone"):
        server.ask("PUBLISH", address, address)
    await shard.listen("last", heard.append)
    assert heard == [b"back", b"late"]


async def test_a_message_for_an_address_that_was_left_is_dropped(make_shard: MakeShard) -> None:
    shard = make_shard()
    heard: list[bytes] = []
    shard.start("control", heard.append)
    await shard.come_up()
    await shard.listen("room", heard.append)
    published = shard.post("PUBLISH", "room", "a")
    left = shard.stop_listening("room")
    assert left is not None
    await left
    await published
    assert shard.stop_listening("room") is None
    shard._heard(b"room", b"a")
    assert heard == []


async def test_a_waiter_may_give_up(make_shard: MakeShard) -> None:
    shard = make_shard()
    for _ in range(2):
        shard.start("control", lambda _: None)
    shard.come_up().cancel()
    await until(lambda: shard.is_up)


async def test_a_connection_that_is_lost_as_it_comes_up_is_made_again(
    make_shard: MakeShard, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = make_shard()
    gate = Gate(shard._commands, "ZRANGEBYSCORE", monkeypatch)
    shard.start("control", lambda _: None)
    shard._handlers.clear()  # nothing more is subscribed to at the end
    await gate.reached.wait()
    lost = shard._listening.lost
    assert lost is not None
    shard._listening.fail(RedisConnectionError("gone"))
    await lost
    gate.open.set()
    await until(lambda: shard.is_up)


async def test_whoever_waits_for_a_server_that_is_away_is_told() -> None:
    shard = Shard(
        Host("redis://127.0.0.1:1"),
        Outages(),
        control="control",
        plain_groups="plain-groups",
        on_return=lambda _: None,
        on_cancelled=lambda: None,
    )
    shard.start("here", lambda _: None)
    await until(lambda: shard._error is not None)
    with pytest.raises(RedisConnectionError):
        shard.come_up()
    await shard.close()
