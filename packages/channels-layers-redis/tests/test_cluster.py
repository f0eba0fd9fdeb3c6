"""A layer on a cluster: where names are, and what happens when slots move or nodes are lost."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from channels_core.exceptions import MessagesMissed
from channels_layers_redis._layer import cluster as cluster_module
from channels_layers_redis._layer import cluster_host
from channels_layers_redis._layer.cluster import Cluster
from channels_layers_redis._layer.cluster_host import ClusterHost
from channels_layers_redis.layer import RedisChannelLayer
from redis_cluster import RedisCluster, port_of, running_cluster
from redis_process import RedisProcess, free_port, until

Make = Callable[..., RedisChannelLayer]

HISTORY = {"kept.*": {"size": 50, "age": 60}}


@pytest.fixture(scope="module")
def nodes() -> Iterator[RedisCluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest_asyncio.fixture
async def make(nodes: RedisCluster) -> AsyncIterator[Make]:
    """Return a function that makes a layer on a node: each one stands for a process."""
    layers = []

    def make_layer(cluster: RedisCluster = nodes, **options: Any) -> RedisChannelLayer:
        hosts = [{"address": url, "socket_timeout": 2} for url in cluster.urls[:2]]
        layers.append(RedisChannelLayer(hosts=hosts, cluster=True, **options))
        return layers[-1]

    yield make_layer
    for layer in layers:
        await layer.close()
    for node in nodes.nodes:
        node.ask("FLUSHALL")


async def next_of(layer: RedisChannelLayer, channel: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        return await layer.receive(channel)


async def until_done(call: Callable[[], Any]) -> Any:
    """Repeat a call until it succeeds."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await call()
            except (RedisConnectionError, RedisTimeoutError):
                await asyncio.sleep(0.02)


async def until_missed(
    layer: RedisChannelLayer, channel: str, waiting: asyncio.Task[dict[str, Any]]
) -> None:
    """Receive until the loss is told; a message that arrives live may come first."""
    async with asyncio.timeout(20):
        while await waiting:
            waiting = asyncio.create_task(layer.receive(channel))


def place_of(layer: RedisChannelLayer) -> Cluster:
    (place,) = layer._link()._shards
    assert isinstance(place, Cluster)
    return place


def names_on(cluster: RedisCluster, node: RedisProcess, form: str, count: int = 1) -> list[str]:
    """Return names whose slot a node has."""
    found = (f"name{number}" for number in range(10_000))
    chosen = (one for one in found if cluster.node_of(form.format(one)) is node)
    return [next(chosen) for _ in range(count)]


def group_on(cluster: RedisCluster, node: RedisProcess) -> str:
    return names_on(cluster, node, "asgi:group:{{{}}}")[0]


