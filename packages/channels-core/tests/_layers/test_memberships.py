"""Memberships that are renewed, and groups that are left after an outage."""

import asyncio
import contextlib
import gc
import logging
import threading
import weakref
from typing import Any

import pytest

from channels_core.exceptions import StopConsumer
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.routing import ProtocolTypeRouter
from colours import both_colours, consumer
from fakes import LocalLayer, Server, until
from keeping_layer import KeepingLayer

AWAY = ConnectionError("no layer")


def member(layer: LocalLayer, channel: str) -> AsyncWebsocketConsumer:
    """Return a consumer without a server, with a channel of a layer."""
    consumer = AsyncWebsocketConsumer()
    consumer.channel_layer, consumer.channel_name = layer, channel
    return consumer


async def join(layer: LocalLayer, group: str, channel: str) -> None:
    await member(layer, channel).join_group(group)


async def leave(layer: LocalLayer, group: str, channel: str) -> None:
    await member(layer, channel).leave_group(group)


async def end(layer: LocalLayer, group: str, channel: str) -> None:
    """End the connection of a member of a group."""
    consumer = member(layer, channel)
    consumer.groups.append(group)
    with contextlib.suppress(StopConsumer):
        await consumer.websocket_disconnect(
            {"type": "websocket.disconnect", "code": 1000, "reason": None}
        )


async def end_in_outage(layer: LocalLayer, group: str, channel: str) -> None:
    with pytest.raises(ConnectionError, match="no layer"):
        await end(layer, group, channel)


