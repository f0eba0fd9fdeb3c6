"""What a link does when something ends, fails or is on another server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from channels_core.exceptions import MessagesMissed
from channels_layers_redis._layer.shard import Shard
from channels_layers_redis.layer import RedisChannelLayer
from redis_process import RedisProcess, running_redis

Make = Callable[..., RedisChannelLayer]


@pytest_asyncio.fixture
async def on_two(server: RedisProcess) -> AsyncIterator[RedisChannelLayer]:
    """A layer on two servers."""
    with running_redis() as other:
        layer = RedisChannelLayer(hosts=[server.url, other.url])
        yield layer
        await layer.close()


def elsewhere(layer: RedisChannelLayer) -> str:
    """Return the name of a group that is not on the server of this event loop's channels."""
    link = layer._link()
    groups = (f"room{number}" for number in range(99))
    return next(one for one in groups if link._place(one) is not link._place(link.token))


async def test_a_failure_of_a_member_that_is_a_channel_by_name_is_raised(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = make()
    await layer.group_add("room", "jobs")

    async def fail(channel: str, body: bytes) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(layer._link(), "append", fail)
    with pytest.raises(RedisConnectionError, match="away"):
        await layer.group_send("room", {"type": "a"})


async def test_a_channel_is_in_a_group_once_its_own_server_is_heard(
    on_two: RedisChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, channel = elsewhere(on_two), await on_two.new_channel()
    await on_two.group_add(group, channel)
    link = on_two._link()
    shard = link._place(link.token)
    assert isinstance(shard, Shard)
    coming: asyncio.Future[None] = link.loop.create_future()
    shard.is_up, shard._coming = False, coming
    joining = asyncio.create_task(on_two.group_add(group, channel))
    await on_two._link()._place(group).post("PING")
    assert not joining.done()
    shard.is_up = True
    coming.set_result(None)
    await joining


async def test_who_is_in_groups_of_a_server_that_was_away_is_told(
    on_two: RedisChannelLayer,
) -> None:
    group = elsewhere(on_two)
    inside, outside = await on_two.new_channel(), await on_two.new_channel()
    await on_two.group_add(group, inside)
    takes = [on_two.listen(channel, lambda: None) for channel in (inside, outside)]
    assert [take() for take in takes] == [None, None]
    link = on_two._link()
    waiting = asyncio.create_task(on_two.receive("jobs"))
    await on_two.ping()
    at = link._shared.addresses
    link._came_back({at.group(group).encode()})
    with pytest.raises(MessagesMissed):
        takes[0]()
    assert takes[1]() is None
    link._came_back({at.process(link.token).encode(), b"asgi:channel:{jobs}"})
    with pytest.raises(MessagesMissed):
        takes[1]()
    await on_two.send("jobs", {"type": "a"})
    assert await waiting == {"type": "a"}


async def test_a_link_knows_who_is_in_its_groups(make: Make) -> None:
    layer = make()
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    link = layer._link()
    pairs = [("room", channel), ("hall", channel), ("room", f"{channel}x"), ("room", "jobs")]
    assert [link._is_in_group(*pair) for pair in pairs] == [True, False, False, True]


async def test_a_loop_that_does_not_answer_is_given_up(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = make()
    link = layer._link()
    monkeypatch.setattr(layer._shared.hosts[0], "timeout", 0.01)
    stuck = asyncio.new_event_loop()

    class Other:
        loop = stuck

    other: Any = Other()  # no more of a link is used
    with pytest.raises(RedisTimeoutError, match=r"did not answer within 0\.01 s"):
        await link.for_link(other, asyncio.sleep(0))
    await asyncio.to_thread(stuck.run_until_complete, asyncio.sleep(0))
    stuck.close()


async def test_flush_leaves_the_keys_of_others(make: Make, server: RedisProcess) -> None:
    layer = make()
    await layer.send("jobs", {"type": "a"})
    server.ask("MSET", *(part for number in range(3000) for part in (f"other:{number}", "x")))
    await layer.flush()
    assert server.ask("DBSIZE") == 3000


async def test_what_a_link_still_does_is_cancelled_when_it_is_closed(make: Make) -> None:
    layer = make()
    link = layer._link()
    task: asyncio.Task[Any] = link._start(asyncio.sleep(100))
    await layer.close()
    assert task.cancelled()
    link.abandon()
    await link.close()


async def test_the_child_of_a_fork_connects_anew(make: Make) -> None:
    layer = make(history={"room": {"size": 5, "age": 60}})
    channel = await layer.new_channel()
    await layer.ping()
    link = layer._link()
    layer._start_anew()
    with pytest.raises(ValueError, match="Only the process"):
        await layer.receive(channel)
    await layer.group_send("room", {"type": "a"})
    assert layer._link() is not link
    await link.close()
