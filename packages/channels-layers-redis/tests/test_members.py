import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from channels_layers_redis.layer import RedisChannelLayer
from redis_process import RedisProcess, free_port, running_redis

Make = Callable[..., RedisChannelLayer]

LONG = "a name that is long"
ANN, BOB = {"id": "ann", "name": "Ann"}, {"id": 2, "name": "Bob"}
QUICK = {"member_lease": 1, "member_linger": 0.2}


async def next_of(layer: RedisChannelLayer, channel: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        return await layer.receive(channel)


def joined(member: dict[str, Any]) -> dict[str, Any]:
    return {"type": "group.joined", "group": "room", "member": member}


def left(member: dict[str, Any]) -> dict[str, Any]:
    return {"type": "group.left", "group": "room", "member": member}


async def join(layer: RedisChannelLayer, member: dict[str, Any] | None = None) -> str:
    channel = await layer.new_channel()
    await layer.group_add("room", channel, member=member)
    return channel


async def kill(layer: RedisChannelLayer) -> None:
    """End the connections of a layer as the end of its process does."""
    [link] = layer._links.values()
    for lease in link._leases.values():
        lease._held = False
    await layer.close()


async def test_members_are_told_and_listed(make: Make) -> None:
    here, there = make(**QUICK), make(**QUICK)
    watch = await join(there)
    ann = await join(here, ANN)
    assert await next_of(here, ann) == await next_of(there, watch) == joined(ANN)
    bob = await join(there, BOB)
    assert [await next_of(there, one) for one in (watch, bob)] == [joined(BOB)] * 2
    second = await join(there, ANN | {"name": "Ann M."})
    assert await here.group_members("room") == [
        {"id": "ann", "name": "Ann M.", "connections": 2},
        {"id": 2, "name": "Bob", "connections": 1},
    ]
    await there.group_discard("room", second)
    await here.group_discard("room", ann)
    assert (await there.group_members("room"))[0] == {**ANN, "connections": 0}
    assert await next_of(there, watch) == left(ANN)
    assert await there.group_members("room") == [{**BOB, "connections": 1}]
    await there.forget_channel(bob)
    assert await next_of(there, watch) == left(BOB)


@pytest.mark.parametrize("comes_first", [True, False])
async def test_who_only_listens_is_told_when_the_only_process_with_members_is_killed(
    make: Make, comes_first: bool
) -> None:
    killed, there = make(**QUICK), make(**QUICK)
    if comes_first:
        watch = await join(there)
        await join(killed, ANN)
        assert await next_of(there, watch) == joined(ANN)
    else:
        await join(killed, ANN)
        watch = await join(there)
        assert await there.group_members("room") == [{**ANN, "connections": 1}]
    await kill(killed)
    assert await next_of(there, watch) == left(ANN)
    # There is nobody left to look after.
    [lease] = next(iter(there._links.values()))._leases.values()
    async with asyncio.timeout(10):
        # It has no timer while it looks, either.
        while lease._watches or lease._timer is not None:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)
    assert await there.group_members("room") == []


async def test_a_join_and_a_leave_are_one_script_each(make: Make, server: RedisProcess) -> None:
    layer = make()
    await join(layer, ANN)
    await layer.group_discard("room", await join(layer, ANN))
    server.reset_counts()
    channel = await join(layer, ANN)
    await layer.group_discard("room", channel)
    counts = server.counts()
    assert (counts["evalsha"], counts.get("subscribe", 0)) == (2, 0)


async def test_one_command_renews_all_members_of_a_process(
    make: Make, server: RedisProcess
) -> None:
    layer = make(**QUICK)
    for number in range(20):
        await join(layer, {"id": number})
    [link] = layer._links.values()
    [lease] = link._leases.values()
    await lease._look()
    server.reset_counts()
    await lease._look()
    assert server.counts()["evalsha"] == 1
    assert len(await layer.group_members("room")) == 20