@pytest.fixture(autouse=True)
def short(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renew often, and repeat a failed removal soon."""
    settings.CHANNELS_GROUP_RENEWAL = 0.001
    monkeypatch.setattr("channels_core._layers.memberships._SOON", 0.001)


def timers() -> int:
    """Return the number of timers of the running event loop."""
    return sum(not timer.cancelled() for timer in asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined] # private, but of every asyncio loop


def times(layer: LocalLayer, name: str, group: str) -> int:
    return layer.calls.count((name, group))


class TestRenewal:
    async def test_a_layer_that_was_emptied_gets_its_memberships_again(
        self, layer: LocalLayer
    ) -> None:
        await join(layer, "a", "one")
        await join(layer, "b", "two")
        await layer.flush()
        await until(lambda: layer.members == 2)
        assert (layer.groups["a"], layer.groups["b"]) == ({"one"}, {"two"})
        await leave(layer, "a", "one")
        await leave(layer, "b", "two")

    async def test_a_member_is_renewed_with_its_data(self) -> None:
        layer = KeepingLayer()
        ann = {"id": 5, "name": "Ann"}
        await member(layer, "one").join_group("a", member=ann)
        layer.members_of.clear()
        await until(lambda: bool(layer.members_of))
        # Joined again without data: those that were given stay.
        await join(layer, "a", "one")
        layer.members_of.clear()
        await until(lambda: bool(layer.members_of))
        bob = {"id": 5, "name": "Bob"}
        await member(layer, "one").join_group("a", member=bob)
        layer.members_of.clear()
        await until(lambda: bool(layer.members_of))
        assert layer.members_of == {("a", "one"): bob}
        await leave(layer, "a", "one")

    async def test_a_group_that_was_left_is_not_renewed(self, layer: LocalLayer) -> None:
        await join(layer, "a", "one")
        await join(layer, "b", "one")
        await leave(layer, "a", "one")
        await layer.flush()
        await until(lambda: times(layer, "group_add", "b") > 3)
        assert times(layer, "group_add", "a") == 1
        assert not layer.groups["a"]
        await leave(layer, "b", "one")

    async def test_a_group_that_is_left_during_its_renewal_stays_left(self) -> None:
        class Slow(LocalLayer):
            async def group_add(self, group: str, channel: str) -> None:
                if self.calls:
                    begun.set()
                    await going_on.wait()
                await super().group_add(group, channel)

        begun, going_on = asyncio.Event(), asyncio.Event()
        layer = Slow()
        await join(layer, "a", "one")
        await begun.wait()
        await leave(layer, "a", "one")
        going_on.set()
        await until(lambda: times(layer, "group_discard", "a") == 2)
        assert layer.members == 0

    async def test_a_group_that_is_left_before_its_renewal_is_not_renewed(self) -> None:
        class Slow(LocalLayer):
            async def group_add(self, group: str, channel: str) -> None:
                if len(self.calls) == 2:
                    begun.set()
                    await going_on.wait()
                await super().group_add(group, channel)

        begun, going_on = asyncio.Event(), asyncio.Event()
        layer = Slow()
        await join(layer, "a", "one")
        await join(layer, "b", "one")
        await begun.wait()
        await leave(layer, "b", "one")
        going_on.set()
        await until(lambda: times(layer, "group_add", "a") > 2)
        assert times(layer, "group_add", "b") == 1
        await leave(layer, "a", "one")

    async def test_a_group_that_is_joined_again_during_its_late_removal_stays_joined(self) -> None:
        class Slow(LocalLayer):
            async def group_discard(self, group: str, channel: str) -> None:
                if "group_discard" not in self.faults:
                    begun.set()
                    await going_on.wait()
                await super().group_discard(group, channel)

        begun, going_on = asyncio.Event(), asyncio.Event()
        layer = Slow()
        layer.faults["group_discard"] = AWAY
        await join(layer, "a", "one")
        await end_in_outage(layer, "a", "one")
        layer.faults.clear()
        await begun.wait()
        await join(layer, "a", "one")
        going_on.set()
        await until(lambda: layer.members == 1 and times(layer, "group_add", "a") > 2)
        await leave(layer, "a", "one")
        assert layer.members == 0

    async def test_a_membership_that_the_program_discards_is_not_renewed(
        self, layer: LocalLayer
    ) -> None:
        await join(layer, "a", "one")
        await join(layer, "b", "one")
        await layer.group_discard("a", "one")
        await until(lambda: times(layer, "group_add", "b") > 3)
        assert times(layer, "group_add", "a") == 1
        # The layer refuses an invalid name.
        with pytest.raises(TypeError, match="unhashable"):
            await layer.group_discard("a", ["one"])  # type: ignore[arg-type] # a name of a wrong type
        await leave(layer, "b", "one")

    async def test_a_discard_on_another_layer_object_ends_the_renewals(
        self, layer: LocalLayer
    ) -> None:
        await join(layer, "a", "one")
        await join(layer, "b", "one")
        await LocalLayer().group_discard("a", "one")
        await until(lambda: times(layer, "group_add", "b") > 3)
        assert times(layer, "group_add", "a") == 1
        await leave(layer, "b", "one")

    async def test_a_discard_in_another_thread_ends_the_renewals(self, layer: LocalLayer) -> None:
        await join(layer, "a", "one")
        await asyncio.to_thread(lambda: asyncio.run(layer.group_discard("a", "one")))
        times_before = times(layer, "group_add", "a")
        # The thread ends the renewals by a callback in this loop.
        await asyncio.sleep(0)
        assert timers() == 0
        assert times(layer, "group_add", "a") == times_before

    async def test_a_group_that_is_joined_again_at_once_is_renewed(self, layer: LocalLayer) -> None:
        await join(layer, "a", "one")

        def discard() -> None:
            asyncio.run(layer.group_discard("a", "one"))

        thread = threading.Thread(target=discard)
        thread.start()
        thread.join()
        # The callback of the thread runs after this.
        await join(layer, "a", "one")
        await until(lambda: times(layer, "group_add", "a") > 3)
        await layer.group_discard("a", "one")
        await join(layer, "a", "one")
        await until(lambda: times(layer, "group_add", "a") > 6)
        await leave(layer, "a", "one")

    async def test_a_late_discard_of_a_thread_does_not_end_a_later_membership(
        self, layer: LocalLayer
    ) -> None:
        await join(layer, "a", "one")

        def discard() -> None:
            asyncio.run(layer.group_discard("a", "one"))

        thread = threading.Thread(target=discard)
        thread.start()
        thread.join()
        # The callback of the thread runs after these: the layer's renewals end and begin again.
        await join(layer, "c", "two")
        await leave(layer, "c", "two")
        await join(layer, "b", "one")
        await until(lambda: times(layer, "group_add", "b") > 3)
        await leave(layer, "b", "one")

    def test_a_membership_of_a_closed_loop_may_be_discarded(self, layer: LocalLayer) -> None:
        asyncio.run(join(layer, "a", "one"))
        asyncio.run(layer.group_discard("a", "one"))
        assert layer.members == 0

    async def test_the_settings_may_turn_renewals_off(
        self, settings: Any, layer: LocalLayer
    ) -> None:
        settings.CHANNELS_GROUP_RENEWAL = None
        before = timers()
        await join(layer, "a", "one")
        assert timers() == before
        await leave(layer, "a", "one")

    async def test_a_membership_is_renewed_before_the_layer_ends_it(self, settings: Any) -> None:
        class Expiring(LocalLayer):
            group_expiry = 0.004

        settings.CHANNELS_GROUP_RENEWAL = 3600
        layer = Expiring()
        await join(layer, "a", "one")
        await until(lambda: times(layer, "group_add", "a") > 2)
        await leave(layer, "a", "one")

    async def test_many_renewals_let_other_tasks_run(self, layer: LocalLayer) -> None:
        names = [str(number) for number in range(200)]
        for name in names:
            await join(layer, "a", name)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        begun = times(layer, "group_add", "a")
        counting = asyncio.create_task(count())
        await until(lambda: times(layer, "group_add", "a") >= begun + 200)
        counting.cancel()
        assert turns >= 4
        for name in names:
            await leave(layer, "a", name)


class TestOutage:
    async def test_a_group_is_left_when_the_layer_is_back(
        self, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "django.channels.layers")
        for name in ("one", "two", "three"):
            await join(layer, "a", name)
        layer.faults |= {"group_discard": AWAY, "group_add": AWAY}
        for name in ("one", "two"):
            await end_in_outage(layer, "a", name)
        tried = len(layer.calls)
        await until(lambda: len(layer.calls) > tried + 3)
        assert layer.groups["a"] == {"one", "two", "three"}
        layer.faults.clear()
        await until(lambda: layer.groups["a"] == {"three"})
        await until(lambda: len(caplog.records) == 2)
        fails, works = (record.getMessage() for record in caplog.records)
        assert fails.endswith("ConnectionError: no layer")
        assert "works again" in works
        await leave(layer, "a", "three")

    async def test_a_removal_does_not_wait_for_the_next_renewal(
        self, settings: Any, layer: LocalLayer
    ) -> None:
        settings.CHANNELS_GROUP_RENEWAL = 3600
        await join(layer, "a", "one")
        await join(layer, "b", "one")
        layer.faults["group_discard"] = AWAY
        await end_in_outage(layer, "a", "one")
        layer.faults.clear()
        await until(lambda: layer.members == 1)
        await leave(layer, "b", "one")

    async def test_a_removal_is_repeated_without_renewals(
        self, settings: Any, layer: LocalLayer
    ) -> None:
        settings.CHANNELS_GROUP_RENEWAL = 0
        await join(layer, "a", "one")
        layer.faults["group_discard"] = AWAY
        await end_in_outage(layer, "a", "one")
        tried = len(layer.calls)
        await until(lambda: len(layer.calls) > tried + 1)
        layer.faults.clear()
        await until(lambda: layer.members == 0)

    async def test_messages_that_came_in_the_meantime_are_dropped(self) -> None:
        class Keeping(LocalLayer):
            async def forget_channel(self, channel: str) -> None:
                self.queues.pop(channel, None)

        layer = Keeping()
        await join(layer, "a", "one")
        layer.faults["group_discard"] = AWAY
        await end_in_outage(layer, "a", "one")
        await layer.group_send("a", {"type": "note"})
        assert layer.queues["one"].qsize() == 1
        layer.faults.clear()
        await until(lambda: not layer.queues)
        assert layer.members == 0

    async def test_an_error_that_is_not_an_outage_is_raised(self, layer: LocalLayer) -> None:
        await join(layer, "a", "one")
        layer.faults["group_discard"] = LookupError("broken")
        with pytest.raises(LookupError, match="broken"):
            await end_in_outage(layer, "a", "one")

    async def test_an_error_does_not_stop_other_renewals(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(LocalLayer):
            async def group_add(self, group: str, channel: str) -> None:
                await super().group_add(group, channel)
                if group == "a" and times(self, "group_add", "a") > 1:
                    raise LookupError("broken")

        layer = Broken()
        await join(layer, "a", "one")
        await join(layer, "b", "one")
        await layer.flush()
        await until(lambda: times(layer, "group_add", "b") > 3)
        assert layer.groups["b"] == {"one"}
        [record] = caplog.records
        assert "LookupError: broken" in record.getMessage()
        await leave(layer, "a", "one")
        await leave(layer, "b", "one")


def test_a_loop_that_was_closed_is_forgotten() -> None:
    layer = LocalLayer()
    loops = []

    async def begin() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await join(layer, "a", "one")

    asyncio.run(begin())
    asyncio.run(begin())
    gc.collect()
    assert loops[0]() is None


@both_colours
async def test_a_consumers_groups_are_kept(colour: str, layer: LocalLayer) -> None:
    def connect(self: Any) -> Any:
        yield self.join_group("joined")
        yield self.accept()

    server = Server(consumer(colour, groups=["declared"], connect=connect).as_asgi())
    await server.connect()
    await layer.flush()
    await until(lambda: layer.members == 2)
    await server.leave()
    assert layer.members == 0


async def test_a_router_does_not_raise_an_outage_at_the_end(layer: LocalLayer) -> None:
    routed = ProtocolTypeRouter({"websocket": consumer("async", groups=["g"]).as_asgi()})
    server = Server(routed, {"type": "websocket"})
    await server.connect()
    layer.faults |= {"group_discard": AWAY}
    await server.leave()
    layer.faults.clear()
    await until(lambda: layer.members == 0)


@both_colours
async def test_a_connection_ends_in_order_during_an_outage(
    colour: str, layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def disconnect(self: Any, code: int) -> Any:
        seen.append(code)
        yield None

    servers = [
        Server(consumer(colour, groups=["g"], disconnect=disconnect).as_asgi()) for _ in range(3)
    ]
    for server in servers:
        await server.connect()
    layer.faults |= {"group_discard": AWAY, "group_add": AWAY}
    for server in servers:
        with pytest.raises(ConnectionError, match="no layer"):
            await server.leave()
    assert seen == [1000] * 3
    assert len(caplog.records) == 1
    layer.faults.clear()
    await until(lambda: layer.members == 0)


async def test_nothing_is_left_in_the_event_loop(layer: LocalLayer, settings: Any) -> None:
    settings.CHANNELS_GROUP_RENEWAL = 60  # so that no round begins meanwhile

    class Member(AsyncWebsocketConsumer):
        groups = ["g"]

    before = asyncio.all_tasks()
    server = Server(Member.as_asgi())
    await server.connect()
    assert timers() == 1
    await server.leave()
    assert timers() == 0
    assert asyncio.all_tasks() == before
