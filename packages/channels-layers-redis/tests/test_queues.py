import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from channels_core.exceptions import ChannelFull
from channels_core.layer_extensions import Delivery
from channels_layers_redis._scripts import queues as scripts
from channels_layers_redis._scripts.calls import script
from channels_layers_redis.layer import RedisChannelLayer
from redis_process import RedisProcess, running_redis

Make = Callable[..., RedisChannelLayer]

QUEUES = {"jobs": {"redeliver_after": 0.2, "tries": 2}, "slow": {}}


async def next_of(layer: RedisChannelLayer, channel: str = "jobs") -> Delivery:
    async with asyncio.timeout(10):
        return await layer.receive_delivery(channel)


async def dead(layer: RedisChannelLayer, queue: str = "jobs") -> dict[str, Any]:
    async with asyncio.timeout(10):
        return await layer.receive(f"{queue}.dead")


async def test_a_job_is_given_and_acknowledged(make: Make, server: RedisProcess) -> None:
    here, there = make(queues=QUEUES), make(queues=QUEUES)
    waiting = asyncio.create_task(next_of(there, "slow"))
    await asyncio.sleep(0)
    await here.send("slow", {"type": "a", "deep": [1]})
    delivery = await waiting
    assert (delivery.message, delivery.attempt) == ({"type": "a", "deep": [1]}, 1)
    assert await there.acknowledge("slow", delivery.token)
    assert not await here.acknowledge("slow", delivery.token)
    assert server.ask("KEYS", "*") == []


async def test_a_job_of_a_worker_that_was_killed_goes_to_one_that_waits(make: Make) -> None:
    here, killed, there = (make(queues=QUEUES) for _ in range(3))
    # It waits since before the job was there, and nothing is announced when the time is over.
    waiting = asyncio.create_task(next_of(there))
    await there.ping()
    await here.send("jobs", {"type": "a"})
    first = await waiting
    waiting = asyncio.create_task(next_of(killed))
    again = await waiting
    assert (first.attempt, again.attempt) == (1, 2)
    assert not await there.acknowledge("jobs", first.token)
    assert await killed.acknowledge("jobs", again.token)


async def test_after_its_tries_it_is_a_dead_letter(make: Make) -> None:
    layer = make(queues=QUEUES)
    await layer.send("jobs", {"type": "a"})
    for attempt in (1, 2):
        assert (await next_of(layer)).attempt == attempt
    # Nobody waits for jobs now.
    assert await dead(layer) == {
        "type": "a",
        "dead": {
            "channel": "jobs",
            "error": "was not acknowledged within 0.2 seconds",
            "attempts": 2,
        },
    }


async def test_rejected_jobs_are_given_again_in_their_time_and_at_last_are_dead(
    make: Make,
) -> None:
    layer = make(queues=QUEUES)
    await layer.send("jobs", {"type": "a"})
    assert await layer.reject("jobs", (await next_of(layer)).token, "first")
    delivery = await next_of(layer)
    assert delivery.attempt == 2
    assert await layer.reject("jobs", delivery.token, "ValueError: second")
    letter = await dead(layer)
    assert letter["dead"] == {"channel": "jobs", "error": "ValueError: second", "attempts": 2}
    assert not await layer.reject("jobs", delivery.token, "late")


async def test_a_wildcard_does_not_make_dead_letters_a_queue(
    make: Make, server: RedisProcess
) -> None:
    layer = make(queues={"*": {"tries": 1}})
    await layer.send("jobs", {"type": "a"})
    await layer.reject("jobs", (await next_of(layer)).token, "first")
    with pytest.raises(ValueError, match=r"'jobs\.dead' of RedisChannelLayer is no queue"):
        await layer.receive_delivery("jobs.dead")
    assert server.ask("PTTL", "asgi:channel:{jobs}.dead") < 0
    assert (await dead(layer))["dead"] == {"channel": "jobs", "error": "first", "attempts": 1}


async def test_a_job_that_is_given_back_was_not_tried(make: Make) -> None:
    here, there = make(queues=QUEUES), make(queues=QUEUES)
    await here.send("slow", {"type": "a"})
    delivery = await next_of(here, "slow")
    waiting = asyncio.create_task(next_of(there, "slow"))
    await there.ping()
    assert await here.give_back("slow", delivery.token)
    again = await waiting
    assert (again.message, again.attempt) == ({"type": "a"}, 1)
    assert not await here.give_back("slow", delivery.token)


async def test_a_cancelled_call_loses_nothing(make: Make) -> None:
    layer = make(queues=QUEUES)
    for number in range(50):
        waiting = asyncio.create_task(layer.receive_delivery("slow"))
        await layer.send("slow", {"type": "a", "number": number})
        for _ in range(number):
            await asyncio.sleep(0)
        waiting.cancel()
        try:
            delivery = await waiting
        except asyncio.CancelledError:
            delivery = await next_of(layer, "slow")
        assert (delivery.message["number"], delivery.attempt) == (number, 1)
        assert await layer.acknowledge("slow", delivery.token)


async def test_receive_takes_a_job_for_good(make: Make, server: RedisProcess) -> None:
    layer = make(queues=QUEUES)
    await layer.send("slow", {"type": "a"})
    assert await layer.receive("slow") == {"type": "a"}
    assert server.ask("KEYS", "*") == []