async def test_a_renewal_without_the_member_keeps_it(make: Make) -> None:
    layer = make(**QUICK)
    channel = await join(layer, ANN)
    await layer.group_add("room", channel)
    await layer.group_add("room", channel, member=ANN | {"name": "Anna"})
    assert await layer.group_members("room") == [{"id": "ann", "name": "Anna", "connections": 1}]
    assert await next_of(layer, channel) == joined(ANN)


async def test_one_who_comes_back_in_time_is_not_told(make: Make) -> None:
    here, there = make(**QUICK), make(**QUICK)
    watch = await join(there)
    await here.forget_channel(await join(here, ANN))
    back = await join(there, ANN)
    assert await next_of(there, watch) == joined(ANN)
    await asyncio.sleep(0.4)  # longer than the linger, by the clock of the server
    await here.group_send("room", {"type": "mark"})
    assert await next_of(there, watch) == await next_of(there, back) == {"type": "mark"}


async def test_members_of_a_process_that_was_killed_are_gone_after_the_lease(make: Make) -> None:
    killed, here, there = (make(**QUICK) for _ in range(3))
    watch = await join(there, BOB)
    await join(here, BOB)
    await join(killed, ANN)
    assert [await next_of(there, watch) for _ in range(2)] == [joined(BOB), joined(ANN)]
    await kill(killed)
    assert len(await there.group_members("room")) == 2
    begun = asyncio.get_running_loop().time()
    assert await next_of(there, watch) == left(ANN)
    assert asyncio.get_running_loop().time() - begun < 3
    assert await there.group_members("room") == [{**BOB, "connections": 2}]


async def test_a_layer_that_is_closed_leaves_nothing(make: Make, server: RedisProcess) -> None:
    here, there = make(**QUICK), make(**QUICK)
    await join(here, ANN)
    watch = await join(there, BOB)
    await here.close()
    assert [await next_of(there, watch) for _ in range(2)] == [joined(BOB), left(ANN)]
    await there.close()
    assert server.ask("KEYS", "*") == []


async def test_an_idle_process_has_no_lease(make: Make, server: RedisProcess) -> None:
    layer = make(**QUICK)
    channel = await join(layer, ANN)
    await layer.group_discard("room", channel)
    while server.ask("KEYS", "*"):
        await layer.ping()
    [link] = layer._links.values()
    assert [lease._timer for lease in link._leases.values()] == [None]


async def test_a_membership_that_expires_ends_the_member(make: Make) -> None:
    layer = make(group_expiry=1, **QUICK)
    watcher = make(**QUICK)
    watch = await join(watcher)
    await join(layer, ANN)
    assert [await next_of(watcher, watch) for _ in range(2)] == [joined(ANN), left(ANN)]


async def test_with_several_servers_each_group_has_its_members_on_its_own(
    server: RedisProcess,
) -> None:
    with running_redis() as other:
        layer = RedisChannelLayer(hosts=[server.url, other.url], member_linger=0)
        try:
            channel = await layer.new_channel()
            await layer.group_add("first", channel)
            await layer.group_discard("first", channel)
            for number in range(8):
                await layer.group_add(f"room{number}", channel, member={"id": number})
                found = await layer.group_members(f"room{number}")
                assert found == [{"id": number, "connections": 1}]
                if not number:
                    for group in range(1, 8):
                        await layer.group_add(f"room{group}", channel)
                        await layer.group_discard(f"room{group}", channel)
            await layer.forget_channel(channel)
            assert [await layer.group_members(f"room{number}") for number in range(8)] == [[]] * 8
        finally:
            await layer.close()


async def test_an_emptied_server_gets_the_members_again(make: Make, server: RedisProcess) -> None:
    layer = make(**QUICK)
    for number in range(5):
        await join(layer, {"id": number})
    server.ask("FLUSHALL")
    while len(await layer.group_members("room")) != 5:
        await layer.ping()
    server.ask("FLUSHALL")
    # A join notices it, too.
    await join(layer, ANN)
    while len(await layer.group_members("room")) != 6:
        await layer.ping()