class TestWhatGoesWhere:
    async def test_groups_on_all_nodes_are_heard(self, make: Make, nodes: RedisCluster) -> None:
        here, there = make(), make()
        channel = await there.new_channel()
        groups = [group_on(nodes, node) for node in nodes.masters]
        for group in groups:
            await there.group_add(group, channel)
        for group in groups:
            await here.group_send(group, {"type": "g", "to": group})
        got = [(await next_of(there, channel))["to"] for _ in groups]
        assert sorted(got) == sorted(groups)
        heard = [node.ask("PUBSUB", "SHARDCHANNELS", "*group*") for node in nodes.masters]
        assert heard == [[f"asgi:group:{{{group}}}".encode()] for group in groups]
        for group in groups:
            await there.group_discard(group, channel)
        assert [node.ask("PUBSUB", "SHARDCHANNELS", "*group*") for node in nodes.masters] == [
            [],
            [],
            [],
        ]
        assert all(node.ask("PUBSUB", "CHANNELS") == [] for node in nodes.masters)

    async def test_synchronous_code_uses_all_nodes(self, make: Make, nodes: RedisCluster) -> None:
        here, there = make(history=HISTORY), make(history=HISTORY)
        channel = await there.new_channel()
        groups = [group_on(nodes, node) for node in nodes.masters]
        await asyncio.to_thread(here.ping_sync)
        for group in groups:
            await asyncio.to_thread(here.group_add_sync, group, channel)
            await asyncio.to_thread(here.group_send_sync, group, {"type": "g"})
            assert await next_of(there, channel) == {"type": "g"}
        for number in range(6):
            await asyncio.to_thread(here.send_sync, f"jobs.{number}", {"type": "a"})
            assert await next_of(there, f"jobs.{number}") == {"type": "a"}
        await asyncio.to_thread(here.send_sync, channel, {"type": "a"})
        assert await next_of(there, channel) == {"type": "a"}
        await asyncio.to_thread(here.group_add_sync, "room", "jobs")
        await until(lambda: place_of(there).may_have_plain_members("room"))
        await there.group_send("room", {"type": "g"})
        assert await next_of(there, "jobs") == {"type": "g"}
        await asyncio.to_thread(here.group_send_sync, "kept.a", {"type": "k"})
        history = await asyncio.to_thread(here.group_history_sync, "kept.a")
        assert [message["type"] for message in history.messages] == ["k"]

    async def test_members_are_told_wherever_their_group_is(
        self, make: Make, nodes: RedisCluster
    ) -> None:
        here, there = make(member_linger=0), make(member_linger=0)
        for node in nodes.masters:
            group = group_on(nodes, node)
            channel, other = await here.new_channel(), await there.new_channel()
            await here.group_add(group, channel)
            await there.group_add(group, other, member={"id": 1})
            joined = {"type": "group.joined", "group": group, "member": {"id": 1}}
            assert await next_of(here, channel) == joined
            assert await next_of(there, other) == joined
            assert await here.group_members(group) == [{"id": 1, "connections": 1}]
            await there.group_discard(group, other)
            assert await next_of(here, channel) == {**joined, "type": "group.left"}

    async def test_a_queue_keeps_its_dead_letters(self, make: Make) -> None:
        layer = make(queues={"jobs": {"tries": 1}})
        await layer.send("jobs", {"type": "a"})
        delivery = await layer.receive_delivery("jobs")
        assert await layer.reject("jobs", delivery.token, "failed")
        assert (await next_of(layer, "jobs.dead"))["dead"]["error"] == "failed"

    async def test_flush_empties_all_nodes_and_leaves_the_keys_of_others(
        self, make: Make, nodes: RedisCluster
    ) -> None:
        layer = make()
        for number in range(12):
            await layer.send(f"jobs.{number}", {"type": "a"})
        others = [names_on(nodes, node, "{}")[0] for node in nodes.masters]
        for node, other in zip(nodes.masters, others, strict=True):
            words = (part for number in range(1500) for part in (f"{{{other}}}{number}", "x"))
            node.ask("MSET", *words)
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        await layer.flush()
        assert [node.ask("DBSIZE") for node in nodes.masters] == [1500, 1500, 1500]
        await layer.group_send("room", {"type": "g"})
        await layer.send(channel, {"type": "mark"})
        assert await next_of(layer, channel) == {"type": "mark"}

    async def test_scripts_that_a_node_forgot_are_sent_again(
        self, make: Make, nodes: RedisCluster
    ) -> None:
        layer = make()
        for _ in range(2):
            await layer.send("jobs", {"type": "a"})
            assert await next_of(layer, "jobs") == {"type": "a"}
            for node in nodes.masters:
                node.ask("SCRIPT", "FLUSH")

    async def test_a_process_that_has_read_a_name_first_is_reached(self, make: Make) -> None:
        here, there = make(), make()
        await here.send("jobs", {"type": "a"})
        await there.receive("jobs")
        channel = await there.new_channel()
        await there.ping()
        await here.send(channel, {"type": "b"})
        assert await next_of(there, channel) == {"type": "b"}