async def test_receive_does_not_return_a_job_that_others_get_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = make(queues=QUEUES)
    await layer.send("slow", {"type": "late"})
    await layer.send("slow", {"type": "a"})
    link = layer._link()
    acknowledge, times = link.acknowledge, iter([False])

    async def late(channel: str, token: str) -> bool:
        return await acknowledge(channel, token) and next(times, True)

    monkeypatch.setattr(link, "acknowledge", late)
    assert await layer.receive("slow") == {"type": "a"}


async def test_with_several_servers_dead_letters_are_where_their_queue_is(
    server: RedisProcess,
) -> None:
    with running_redis() as other:
        queues = {"jobs*": {"tries": 1}}
        layer = RedisChannelLayer(hosts=[server.url, other.url], queues=queues)
        try:
            for number in range(8):
                name = f"jobs{number}"
                await layer.send(name, {"type": "a"})
                await layer.reject(name, (await next_of(layer, name)).token, "error")
                assert (await dead(layer, name))["dead"]["channel"] == name
            assert server.ask("DBSIZE") == other.ask("DBSIZE") == 0
        finally:
            await layer.close()


async def test_jobs_do_not_expire_and_are_as_many_as_the_capacity(
    make: Make, server: RedisProcess
) -> None:
    layer = make(queues=QUEUES, capacity=2)
    for name in ("slow", "slow.dead", "plain"):
        await layer.send(name, {"type": "a"})
    await asyncio.to_thread(layer.send_sync, "slow", {"type": "a"})
    keys = ("asgi:channel:{slow}", "asgi:channel:{slow}.dead", "asgi:channel:{plain}")
    assert [server.ask("PTTL", key) > 0 for key in keys] == [False, False, True]
    with pytest.raises(ChannelFull):
        await layer.send("slow", {"type": "a"})


async def test_a_queue_may_be_a_member_of_a_group(make: Make) -> None:
    layer = make(queues=QUEUES)
    await layer.group_add("all", "slow")
    await layer.group_send("all", {"type": "a"})
    assert (await next_of(layer, "slow")).message == {"type": "a"}


async def test_several_workers_of_one_process_share_a_queue(make: Make) -> None:
    layer = make(queues=QUEUES)
    workers = [asyncio.create_task(next_of(layer, "slow")) for _ in range(10)]
    for number in range(10):
        await layer.send("slow", {"type": "a", "number": number})
    given = await asyncio.gather(*workers)
    assert sorted(one.message["number"] for one in given) == list(range(10))
    assert len({one.token for one in given}) == 10


async def test_only_queues_have_deliveries(make: Make) -> None:
    layer, without = make(queues=QUEUES), make()
    limits = layer.queue_limits("slow")
    assert limits is not None
    assert (limits.redeliver_after, limits.tries) == (60, 3)
    assert layer.queue_limits("plain") is None
    assert without.queue_limits("slow") is None
    with pytest.raises(ValueError, match=r"Channel 'plain' .* is no queue: no pattern .*jobs"):
        await layer.receive_delivery("plain")
    with pytest.raises(ValueError, match="no option 'queues'"):
        await without.acknowledge("slow", "token")
    with pytest.raises(ValueError, match="tries"):
        make(queues={"jobs": {"tries": 0}})


async def test_dropped_dead_letters_are_warned_of(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make(queues=QUEUES)
    reject = script(scripts._REJECT.text.replace("= 10000", "= 1"))
    monkeypatch.setattr(scripts, "_REJECT", reject)
    with caplog.at_level(logging.WARNING, "django.channels.layers.redis"):
        for _ in range(3):
            await layer.send("jobs", {"type": "a"})
            for _ in range(2):
                await layer.reject("jobs", (await next_of(layer)).token, "")
    assert "'jobs.dead' holds as many dead letters as it can: the oldest 1 dropped" in caplog.text
    assert len(caplog.records) == 1
    assert (await dead(layer))["dead"]["error"].startswith("was not acknowledged")


@pytest.mark.cryptography
async def test_jobs_that_cannot_be_read_are_not_lost(make: Make, server: RedisProcess) -> None:
    layer = make(queues=QUEUES, symmetric_encryption_keys=["a"])
    other = make(queues=QUEUES, symmetric_encryption_keys=["b"])
    await layer.send("jobs", {"type": "a"})
    waiting = asyncio.create_task(other.receive_delivery("jobs"))
    while not server.ask("LLEN", "asgi:channel:{jobs}.dead"):
        await other.ping()
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    assert other.unreadable == 2
    # The reason was encrypted by the other key.
    assert server.ask("LLEN", "asgi:channel:{jobs}.dead") == 1


async def test_a_queue_that_is_no_longer_read_is_forgotten(make: Make) -> None:
    layer = make(queues=QUEUES)
    waiting = asyncio.create_task(layer.receive_delivery("jobs"))
    await layer.ping()
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    [link] = layer._links.values()
    while link._readers:
        link._sweep()
        await layer.ping()
    await layer.send("jobs", {"type": "a"})
    assert (await next_of(layer)).message == {"type": "a"}
