"""The contract of channel layers, run on the layers that programs use.

In memory all of it is kept, and so it is by our layer on Redis. Each layer of channels-redis lists
what it does otherwise; should a release put one right, its test fails here until it is taken off
the list.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import channels.exceptions
import channels_redis.core
import pytest
import redis.asyncio
from channels.layers import InMemoryChannelLayer
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

import channels_core.exceptions
from channels_layers_redis import RedisChannelLayer as OurRedisChannelLayer
from channels_testing.layers import ChannelLayerContract
from redis_cluster import running_cluster
from redis_sentinel import Watched, running_sentinel
from redis_server import RedisServer, require_redis


class TestInMemory(ChannelLayerContract):
    latency = 0  # a call comes as far as it can in one turn of the event loop

    def make_layer(self, **options: Any) -> InMemoryChannelLayer:
        self.now = 0.0
        return InMemoryChannelLayer(clock=lambda: self.now, **options)

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds


class TestInMemoryCopied(TestInMemory):
    """Let objects pass, which is what the option is for."""

    deviations = {
        "test_tuples_arrive_as_lists": "they arrive as tuples",
        "test_what_cannot_cross_is_refused": "nothing is to cross a network",
        "test_a_key_is_a_string": "nothing is to cross a network",
    }

    def make_layer(self, **options: Any) -> InMemoryChannelLayer:
        return super().make_layer(isolation="deepcopy", **options)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with require_redis() as url:
        yield url


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[RedisServer]]:
    with running_cluster() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with running_sentinel() as watched:
        yield watched


class OnRedis(ChannelLayerContract):
    shared = True

    @pytest.fixture(autouse=True)
    def server(self, redis_url: str) -> None:
        # A client of redis-py 8 gives up on an answer after five seconds, which is how long the
        # layer lets Redis wait for a message.
        self.hosts = [{"address": redis_url, "socket_timeout": None}]
        self.url = redis_url


class TestOurRedis(OnRedis):
    races = 300

    def make_layer(self, **options: Any) -> OurRedisChannelLayer:
        return OurRedisChannelLayer(hosts=self.hosts, **options)

    async def lose_messages(self, layer: OurRedisChannelLayer) -> None:
        """End the layer's subscriptions, and wait until it has them again."""
        async with redis.asyncio.from_url(self.url) as server:
            before = set(await server.pubsub_channels())
            await server.client_kill_filter(_type="pubsub")
            async with asyncio.timeout(self.timeout):
                while not before <= set(await server.pubsub_channels()):  # noqa: ASYNC110 - a server has no event
                    await asyncio.sleep(self.latency)


class TestOurRedisInCluster(ChannelLayerContract):
    shared = True
    one_order = False  # each group is on one of the nodes, and so is what is sent to the process
    races = 300

    @pytest.fixture(autouse=True)
    def cluster(self, nodes: list[RedisServer]) -> None:
        self.nodes = nodes

    def make_layer(self, **options: Any) -> OurRedisChannelLayer:
        return OurRedisChannelLayer(hosts=[self.nodes[0].url], cluster=True, **options)

    async def lose_messages(self, layer: OurRedisChannelLayer) -> None:
        """End the layer's subscriptions at all nodes, and wait until it has them again."""

        def subscriptions() -> set[bytes]:
            return {one for node in self.nodes for one in node.ask("PUBSUB", "SHARDCHANNELS")}

        before = subscriptions()
        for node in self.nodes:
            node.ask("CLIENT", "KILL", "TYPE", "pubsub")
        async with asyncio.timeout(self.timeout):
            while not before <= subscriptions():  # noqa: ASYNC110 - a server has no event
                await asyncio.sleep(self.latency)


class TestOurRedisBehindSentinel(ChannelLayerContract):
    """Messages are lost because another server becomes the master."""

    shared = True
    timeout = 20

    @pytest.fixture(autouse=True)
    def sentinel(self, watched: Watched) -> None:
        self.watched = watched

    def make_layer(self, **options: Any) -> OurRedisChannelLayer:
        hosts = [{"sentinels": [("127.0.0.1", self.watched.sentinel.port)], "master_name": "site"}]
        return OurRedisChannelLayer(hosts=hosts, **options)

    async def lose_messages(self, layer: OurRedisChannelLayer) -> None:
        before = set(self.watched.master.ask("PUBSUB", "CHANNELS"))
        await asyncio.to_thread(self.watched.change_master)
        async with asyncio.timeout(self.timeout):
            while not before <= set(self.watched.master.ask("PUBSUB", "CHANNELS")):  # noqa: ASYNC110 - a server has no event
                await asyncio.sleep(self.latency)