class TestSlotsThatMove:
    async def test_who_listens_follows_and_is_told(self, make: Make, nodes: RedisCluster) -> None:
        here, there = make(), make()
        group, other = (group_on(nodes, node) for node in nodes.masters[:2])
        inside, outside = await there.new_channel(), await there.new_channel()
        await there.group_add(group, inside)
        await there.group_add(other, outside)
        assert await there.group_members(group) == []
        await there.ping()
        address = f"asgi:group:{{{group}}}"
        waiting = asyncio.create_task(there.receive(inside))
        await asyncio.to_thread(nodes.move_slot, address, nodes.masters[2])
        with pytest.raises(MessagesMissed):
            await waiting
        # The other process does not know it yet.
        await here.group_send(group, {"type": "g"})
        await here.group_send(other, {"type": "g"})
        assert await next_of(there, inside) == {"type": "g"}
        assert await next_of(there, outside) == {"type": "g"}
        await there.group_add(group, outside, member={"id": 1})
        assert (await next_of(there, inside))["type"] == "group.joined"
        assert nodes.masters[0].ask("PUBSUB", "CHANNELS", address) == []
        assert nodes.masters[2].ask("PUBSUB", "CHANNELS", address) == [address.encode()]

    async def test_a_layer_with_an_old_view_finds_the_node(
        self, make: Make, nodes: RedisCluster
    ) -> None:
        layer, fresh = make(), make()
        await layer.ping()
        name = names_on(nodes, nodes.masters[0], "asgi:channel:{{{}}}")[0]
        await asyncio.to_thread(fresh.send_sync, name, {"type": "0"})
        await asyncio.to_thread(nodes.move_slot, f"asgi:channel:{{{name}}}", nodes.masters[1])
        await layer.send(name, {"type": "1"})
        await asyncio.to_thread(fresh.send_sync, name, {"type": "2"})
        assert [(await next_of(layer, name))["type"] for _ in range(3)] == ["0", "1", "2"]
        group = group_on(nodes, nodes.masters[0])
        address = f"asgi:group:{{{group}}}"
        await asyncio.to_thread(nodes.move_slot, address, nodes.masters[1])
        channel = await layer.new_channel()
        place_of(layer)._is_doubtful = False
        await layer.group_add(group, channel)
        await layer.group_send(group, {"type": "g"})
        assert await next_of(layer, channel) == {"type": "g"}

    async def test_keys_on_their_way_are_found(self, make: Make, nodes: RedisCluster) -> None:
        layer = make(queues={"*": {"redeliver_after": 60, "tries": 2}})
        here, there = nodes.masters[:2]
        alone, name = names_on(nodes, here, "asgi:channel:{{{}}}", 2)
        await layer.send(name, {"type": "a"})
        for one in (alone, name):
            nodes.begin_to_move(f"asgi:channel:{{{one}}}", there)
        # A key that is not at the node which has the slot is at the other one.
        await layer.send(alone, {"type": "b"})
        assert there.ask("KEYS", f"*{{{alone}}}*") == [f"asgi:channel:{{{alone}}}".encode()]
        # A script whose keys are in both places is repeated until all are in one.
        taking = asyncio.create_task(layer.receive_delivery(name))
        await until(lambda: refused(here, "TRYAGAIN") or refused(there, "TRYAGAIN"))
        assert not taking.done()
        for one in (alone, name):
            await asyncio.to_thread(nodes.end_to_move, f"asgi:channel:{{{one}}}", here, there)
        assert (await taking).message == {"type": "a"}
        assert (await layer.receive_delivery(alone)).message == {"type": "b"}

    async def test_a_command_is_not_sent_around_for_ever(
        self, make: Make, nodes: RedisCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cluster_module, "_REDIRECTIONS", 2)
        layer = make()
        channel = await layer.new_channel()
        await layer.ping()
        group = group_on(nodes, nodes.masters[0])
        place = place_of(layer)
        wrong = place._node(("127.0.0.1", port_of(nodes.masters[1])))
        monkeypatch.setattr(place, "_follow", lambda _: None)
        monkeypatch.setattr(place, "_owners", [wrong] * len(place._owners))
        with pytest.raises(RedisConnectionError, match="sent a command from node to node"):
            await layer.group_send(group, {"type": "g"})
        with pytest.raises(RedisConnectionError, match="sent a subscription from node to node"):
            await layer.group_add(group, channel)


def refused(node: RedisProcess, error: str) -> bool:
    return f"errorstat_{error}" in node.ask("INFO", "errorstats")


