"""What a lost connection does: to calls, to those who wait, and to the log."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from copy import copy
from typing import Any

import pytest
import pytest_asyncio
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from channels_core.exceptions import MessagesMissed
from channels_layers_redis._layer import shard as shard_module
from channels_layers_redis.layer import RedisChannelLayer
from redis_process import RedisProcess, free_port, running_redis, until

Make = Callable[..., RedisChannelLayer]
TIMEOUT = 0.5


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    with running_redis(port=free_port()) as server:
        yield server


@pytest_asyncio.fixture
async def make(redis: RedisProcess) -> AsyncIterator[Make]:
    layers = []

    def make_layer(**options: Any) -> RedisChannelLayer:
        hosts = [{"address": redis.url, "socket_timeout": TIMEOUT}]
        layers.append(RedisChannelLayer(hosts=hosts, **options))
        return layers[-1]

    yield make_layer
    for layer in layers:
        await layer.close()


async def until_raised(call: Callable[[], Any], *errors: type[Exception]) -> Exception:
    """Repeat a call until it raises: the loss of a connection is noticed soon, not at once."""
    async with asyncio.timeout(20):
        while True:
            try:
                await call()
            except (RedisConnectionError, RedisTimeoutError) as raised:
                if isinstance(raised, errors):
                    return raised
            await asyncio.sleep(0.01)


async def until_done(call: Callable[[], Any]) -> Any:
    """Repeat a call until it succeeds."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await call()
            except (RedisConnectionError, RedisTimeoutError):
                await asyncio.sleep(0.01)