async def test_flush_forgets_the_members(make: Make) -> None:
    here, there = make(**QUICK), make(**QUICK)
    await join(here, ANN)
    await there.flush()
    [link] = here._links.values()
    [lease] = link._leases.values()
    await lease._look()
    assert await here.group_members("room") == []


async def test_members_of_channels_of_other_loops_and_processes(make: Make) -> None:
    here, there = make(**QUICK), make(**QUICK)
    channel = await there.new_channel()
    await there.ping()
    await here.group_add("room", channel, member=ANN)
    assert await here.group_members("room") == [{**ANN, "connections": 1}]
    await asyncio.to_thread(there.group_add_sync, "room", channel, BOB)
    assert await next_of(there, channel) == joined(ANN)
    assert await next_of(there, channel) == joined(BOB)
    found = await asyncio.to_thread(here.group_members_sync, "room")
    assert found == [{**ANN, "connections": 0}, {**BOB, "connections": 1}]
    await asyncio.to_thread(here.group_add_sync, "room", channel, ANN)
    await here.group_discard("room", channel)
    assert [one["connections"] for one in await there.group_members("room")] == [0, 0]


async def test_a_channel_of_no_process_may_be_a_member(make: Make) -> None:
    layer = make(**QUICK)
    await layer.group_add("room", "jobs", member=ANN)
    assert await layer.group_members("room") == [{**ANN, "connections": 1}]
    [link] = layer._links.values()
    [lease] = link._leases.values()
    await lease._look()
    assert len(await layer.group_members("room")) == 1
    await layer.group_discard("room", "jobs")
    assert await layer.group_members("room") == [{**ANN, "connections": 0}]

    def add() -> None:
        with pytest.raises(ValueError, match="'jobs' belongs to no process"):
            layer.group_add_sync("room", "jobs", ANN)

    await asyncio.to_thread(add)


async def test_wrong_members_are_refused(make: Make) -> None:
    layer = make()
    channel = await layer.new_channel()
    with pytest.raises(ValueError, match="must have an 'id'"):
        await layer.group_add("room", channel, member={})
    with pytest.raises(TypeError, match="must be a dict"):
        await layer.group_add("room", channel, member="ann")


@pytest.mark.cryptography
async def test_members_are_encrypted(make: Make, server: RedisProcess) -> None:
    keyed = {"symmetric_encryption_keys": ["a"], **QUICK}
    layer, other = make(**keyed), make(**{**keyed, "symmetric_encryption_keys": ["b", "a"]})
    ann = {"id": "ann", "name": LONG}
    channel = await join(layer, ann)
    assert await next_of(layer, channel) == joined(ann)
    # Too long to occur in what is encrypted by chance.
    assert LONG not in repr(server.ask("HGETALL", "asgi:{members}:people"))
    await join(other, ann)
    assert await other.group_members("room") == [{**ann, "connections": 2}]
    # The newest data have a key that this layer does not know.
    assert await layer.group_members("room") == []
    assert layer.unreadable == 1


async def test_members_survive_an_outage_and_those_who_left_in_it_leave() -> None:
    port = free_port()
    with running_redis(port=port) as server:
        layer = RedisChannelLayer(hosts=[server.url], **QUICK)  # type: ignore[arg-type] # floats are short
        try:
            await join(layer, ANN)
            gone = await join(layer, BOB)
            server.stop()
            await layer.forget_channel(gone)
            with pytest.raises((RedisConnectionError, OSError)):
                await layer.group_members("room")
            with suppress(RedisConnectionError, OSError):
                channel = await layer.new_channel()
                await layer.group_add("room", channel, member={"id": "failed"})
            server.start()
            found: list[dict[str, Any]] = []
            while [one["id"] for one in found] != ["ann"]:
                await asyncio.to_thread(server.ask, "PING")
                with suppress(RedisConnectionError, OSError):
                    found = await layer.group_members("room")
        finally:
            await layer.close()
