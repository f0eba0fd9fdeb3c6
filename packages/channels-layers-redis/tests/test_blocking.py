"""The layer from synchronous code, where no event loop runs."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.core.exceptions import SynchronousOnlyOperation

from channels_core.exceptions import ChannelFull
from channels_layers_redis.layer import RedisChannelLayer
from redis_process import RedisProcess

Make = Callable[..., RedisChannelLayer]


@contextmanager
def without_event_loops(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse() -> None:
        raise AssertionError("an event loop was made")

    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "new_event_loop", refuse)
        yield


async def test_synchronous_code_sends_without_an_event_loop(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = make(), make()
    channel = await there.new_channel()
    await there.group_add("room", channel)

    def send() -> None:
        here.send_sync(channel, {"type": "a"})
        here.send_sync("jobs", {"type": "b"})
        here.group_send_sync("room", {"type": "c"})
        here.group_send_sync("room", {"type": "d"}, exclude=[channel])
        here.ping_sync()

    with without_event_loops(monkeypatch):
        await asyncio.to_thread(send)
    assert [await there.receive(channel) for _ in range(2)] == [{"type": "a"}, {"type": "c"}]
    assert await there.receive("jobs") == {"type": "b"}


async def test_it_adds_and_removes_channels_of_any_process(make: Make) -> None:
    here, there = make(), make()
    mine, other = await here.new_channel(), await there.new_channel()
    for layer in (here, there):
        await layer.ping()

    def change(change: str) -> None:
        for channel in (mine, other, "jobs", "specific.nobody!x"):
            getattr(here, change)("room", channel)

    await asyncio.to_thread(change, "group_add_sync")
    await there.group_send("room", {"type": "g"})
    for layer, channel in ((here, mine), (there, other), (here, "jobs")):
        assert await layer.receive(channel) == {"type": "g"}
    await asyncio.to_thread(here.group_send_sync, "room", {"type": "h"})
    for layer, channel in ((here, mine), (there, other), (here, "jobs")):
        assert await layer.receive(channel) == {"type": "h"}
    await asyncio.to_thread(change, "group_discard_sync")
    await here.group_send("room", {"type": "g"})
    for layer, channel in ((here, mine), (there, other), (here, "jobs")):
        await layer.send(channel, {"type": "mark"})
        assert await layer.receive(channel) == {"type": "mark"}


async def test_a_channel_of_no_process_gets_what_another_process_sends_at_once(make: Make) -> None:
    here, there = make(), make()
    for layer in (here, there):
        await layer.ping()
    await there.group_add("room", await there.new_channel())
    for number in range(20):
        group, channel = f"room-{number}", f"jobs-{number}"
        await asyncio.to_thread(here.group_add_sync, group, channel)
        await there.group_send(group, {"type": "g"})
        async with asyncio.timeout(5):
            assert await here.receive(channel) == {"type": "g"}


async def test_a_full_channel_refuses(make: Make) -> None:
    layer = make(capacity=1)
    channel = await layer.new_channel()

    def fill(name: str) -> None:
        layer.send_sync(name, {"type": "a"})
        with pytest.raises(ChannelFull, match="at its capacity of 1"):
            layer.send_sync(name, {"type": "b"})

    for name in (channel, "jobs"):
        await asyncio.to_thread(fill, name)


async def test_an_event_loop_is_not_blocked(make: Make) -> None:
    layer = make()
    calls: tuple[Callable[[], None], ...] = (
        lambda: layer.send_sync("jobs", {"type": "a"}),
        lambda: layer.group_send_sync("room", {"type": "a"}),
        lambda: layer.group_add_sync("room", "jobs"),
        lambda: layer.group_discard_sync("room", "jobs"),
        layer.ping_sync,
    )
    for call in calls:
        with pytest.raises(SynchronousOnlyOperation, match="would block the event loop"):
            call()


def test_threads_share_a_layer(server: RedisProcess) -> None:
    layer = RedisChannelLayer(hosts=[server.url], capacity=1000)

    def send() -> None:
        for _ in range(20):
            layer.send_sync("jobs", {"type": "a"})

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.ask("LLEN", "asgi:channel:{jobs}") == 160
    asyncio.run(layer.flush())
    asyncio.run(layer.close())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_forked_process_has_connections_of_its_own(make: Make) -> None:
    layer = make()
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await asyncio.to_thread(layer.ping_sync)
    with layer._shared.mailboxes.lock:
        child = os.fork()
        if not child:  # pragma: no cover - another process
            threading.Timer(10, os._exit, [1]).start()

            def use() -> None:
                layer.group_send_sync("room", {"type": "from the child"})
                asyncio.run(alone())

            async def alone() -> None:
                own = await layer.new_channel()
                await layer.group_add("room", own)
                await layer.group_send("room", {"type": "again"})
                assert await layer.receive(own) == {"type": "again"}
                await layer.close()

            thread = threading.Thread(target=use)
            thread.start()
            thread.join()
            os._exit(0)
    assert os.waitstatus_to_exitcode(await asyncio.to_thread(lambda: os.waitpid(child, 0)[1])) == 0
    async with asyncio.timeout(10):
        assert await layer.receive(channel) == {"type": "from the child"}
        assert await layer.receive(channel) == {"type": "again"}
    await layer.group_send("room", {"type": "g"})
    assert await layer.receive(channel) == {"type": "g"}


async def test_a_failing_send_keeps_no_place(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = make(capacity=1)
    channel = await layer.new_channel()
    await layer.ping()
    blocking = layer._blocking

    def fail(*_: object) -> None:
        raise ConnectionError("away")

    with monkeypatch.context() as patched:
        patched.setattr(blocking._clients[0], "execute_command", fail)
        with pytest.raises(ConnectionError):
            await asyncio.to_thread(layer.send_sync, channel, {"type": "a"})
    await asyncio.to_thread(layer.send_sync, channel, {"type": "b"})
    assert await layer.receive(channel) == {"type": "b"}


async def test_a_message_that_nobody_hears_yet_waits_in_its_channel(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = make()
    channel = await layer.new_channel()
    await layer.ping()
    # As long as the link of this process has not subscribed.
    monkeypatch.setattr(layer._blocking._clients[0], "execute_command", lambda *_: 0)
    await asyncio.to_thread(layer.send_sync, channel, {"type": "a"})
    assert await layer.receive(channel) == {"type": "a"}