ONE_LIST = "all channels of a process share one list in Redis, and its capacity"
IN_FLIGHT = (
    "a cancelled call loses the message that Redis has handed over and receive() has not read yet"
)


class TestRedis(OnRedis):
    deviations = {
        "test_a_full_channel_leaves_others_free": ONE_LIST,
        "test_a_group_passes_over_full_channels": ONE_LIST,
        "test_a_slow_receiver_loses_nothing_to_others": (
            "reading one channel fetches the messages of all channels in the process; if nobody "
            "receives them, the oldest are dropped"
        ),
        "test_flush_drops_what_was_fetched": (
            "flush() empties Redis, but keeps the messages already fetched into the process"
        ),
        "test_each_member_owns_its_message": "all members in a process get the same dict",
        "test_each_message_expires_by_itself": (
            "expired messages are removed when a message is sent, not when one is received"
        ),
        "test_a_key_is_a_string": "msgpack packs any key, and the receiver fails to unpack it",
        "test_a_message_survives_its_receiver": IN_FLIGHT,
        "test_a_message_on_a_name_survives_its_receiver": IN_FLIGHT,
        "test_who_stays_receives_everything": IN_FLIGHT,
        "test_several_event_loops_receive": (
            "the channels of a process are read under one lock, which belongs to one event loop"
        ),
        "test_one_event_loop_after_another": (
            "with hiredis, which the environment has, a message is given again if the event loop "
            "ends right after receive() has returned it"
        ),
    }
    latency = 0.02
    timeout = 3
    races = 600  # it loses one message in ten or twenty races

    def make_layer(self, **options: Any) -> RedisChannelLayer:
        return RedisChannelLayer(hosts=self.hosts, **options)


SUBSCRIBED = "Redis publishes only to subscribers: while there is none, a message is lost"
CANCELLED = "a cancelled receive() ends the subscription, and drops the waiting messages"
UNBOUNDED = "a channel has no capacity"
UNTIMED = "nothing expires"
MADE_HERE = "only channels that were made in the running event loop may be in groups"
ANY_NAME = "names are not checked"


class TestRedisPubSub(OnRedis):
    deviations = {
        "test_a_named_channel_needs_no_receiver": SUBSCRIBED,
        "test_one_event_loop_after_another": SUBSCRIBED,
        "test_the_part_after_the_mark_counts": SUBSCRIBED,
        "test_a_cancelled_receive_takes_nothing": CANCELLED,
        "test_a_cancelled_receive_on_a_name_takes_nothing": CANCELLED,
        "test_a_cancelled_receive_leaves_its_groups": CANCELLED,
        "test_a_cancelled_receive_leaves_the_others": CANCELLED,
        "test_a_message_survives_its_receiver": CANCELLED,
        "test_a_message_on_a_name_survives_its_receiver": CANCELLED,
        "test_a_full_channel_refuses": UNBOUNDED,
        "test_capacity_by_pattern": UNBOUNDED,
        "test_capacity_by_compiled_pattern": UNBOUNDED,
        "test_a_group_drops_what_is_too_much": UNBOUNDED,
        "test_a_message_expires": UNTIMED,
        "test_each_message_expires_by_itself": UNTIMED,
        "test_a_membership_expires": UNTIMED,
        "test_a_named_channel_may_be_a_member": MADE_HERE,
        "test_groups_take_valid_channel_names": MADE_HERE,
        "test_join_and_leave_from_another_thread": MADE_HERE,
        "test_send_refuses_invalid_channel_names": ANY_NAME,
        "test_receive_refuses_invalid_channel_names": ANY_NAME,
        "test_group_add_refuses_invalid_names": ANY_NAME,
        "test_group_discard_refuses_invalid_names": ANY_NAME,
        "test_group_send_refuses_invalid_names": ANY_NAME,
        "test_new_channels_are_marked_as_specific": "the names of new channels have no '!'",
        "test_a_message_is_a_dict": "anything that msgpack can pack is sent",
        "test_a_key_is_a_string": "msgpack packs any key, and the receiver fails to unpack it",
        "test_what_a_layer_offers_is_known_everywhere": (
            "`extensions` is looked up on a layer of the running event loop"
        ),
    }
    latency = 0.3  # a message that comes before the subscription is lost
    timeout = 3

    def make_layer(self, **options: Any) -> RedisPubSubChannelLayer:
        return RedisPubSubChannelLayer(hosts=self.hosts, **options)


def test_channels_redis_runs_on_this_package() -> None:
    """And not on another distribution with the same name."""
    assert channels_redis.core.ChannelFull is channels_core.exceptions.ChannelFull
    assert channels.exceptions is channels_core.exceptions
