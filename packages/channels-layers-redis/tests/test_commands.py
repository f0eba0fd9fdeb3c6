"""How many commands each operation costs, as a server and the nodes of a cluster count them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_asyncio

from channels_layers_redis._layer.shard import Shard
from channels_layers_redis.layer import RedisChannelLayer
from redis_cluster import running_cluster
from redis_process import RedisProcess, running_redis, until

Make = Callable[..., RedisChannelLayer]

#: What asking for the counts itself costs.
OF_THE_QUESTION = {"info", "config", "client", "hello", "auth", "select"}

HISTORY = {"history": {"kept": {"size": 9, "age": 60}}}
QUEUES = {"queues": {"thumbnails": {"redeliver_after": 60, "tries": 3}}}


class Site:
    """The servers of a site, which count what they are asked."""

    def __init__(self, servers: list[RedisProcess], *, in_cluster: bool) -> None:
        self.servers = servers
        self.in_cluster = in_cluster
        self.options: dict[str, Any] = {"hosts": [servers[0].url], "cluster": in_cluster}

    def reset_counts(self) -> None:
        for server in self.servers:
            server.reset_counts()

    @property
    def counts(self) -> dict[str, int]:
        total: dict[str, int] = {}
        for server in self.servers:
            for name, calls in server.counts().items():
                if name not in OF_THE_QUESTION:
                    total[name] = total.get(name, 0) + calls
        return total

    @property
    def scripts(self) -> int:
        return self.counts.get("evalsha", 0) + self.counts.get("eval", 0)

    @property
    def groups(self) -> list[bytes]:
        """The groups at which somebody listens."""
        command = "SHARDCHANNELS" if self.in_cluster else "CHANNELS"
        return [one for at in self.servers for one in at.ask("PUBSUB", command, "*group*")]

    def name(self, command: str) -> str:
        """Return how the command is called here."""
        return f"s{command}" if self.in_cluster else command


@contextmanager
def running_site(*, in_cluster: bool) -> Iterator[Site]:
    if in_cluster:
        with running_cluster() as cluster:
            yield Site(cluster.nodes, in_cluster=True)
    else:
        with running_redis() as server:
            yield Site([server], in_cluster=False)


@pytest.fixture(scope="module", params=["one server", "cluster"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with running_site(in_cluster=request.param == "cluster") as site:
        yield site


@pytest_asyncio.fixture
async def make(site: Site) -> AsyncIterator[Make]:
    """Return a function that makes a layer: each one stands for a process."""
    layers = []

    def make_layer(**options: Any) -> RedisChannelLayer:
        layers.append(RedisChannelLayer(**site.options, **options))
        return layers[-1]

    yield make_layer
    for layer in layers:
        await layer.close()
    for server in site.servers:
        server.ask("FLUSHALL")


async def member(layer: RedisChannelLayer, *groups: str) -> str:
    channel = await layer.new_channel()
    for group in groups:
        await layer.group_add(group, channel)
    return channel


async def test_a_message_to_a_group_is_one_publish(make: Make, site: Site) -> None:
    here, there = make(), make()
    channels = [await member(layer, "room") for layer in (here, there) for _ in range(50)]
    for layer in (here, there):
        await layer.ping()
    site.reset_counts()
    await here.group_send("room", {"type": "g"})
    async with asyncio.timeout(10):
        for number, channel in enumerate(channels):
            await (here, there)[number // 50].receive(channel)
    assert site.counts == {site.name("publish"): 1}


async def test_so_it_is_from_a_process_that_only_sends(make: Make, site: Site) -> None:
    """After some messages, it listens for what it would have to ask otherwise."""
    here, there = make(), make()
    channel = await member(there, "room")
    sent = 0
    async with asyncio.timeout(20):
        while True:
            site.reset_counts()
            await here.group_send("room", {"type": "g"})
            sent += 1
            if site.counts == {site.name("publish"): 1}:
                break
            await asyncio.sleep(0.05)
        for _ in range(sent):
            await there.receive(channel)
    assert sent > 3
    # It is told of a member that is a channel of no process.
    await there.group_add("room", "jobs")
    await here.group_send("room", {"type": "g", "text": "last"})
    async with asyncio.timeout(10):
        assert await there.receive("jobs") == {"type": "g", "text": "last"}


async def test_the_first_member_subscribes_and_the_last_one_unsubscribes(
    make: Make, site: Site
) -> None:
    layer = make()
    channels = [await layer.new_channel() for _ in range(50)]
    await layer.group_add("hall", channels[0])
    await layer.ping()
    site.reset_counts()
    for channel in channels:
        await layer.group_add("room", channel)
        await layer.group_add("room", channel)
    # In a cluster, who joins and leaves is told from another slot.
    notices = {"subscribe": 1} if site.in_cluster else {}
    assert site.counts == {site.name("subscribe"): 1, **notices}
    assert sorted(site.groups) == [b"asgi:group:{hall}", b"asgi:group:{room}"]
    site.reset_counts()
    for channel in channels:
        await layer.group_discard("room", channel)
    notices = {"unsubscribe": 1, "ping": 1} if site.in_cluster else {}
    assert site.counts == {site.name("unsubscribe"): 1, **notices}
    assert site.groups == [b"asgi:group:{hall}"]


async def test_a_member_by_name_is_two_scripts_and_one_publish(make: Make, site: Site) -> None:
    layer = make()
    await layer.group_add("room", "jobs")
    site.reset_counts()
    await layer.group_add("room", "jobs")
    await asyncio.to_thread(layer.group_add_sync, "room", "jobs")
    assert site.scripts == 4
    assert site.counts[site.name("publish")] == 2
    # All else is within the scripts.
    assert site.counts["zadd"] == site.counts["zremrangebyscore"] == 4
    key = "asgi:plain-groups"
    [kept] = [server.ask("TTL", key) for server in site.servers if server.ask("KEYS", key)]
    assert 86400 <= kept <= 86460


async def test_a_message_to_a_consumer_is_one_publish(make: Make, site: Site) -> None:
    here, there = make(), make()
    channel = await member(there, "room")
    await here.ping()
    site.reset_counts()
    waiting = asyncio.create_task(there.receive(channel))
    await here.send(channel, {"type": "a"})
    await waiting
    await there.send(channel, {"type": "a"})
    await there.receive(channel)
    assert site.counts == {site.name("publish"): 2}


async def test_those_who_wait_cost_nothing(make: Make, site: Site) -> None:
    layer = make()
    channels = [await member(layer, "room", f"room.{number}") for number in range(100)]
    await layer.ping()
    site.reset_counts()
    tasks = [asyncio.create_task(layer.receive(channel)) for channel in channels[:50]]
    for channel in channels[50:]:
        layer.listen(channel, lambda: None)
    await asyncio.sleep(0)
    assert site.counts == {}
    for task in tasks:
        task.cancel()
    for channel in channels:
        await layer.forget_channel(channel)
    notices = {"unsubscribe": 101, "ping": 101} if site.in_cluster else {}
    assert site.counts == {site.name("unsubscribe"): 101, **notices}


async def test_a_message_to_a_worker_is_one_script(make: Make, site: Site) -> None:
    here, there = make(), make()
    for _ in range(2):
        await here.send("jobs", {"type": "a"})
        await there.receive("jobs")
    site.reset_counts()
    await here.send("jobs", {"type": "a"})
    assert site.counts["evalsha"] == 1
    assert site.counts[site.name("publish")] == 1  # within the script


async def test_a_message_that_is_kept_is_one_script(make: Make, site: Site) -> None:
    layer = make(**HISTORY)
    channel = await member(layer, "kept")
    await layer.ping()
    for _ in range(2):
        await layer.group_send("kept", {"type": "g"})
        await layer.group_history("kept")
        await layer.receive(channel)
    site.reset_counts()
    await layer.group_send("kept", {"type": "g"})
    await layer.receive(channel)
    assert site.scripts == 1
    # All that it does is within the script.
    assert {"hincrby", "rpush", "pexpire", site.name("publish")} <= site.counts.keys()
    site.reset_counts()
    await layer.group_history("kept")
    assert site.scripts == 1
    assert site.name("publish") not in site.counts


async def test_who_joins_and_who_leaves_is_one_script(make: Make, site: Site) -> None:
    layer = make()
    channel, other = await member(layer, "room"), await member(layer, "room")
    await layer.group_add("room", other, member={"id": 1})
    await layer.ping()
    for change in (
        lambda: layer.group_add("room", channel, member={"id": 2}),
        lambda: layer.group_members("room"),
        lambda: layer.group_discard("room", channel),
    ):
        site.reset_counts()
        await change()
        assert site.scripts == 1


async def test_the_lease_of_a_process_is_one_script_for_all_members(make: Make, site: Site) -> None:
    lease = 2.0
    layer = make(member_lease=lease)
    for number in range(50):
        await layer.group_add("room", await layer.new_channel(), member={"id": number})
    await layer.ping()
    site.reset_counts()
    await asyncio.to_thread(site.servers[0].ask, "PING")
    began = time.monotonic()
    await until(lambda: site.scripts >= 2)
    took = time.monotonic() - began
    # The first look may have been due at once, and each further one half a lease later.
    assert site.scripts <= 1 + took / (lease / 2)
    assert site.counts.get("hset", 0) == 0


async def test_a_job_of_a_queue_is_a_script_to_add_to_give_and_to_acknowledge_it(
    make: Make, site: Site
) -> None:
    layer = make(**QUEUES)
    for _ in range(2):
        await layer.send("thumbnails", {"type": "a"})
        await layer.acknowledge("thumbnails", (await layer.receive_delivery("thumbnails")).token)
    site.reset_counts()
    await layer.send("thumbnails", {"type": "a"})
    assert site.scripts == 1
    delivery = await layer.receive_delivery("thumbnails")
    assert site.scripts == 2
    await layer.acknowledge("thumbnails", delivery.token)
    assert site.scripts == 3


async def test_a_worker_that_waits_looks_after_the_time_of_a_job(make: Make, site: Site) -> None:
    layer = make(queues={"thumbnails": {"redeliver_after": 0.5, "tries": 3}})
    waiting = asyncio.create_task(layer.receive_delivery("thumbnails"))
    await layer.ping()
    began = time.monotonic()
    site.reset_counts()
    await until(lambda: site.scripts >= 3)
    assert site.scripts <= 1 + (time.monotonic() - began) / 0.5
    waiting.cancel()


async def test_a_message_from_synchronous_code_is_one_script(make: Make, site: Site) -> None:
    layer = make()
    channel = await member(layer, "room")
    await layer.ping()

    def send() -> None:
        layer.group_send_sync("room", {"type": "g"})

    await asyncio.to_thread(send)
    site.reset_counts()
    await asyncio.to_thread(send)
    for _ in range(2):
        await layer.receive(channel)
    assert site.scripts == 1
    assert site.counts[site.name("publish")] == 1  # within the script


async def test_commands_of_one_turn_go_out_together(server: RedisProcess) -> None:
    layer = RedisChannelLayer(hosts=[server.url])
    await member(layer, "room")
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
        await layer.close()