class TestNodesThatAreLost:
    async def test_a_replica_takes_over_and_history_closes_the_gap(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "django.channels.layers.redis")
        with running_cluster(replicas=1) as cluster:
            here, there = make(cluster, history=HISTORY), make(cluster, history=HISTORY)
            lost, kept = cluster.masters[:2]
            group = names_on(cluster, lost, "asgi:group:{{kept.{}}}")[0]
            group = f"kept.{group}"
            other = group_on(cluster, kept)
            inside, outside = await channels_on(cluster, there, kept, 2)
            await there.group_add(group, inside)
            await there.group_add(other, outside)
            await here.group_send(group, {"type": "1"})
            before = (await next_of(there, inside))["position"]
            waiting = asyncio.create_task(there.receive(inside))
            await asyncio.sleep(0)
            # A master that fails before its replica has a message loses it.
            replica = cluster.nodes[3]
            await until(lambda: lost.ask("ROLE")[1] == replica.ask("ROLE")[4])
            lost.stop()
            # What does not depend on it goes on.
            await until_done(lambda: here.group_send(other, {"type": "g"}))
            assert await next_of(there, outside) == {"type": "g"}
            await until_done(lambda: here.group_send(group, {"type": "2"}))
            with pytest.raises(MessagesMissed):
                await until_missed(there, inside, waiting)
            missed = await until_done(lambda: there.group_history(group, after=before))
            assert [message["type"] for message in missed.messages] == ["2"]
            assert missed.complete
            await here.group_send(group, {"type": "3"})
            async with asyncio.timeout(20):
                while (await there.receive(inside))["type"] != "3":
                    pass
            await asyncio.to_thread(here.group_send_sync, group, {"type": "4"})
            assert (await next_of(there, inside))["type"] == "4"
            await there.ping()
            # The node that comes back is a replica now.
            lost.start()
            await until(lambda: lost.ask("ROLE")[0] == b"slave")
            await here.group_send(group, {"type": "5"})
            assert (await next_of(there, inside))["type"] == "5"
        lines = [record.message.partition(": ")[0] for record in caplog.records]
        where = "Redis at the cluster of " + ", ".join(url[8:-2] for url in cluster.urls[:2])
        assert lines[0] == f"{where} cannot be reached, trying again"
        assert lines[1].startswith(f"{where} is reached again, after ")
        assert len(lines) == 2

    async def test_a_node_that_is_restarted_is_heard_again(self, make: Make) -> None:
        with running_cluster() as cluster:
            layer = make(cluster)
            restarted, kept = cluster.masters[:2]
            (channel,) = await channels_on(cluster, layer, kept, 1)
            group = group_on(cluster, restarted)
            await layer.group_add(group, channel)
            working = asyncio.create_task(layer.receive("jobs"))
            waiting = asyncio.create_task(layer.receive(channel))
            await layer.ping()
            restarted.stop()
            await until_raised(lambda: layer.group_send(group, {"type": "lost"}), "")
            with pytest.raises(RedisConnectionError):
                await layer.ping()
            with pytest.raises(RedisConnectionError):
                await asyncio.to_thread(layer.group_send_sync, group, {"type": "lost"})
            restarted.start()
            with pytest.raises(MessagesMissed):
                await waiting
            await until_done(lambda: layer.group_send(group, {"type": "g"}))
            assert await next_of(layer, channel) == {"type": "g"}
            await until_done(lambda: layer.send("jobs", {"type": "a"}))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await layer.receive(channel)
            assert (await until_done(lambda: working))["type"] == "a"

    async def test_all_nodes_may_be_away(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        hosts = [("127.0.0.1", free_port()), ("127.0.0.1", free_port())]
        layer = RedisChannelLayer(hosts=hosts, cluster=True)
        channel = await layer.new_channel()
        for call in (
            lambda: layer.send(channel, {"type": "a"}),
            lambda: layer.send("jobs", {"type": "a"}),
            lambda: layer.receive("jobs"),
            lambda: layer.group_add("room", channel),
            layer.ping,
            layer.flush,
            lambda: asyncio.to_thread(layer.ping_sync),
        ):
            with pytest.raises(RedisConnectionError):
                await call()
        await until(lambda: caplog.records)
        with pytest.raises(RedisConnectionError):
            await layer.new_channel()
        with pytest.raises(RedisConnectionError):
            place_of(layer).come_up()
        await layer.close()
        assert len(caplog.records) == 1

    async def test_a_cluster_that_is_down_is_an_outage(self, make: Make) -> None:
        with running_cluster() as cluster:
            layer = make(cluster)
            channel = await layer.new_channel()
            await layer.ping()
            await asyncio.to_thread(layer.ping_sync)
            node = cluster.masters[0]
            group = group_on(cluster, node)
            slot = node.ask("CLUSTER", "KEYSLOT", f"asgi:group:{{{group}}}")
            for one in cluster.masters:
                one.ask("CLUSTER", "DELSLOTS", slot)
            with pytest.raises(RedisConnectionError, match="is down"):
                await layer.group_send(group, {"type": "g"})
            sending = partial(layer.group_send, group, {"type": "g"})
            await until_raised(sending, f"has the slot {slot}")
            with pytest.raises(RedisConnectionError, match="cannot do this now"):
                await asyncio.to_thread(layer.group_send_sync, group, {"type": "g"})
            place = place_of(layer)
            place._is_doubtful = False
            place._owners[slot] = place._node(("127.0.0.1", port_of(node)))
            with pytest.raises(RedisConnectionError, match="is down"):
                await layer.group_add(group, channel)

    async def test_a_quiet_node_that_hangs_is_noticed(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cluster_module, "_QUIET", 0.1)
        with running_cluster(replicas=1) as cluster:
            layer = make(cluster)
            node = cluster.masters[0]
            (channel,) = await channels_on(cluster, layer, node, 1)
            waiting = asyncio.create_task(layer.receive(channel))
            await layer.group_add("room", channel)
            node.freeze()
            with pytest.raises(MessagesMissed):
                await waiting
            await until_done(lambda: layer.send(channel, {"type": "a"}))
            async with asyncio.timeout(20):
                assert (await layer.receive(channel))["type"] == "a"
            node.thaw()


async def until_raised(call: Callable[[], Any], text: str) -> None:
    """Repeat a call until it raises an error with a text."""
    async with asyncio.timeout(20):
        while True:
            try:
                await call()
            except RedisConnectionError as error:
                if text in str(error):
                    return
            await asyncio.sleep(0.02)


async def channels_on(
    cluster: RedisCluster, layer: RedisChannelLayer, node: RedisProcess, count: int
) -> list[str]:
    """Return channels of a link whose address is on a node; the link is made anew until it is."""
    while cluster.node_of(f"asgi:process:{{{layer._link().token}}}") is not node:
        await layer._link().close()
    return [await layer.new_channel() for _ in range(count)]


class TestListening:
    async def test_a_group_may_be_left_before_it_is_heard(
        self, make: Make, nodes: RedisCluster
    ) -> None:
        layer = make()
        await layer.new_channel()
        await layer.ping()
        place = place_of(layer)
        heard: list[bytes] = []
        listening = place.listen("left", heard.append)
        assert place.stop_listening("left") is None
        await listening
        assert place.stop_listening("left") is None
        assert not place.hears("left")
        await place.listen("left", heard.append)
        node = nodes.node_of("left")
        left, again = place.stop_listening("left"), place.listen("left", heard.append)
        assert left is not None
        await left
        await again
        assert node.ask("PUBSUB", "SHARDCHANNELS", "left") == [b"left"]
        await place.publish("left", b"x")
        await until(lambda: heard)
        assert heard == [b"x"]

    async def test_what_is_waited_for_comes_up(self, make: Make) -> None:
        layer = make()
        await layer.new_channel()
        place = place_of(layer)
        await asyncio.gather(place.come_up(), place.come_up())
        listening = place.listen("room", lambda _: None)
        await asyncio.gather(place.come_up(), listening)
        assert place.hears("room")
        coming = place.come_up()
        node = place._ears[b"room"].node
        assert node is not None
        place.lost(node, RedisConnectionError("gone"))
        with pytest.raises(RedisConnectionError, match="gone"):
            await coming
        with pytest.raises(RedisConnectionError, match="gone"):
            place.come_up()
        await until(lambda: place.hears("room"))

    async def test_what_the_wrong_node_sends_is_dropped(
        self, make: Make, nodes: RedisCluster
    ) -> None:
        layer = make()
        await layer.new_channel()
        await layer.ping()
        place = place_of(layer)
        heard: list[bytes] = []
        await place.listen("room", heard.append)
        other = place._node(("127.0.0.1", 1))
        place.heard(other, b"room", b"x")
        place.heard(other, b"nothing", b"x")
        place.moved_away(other, b"room")
        place.moved_away(other, b"nothing")
        other.try_if_quiet()
        assert not other.is_open
        assert place.hears("room")
        assert heard == []

    async def test_what_the_nodes_say_later_counts(self, make: Make, nodes: RedisCluster) -> None:
        layer = make()
        channel = await layer.new_channel()
        group = group_on(nodes, nodes.masters[0])
        await layer.group_add(group, channel)
        await layer.ping()
        place = place_of(layer)
        waiting = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(0)
        # A node that says so last has everything, until the nodes are asked again.
        node = nodes.masters[1]
        answer = [[0, 16383, [b"", port_of(node), b"id"]]]
        place._read_owners(answer, place._node(("127.0.0.1", port_of(node))))
        with pytest.raises(MessagesMissed):
            await waiting
        await layer.group_send(group, {"type": "g"})
        assert await next_of(layer, channel) == {"type": "g"}

    async def test_a_slot_that_moves_meanwhile_is_followed(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        layer = make()
        await layer.new_channel()
        await layer.ping()
        place = place_of(layer)
        place.listen("room", lambda _: None)
        ear = place._ears[b"room"]
        subscribed: list[object] = []

        async def subscribe(self: object, ear: Any) -> None:
            subscribed.append(self)
            if len(subscribed) == 1:
                # As if the node had said that the slot has moved away.
                ear.node = None

        monkeypatch.setattr(cluster_module._Node, "subscribe", subscribe)
        await until(lambda: ear.is_heard)
        assert len(subscribed) == 2

    async def test_what_was_left_meanwhile_may_fail(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        layer = make()
        await layer.new_channel()
        await layer.ping()
        place = place_of(layer)

        async def fail(*_: object) -> None:
            place.stop_listening("room")
            raise ResponseError("no")

        monkeypatch.setattr(cluster_module._Node, "subscribe", fail)
        with pytest.raises(ResponseError):
            await place.listen("room", lambda _: None)
        assert not place._is_doubtful

    async def test_a_connection_that_was_just_lost_is_not_used(self, make: Make) -> None:
        layer = make()
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        await layer.ping()
        place = place_of(layer)
        node = place._ears[b"asgi:group:{room}"].node
        assert node is not None
        await node.listening.close()
        place._ears[b"asgi:group:{room}"].node = node
        assert place.stop_listening("asgi:group:{room}") is None

    def test_an_event_loop_that_ends_ends_the_link(self, nodes: RedisCluster) -> None:
        layer = RedisChannelLayer(hosts=nodes.urls, cluster=True)

        async def use() -> None:
            await layer.new_channel()
            await layer.ping()

        asyncio.run(use())
        assert layer._links == {}
        asyncio.run(layer.close())

    async def test_an_address_that_may_not_be_heard_is_told(
        self, make: Make, nodes: RedisCluster
    ) -> None:
        layer = make()
        channel = await layer.new_channel()
        await layer.ping()
        allowed = ("resetchannels", "&asgi:process:*", "&asgi:control")
        for node in nodes.masters:
            node.ask("ACL", "SETUSER", "default", *allowed)
        try:
            with pytest.raises(ResponseError, match="no permission"):
                await layer.group_add("hall", channel)
        finally:
            for node in nodes.masters:
                node.ask("ACL", "SETUSER", "default", "allchannels")


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "error", "text"),
        [
            ({"cluster": 1}, TypeError, "cluster must be True or False, not 1"),
            (
                {"cluster": True, "hosts": ["unix:///run/redis.sock"]},
                ValueError,
                "each host must be a node with a host and a port, but one is /run/redis.sock",
            ),
            (
                {"cluster": True, "hosts": [{"sentinels": [("a", 1)], "master_name": "site"}]},
                ValueError,
                "but one is the master 'site' of Sentinel",
            ),
            (
                {"cluster": True, "hosts": ["redis://localhost/3"]},
                ValueError,
                "only the database 0, but localhost:6379 has 3",
            ),
        ],
    )
    def test_a_wrong_option_is_told(
        self, options: dict[str, Any], error: type[Exception], text: str
    ) -> None:
        with pytest.raises(error, match=text):
            RedisChannelLayer(**options)

    def test_nodes_have_the_options_of_the_first_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first = {"address": "rediss://:secret@a.example:7000", "socket_timeout": 3}
        layer = RedisChannelLayer(hosts=[first, ("b.example", 7001)], cluster=True)
        (host,) = layer._hosts
        assert isinstance(host, ClusterHost)
        assert host.name == "the cluster of a.example:7000, b.example:7001"
        assert host.timeout == 3
        monkeypatch.setattr(cluster_host, "_Client", SimpleNamespace)
        asked = vars(host.new_client())
        named = [node.name for node in asked["startup_nodes"]]
        assert named == ["a.example:7000", "b.example:7001"]
        assert asked["ssl"]
        assert asked["password"] == "secret"
        assert asked["socket_timeout"] == 3
        assert not {"host", "port", "db"} & asked.keys()