async def next_of(layer: RedisChannelLayer, channel: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        return await layer.receive(channel)


async def test_after_a_restart_all_hear_again_and_are_told_once(
    make: Make, redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "django.channels.layers.redis")
    here, there = make(), make()
    channel, other, fresh = [await here.new_channel() for _ in range(3)]
    for number in range(600):
        await here.group_add(f"room.{number}", channel)
    woken = asyncio.Event()
    take = here.listen(other, woken.set)
    await here.group_add("room.1", other)
    waiting = asyncio.create_task(here.receive(channel))
    working = asyncio.create_task(here.receive("jobs"))
    await there.send("jobs", {"type": "a"})
    await working
    working = asyncio.create_task(here.receive("jobs"))
    # The announcement of the message that was taken is heard before this one. The look that it
    # causes ends before the ping, and is not in the middle when Redis stops.
    await there.send(fresh, {"type": "mark"})
    assert await next_of(here, fresh) == {"type": "mark"}
    await here.ping()

    redis.stop()
    await until_raised(lambda: here.send(channel, {"type": "lost"}), RedisConnectionError)
    await until_raised(here.new_channel, RedisConnectionError)
    with pytest.raises(RedisConnectionError):
        await here.group_add("hall", channel)
    with pytest.raises(RedisConnectionError):
        await here.group_send("room.1", {"type": "lost"})
    await here.group_discard("room.2", channel)
    redis.start()

    with pytest.raises(MessagesMissed, match="may be lost"):
        await waiting
    await woken.wait()
    with pytest.raises(MessagesMissed):
        take()
    await until_done(lambda: there.group_send("room.599", {"type": "g"}))
    assert await next_of(here, channel) == {"type": "g"}
    await until_done(lambda: there.group_send("room.1", {"type": "g"}))
    assert await next_of(here, channel) == {"type": "g"}
    assert take() == {"type": "g"}
    await there.group_send("room.2", {"type": "g"})
    await here.send(channel, {"type": "mark"})
    assert await next_of(here, channel) == {"type": "mark"}
    await there.send("jobs", {"type": "b"})
    assert await working == {"type": "b"}
    # Nobody read it, and it was in no group, so nobody has to be told.
    await here.send(fresh, {"type": "a"})
    assert await next_of(here, fresh) == {"type": "a"}
    lines = [record.message for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith(f"Redis at {redis.url[8:-2]} cannot be reached, trying again: ")
    assert lines[1].startswith(f"Redis at {redis.url[8:-2]} is reached again, after ")


async def test_a_server_that_hangs_is_noticed(
    make: Make, redis: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_module, "_QUIET", 0.1)
    layer = make()
    channel = await layer.new_channel()
    waiting = asyncio.create_task(layer.receive(channel))
    await layer.group_add("room", channel)
    redis.freeze()
    with pytest.raises(RedisTimeoutError, match="did not answer in time"):
        async with asyncio.timeout(2):
            await layer.group_send("room", {"type": "g"})
    # The connection that listens sends nothing itself, and is tried.
    await until_raised(layer.new_channel, RedisConnectionError, RedisTimeoutError)
    with pytest.raises((RedisConnectionError, RedisTimeoutError)):
        await asyncio.to_thread(layer.ping_sync)
    redis.thaw()
    with pytest.raises(MessagesMissed):
        await waiting
    await until_done(lambda: layer.group_send("room", {"type": "g"}))
    assert await next_of(layer, channel) == {"type": "g"}


async def test_a_quiet_connection_is_kept(
    make: Make, redis: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_module, "_QUIET", 0.05)
    layer = make()
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    redis.reset_counts()
    await until(lambda: redis.counts().get("ping", 0) >= 3)
    await layer.group_send("room", {"type": "g"})
    assert await next_of(layer, channel) == {"type": "g"}


async def test_an_unreachable_server_fails_each_call_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    layer = RedisChannelLayer(hosts=[("127.0.0.1", free_port())])
    channel = await layer.new_channel()
    with pytest.raises(RedisConnectionError):
        await layer.send(channel, {"type": "a"})
    with pytest.raises(RedisConnectionError):
        await layer.send(channel, {"type": "a"})
    with pytest.raises(RedisConnectionError):
        await layer.ping()
    with pytest.raises(RedisConnectionError):
        await layer.receive("jobs")
    with pytest.raises(RedisConnectionError):
        await layer.group_add("room", channel)
    await layer.close()
    assert len(caplog.records) == 1


async def test_killed_connections_are_made_again(make: Make, redis: RedisProcess) -> None:
    layer = make()
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    for _ in range(3):
        waiting = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(0)
        redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
        with pytest.raises(MessagesMissed):
            await waiting
        redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await until_done(lambda: layer.group_send("room", {"type": "g"}))
        assert await next_of(layer, channel) == {"type": "g"}


async def test_scripts_that_the_server_forgot_are_sent_again(
    make: Make, redis: RedisProcess
) -> None:
    layer = make()
    for _ in range(2):
        await layer.send("jobs", {"type": "a"})
        assert await next_of(layer, "jobs") == {"type": "a"}
        await asyncio.to_thread(layer.send_sync, "jobs", {"type": "a"})
        assert await next_of(layer, "jobs") == {"type": "a"}
        redis.ask("SCRIPT", "FLUSH")


async def test_an_emptied_server_goes_on(make: Make, redis: RedisProcess) -> None:
    layer = make()
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    redis.ask("FLUSHALL")
    await layer.group_send("room", {"type": "g"})
    assert await next_of(layer, channel) == {"type": "g"}


async def test_a_changed_password_is_told_and_can_be_put_right(
    make: Make, redis: RedisProcess
) -> None:
    layer = make()
    await layer.group_add("room", channel := await layer.new_channel())
    waiting = asyncio.create_task(layer.receive(channel))
    await layer.ping()
    redis.ask("CONFIG", "SET", "requirepass", "secret")
    operator = copy(redis)
    operator.url = redis.url.replace("redis://", "redis://:secret@")
    operator.ask("CLIENT", "KILL", "TYPE", "pubsub")
    operator.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await until_raised(lambda: layer.send(channel, {"type": "a"}), AuthenticationError)
    operator.ask("CONFIG", "SET", "requirepass", "")
    with pytest.raises(MessagesMissed):
        await waiting
    await until_done(lambda: layer.send(channel, {"type": "a"}))
    assert await next_of(layer, channel) == {"type": "a"}


async def test_a_master_that_became_a_replica_is_left(make: Make, redis: RedisProcess) -> None:
    layer = make()
    await layer.send("jobs", {"type": "a"})
    redis.ask("REPLICAOF", "127.0.0.1", free_port())
    with pytest.raises(RedisConnectionError, match="is read-only"):
        await layer.send("jobs", {"type": "b"})
    redis.ask("REPLICAOF", "NO", "ONE")
    await until_done(lambda: layer.send("jobs", {"type": "c"}))


async def test_what_redis_forbids_is_told(make: Make, redis: RedisProcess) -> None:
    layer = make()
    redis.ask("ACL", "SETUSER", "default", "resetchannels", "&asgi:process:*", "&asgi:control")
    channel = await layer.new_channel()
    await layer.ping()
    with pytest.raises(ResponseError, match="no permission"):
        await layer.group_add("hall", channel)
    assert "hall" not in layer._link()._groups
    # With a subscription that is not allowed any more, the layer cannot come back.
    redis.ask("ACL", "SETUSER", "default", "resetchannels", "&asgi:process:*")
    await until_raised(layer.new_channel, RedisConnectionError)
    redis.ask("ACL", "SETUSER", "default", "allchannels")
    await until_done(layer.new_channel)


async def test_a_process_that_does_not_answer_is_not_waited_for(
    make: Make, redis: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = make(), make()
    channel = await there.new_channel()
    await there.ping()
    link = there._link()

    async def nothing(_: object) -> None:
        """Do not answer."""

    monkeypatch.setattr(link, "_do", nothing)
    with pytest.raises(RedisTimeoutError, match=r"did not answer within 0\.5 s"):
        await here.group_add("room", channel)
    with pytest.raises(RedisTimeoutError, match=r"did not answer within 0\.5 s"):
        await asyncio.to_thread(here.group_add_sync, "room", channel)

    def too_late(*_: object, **__: object) -> None:
        raise RedisTimeoutError  # of the socket, at the same moment

    monkeypatch.setattr(here._blocking._clients[0], "blpop", too_late)
    with pytest.raises(RedisTimeoutError, match=r"did not answer within 0\.5 s"):
        await asyncio.to_thread(here.group_add_sync, "room", channel)


async def test_the_error_of_another_process_is_passed_on(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = make(), make()
    channel = await there.new_channel()
    await there.ping()

    async def fail(*_: object) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(there._link(), "group_add", fail)
    with pytest.raises(RedisTimeoutError, match="failed: ConnectionError: away"):
        await here.group_add("room", channel)
    with pytest.raises(RedisTimeoutError, match="failed: ConnectionError: away"):
        await asyncio.to_thread(here.group_add_sync, "room", channel)


async def test_a_busy_event_loop_is_not_waited_for(make: Make) -> None:
    layer = make()
    channel = await layer.new_channel()
    await layer.ping()

    def add() -> None:
        with pytest.raises(RedisTimeoutError, match="event loop of the channel did not answer"):
            layer.group_add_sync("room", channel)

    adding = asyncio.to_thread(add)
    task = asyncio.create_task(adding)
    await asyncio.sleep(0)
    import time

    time.sleep(TIMEOUT * 2)  # noqa: ASYNC251 - the event loop is busy
    await task
