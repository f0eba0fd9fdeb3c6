"""Memberships that are renewed, and groups that are left late."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from channels_core._layers import memberships as _memberships
from channels_core._layers.memberships import join, leave, leave_when_possible
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.routing import ProtocolTypeRouter
from colours import both_colours, consumer
from fakes import LocalLayer, Server, until

AWAY = ConnectionError("no layer")


async def leave_in_outage(layer: LocalLayer, group: str, channel: str) -> None:
    with pytest.raises(ConnectionError, match="no layer"):
        await leave_when_possible(layer, group, channel)


@pytest.fixture(autouse=True)
def short(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.CHANNELS_GROUP_RENEWAL = 0.001
    monkeypatch.setattr(_memberships, "_SOON", 0.001)
    yield
    assert not any(layers for loop, layers in _memberships._loops.items() if not loop.is_closed())


def times(layer: LocalLayer, name: str, group: str) -> int:
    return layer.calls.count((name, group))


class TestRenewal:
    async def test_a_layer_that_forgot_is_told_again(self, layer: LocalLayer) -> None:
        await join(layer, "a", "one")
        await join(layer, "b", "two")
        await layer.flush()
        await until(lambda: layer.members == 2)
        assert (layer.groups["a"], layer.groups["b"]) == ({"one"}, {"two"})
        await leave(layer, "a", "one")
        await leave(layer, "b", "two")

    async def test_what_was_left_is_not_renewed(self, layer: LocalLayer) -> None:
        await join(layer, "a", "one")
        await join(layer, "b", "one")
        await leave(layer, "a", "one")
        await layer.flush()
        await until(lambda: times(layer, "group_add", "b") > 3)
        assert times(layer, "group_add", "a") == 1
        assert not layer.groups["a"]
        await leave(layer, "b", "one")

    async def test_what_is_left_while_it_is_renewed_stays_left(self) -> None:
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

    async def test_what_is_left_before_its_turn_is_not_renewed(self) -> None:
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

    async def test_what_is_joined_again_while_it_is_left_late_stays_joined(self) -> None:
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
        await leave_in_outage(layer, "a", "one")
        layer.faults.clear()
        await begun.wait()
        await join(layer, "a", "one")
        going_on.set()
        await until(lambda: layer.members == 1 and times(layer, "group_add", "a") > 2)
        await leave(layer, "a", "one")
        assert layer.members == 0

    async def test_what_the_program_has_discarded_itself_is_not_renewed(
        self, layer: LocalLayer
    ) -> None:
        await join(layer, "a", "one")
        await join(layer, "b", "one")
        await layer.group_discard("a", "one")
        await until(lambda: times(layer, "group_add", "b") > 3)
        assert times(layer, "group_add", "a") == 1
        # A name that is none is the layer's to refuse.
        with pytest.raises(TypeError, match="unhashable"):
            await layer.group_discard("a", ["one"])  # type: ignore[arg-type] # as just said
        await leave(layer, "b", "one")

    async def test_nor_what_was_discarded_through_another_object(self, layer: LocalLayer) -> None:
        await join(layer, "a", "one")
        await join(layer, "b", "one")
        await LocalLayer().group_discard("a", "one")
        await until(lambda: times(layer, "group_add", "b") > 3)
        assert times(layer, "group_add", "a") == 1
        await leave(layer, "b", "one")

    async def test_nor_what_was_discarded_in_another_thread(self, layer: LocalLayer) -> None:
        await join(layer, "a", "one")
        [held] = _memberships._loops[asyncio.get_running_loop()].values()
        await asyncio.to_thread(lambda: asyncio.run(layer.group_discard("a", "one")))
        assert not held.keeps("a", "one")
        # The loop forgets the layer when it comes to it.
        await until(lambda: not _memberships._loops[asyncio.get_running_loop()])
        assert held._timer is None

    async def test_what_is_joined_again_at_once_is_renewed(self, layer: LocalLayer) -> None:
        await join(layer, "a", "one")

        def discard() -> None:
            asyncio.run(layer.group_discard("a", "one"))

        thread = threading.Thread(target=discard)
        thread.start()
        thread.join()
        # What the thread has left to this loop is done after this.
        await join(layer, "a", "one")
        await until(lambda: times(layer, "group_add", "a") > 3)
        await layer.group_discard("a", "one")
        await join(layer, "a", "one")
        await until(lambda: times(layer, "group_add", "a") > 6)
        await leave(layer, "a", "one")

    async def test_a_layer_that_was_let_go_and_used_again_keeps_its_memberships(
        self, layer: LocalLayer
    ) -> None:
        await join(layer, "a", "one")
        [held] = _memberships._loops[asyncio.get_running_loop()].values()
        await layer.group_discard("a", "one")
        await join(layer, "b", "one")
        held._tidy()  # as another thread has asked for
        await until(lambda: times(layer, "group_add", "b") > 3)
        await leave(layer, "b", "one")

    def test_a_loop_that_was_closed_is_in_nobodys_way(self, layer: LocalLayer) -> None:
        asyncio.run(join(layer, "a", "one"))
        asyncio.run(layer.group_discard("a", "one"))
        assert not any(
            held.keeps("a", "one")
            for each in _memberships._loops.values()
            for held in each.values()
        )

    async def test_none(self, settings: Any, layer: LocalLayer) -> None:
        settings.CHANNELS_GROUP_RENEWAL = None
        await join(layer, "a", "one")
        [held] = _memberships._loops[asyncio.get_running_loop()].values()
        assert held._timer is None
        await leave(layer, "a", "one")

    async def test_before_the_layer_ends_a_membership(self, settings: Any) -> None:
        class Expiring(LocalLayer):
            group_expiry = 0.004

        settings.CHANNELS_GROUP_RENEWAL = 3600
        layer = Expiring()
        await join(layer, "a", "one")
        await until(lambda: times(layer, "group_add", "a") > 2)
        await leave(layer, "a", "one")

    async def test_many_leave_room_for_others(self, layer: LocalLayer) -> None:
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
            await leave_in_outage(layer, "a", name)
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

    async def test_that_is_not_put_off_until_the_next_renewal(
        self, settings: Any, layer: LocalLayer
    ) -> None:
        settings.CHANNELS_GROUP_RENEWAL = 3600
        await join(layer, "a", "one")
        await join(layer, "b", "one")
        layer.faults["group_discard"] = AWAY
        await leave_in_outage(layer, "a", "one")
        layer.faults.clear()
        await until(lambda: layer.members == 1)
        await leave(layer, "b", "one")

    async def test_without_renewals_too(self, settings: Any, layer: LocalLayer) -> None:
        settings.CHANNELS_GROUP_RENEWAL = 0
        await join(layer, "a", "one")
        layer.faults["group_discard"] = AWAY
        await leave_in_outage(layer, "a", "one")
        tried = len(layer.calls)
        await until(lambda: len(layer.calls) > tried + 1)
        layer.faults.clear()
        await until(lambda: layer.members == 0)
        await until(lambda: not _memberships._loops[asyncio.get_running_loop()])

    async def test_what_came_in_the_meantime_is_dropped(self) -> None:
        class Keeping(LocalLayer):
            async def forget_channel(self, channel: str) -> None:
                self.queues.pop(channel, None)

        layer = Keeping()
        await join(layer, "a", "one")
        layer.faults["group_discard"] = AWAY
        await leave_in_outage(layer, "a", "one")
        await layer.group_send("a", {"type": "note"})
        assert layer.queues["one"].qsize() == 1
        layer.faults.clear()
        await until(lambda: not layer.queues)
        assert layer.members == 0

    async def test_a_fault_is_the_callers(self, layer: LocalLayer) -> None:
        await join(layer, "a", "one")
        layer.faults["group_discard"] = LookupError("broken")
        with pytest.raises(LookupError, match="broken"):
            await leave_in_outage(layer, "a", "one")

    async def test_a_fault_keeps_no_other_from_being_renewed(
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


def test_a_loop_that_has_ended_is_forgotten() -> None:
    layer = LocalLayer()
    loops = []

    async def begin() -> None:
        loops.append(asyncio.get_running_loop())
        await join(layer, "a", "one")

    asyncio.run(begin())
    asyncio.run(begin())
    assert loops[0] not in _memberships._loops
    assert loops[1] in _memberships._loops
    del _memberships._loops[loops[1]]


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


async def test_a_router_tells_no_server_of_what_could_not_be_left(layer: LocalLayer) -> None:
    routed = ProtocolTypeRouter({"websocket": consumer("async", groups=["g"]).as_asgi()})
    server = Server(routed, {"type": "websocket"})
    await server.connect()
    layer.faults |= {"group_discard": AWAY}
    await server.leave()
    layer.faults.clear()
    await until(lambda: layer.members == 0)


@both_colours
async def test_a_connection_ends_in_order_though_the_layer_is_away(
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


async def test_nothing_is_left_in_the_event_loop(layer: LocalLayer) -> None:
    class Member(AsyncWebsocketConsumer):
        groups = ["g"]

    before = asyncio.all_tasks()
    server = Server(Member.as_asgi())
    await server.connect()
    await server.leave()
    assert asyncio.all_tasks() == before
    assert not _memberships._loops[asyncio.get_running_loop()]
