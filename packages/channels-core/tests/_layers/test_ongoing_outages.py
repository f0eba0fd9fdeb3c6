"""One log line for an outage of the channel layer, and refused handshakes instead of exceptions."""

import asyncio
import logging
import sys
from collections.abc import Iterator
from copy import copy
from types import ModuleType
from typing import Any

import pytest
from django.test import override_settings

from channels_core._layers import channels_redis, ongoing_outages
from channels_core._layers.outages import ongoing
from channels_core.exceptions import StopConsumer
from channels_core.generic.groups import AsyncGroupMember
from channels_core.layers import channel_layers
from channels_core.refusal import refusing_in_outages
from channels_core.routing import ProtocolTypeRouter
from channels_core.typing import Message, Receive, Scope, Send
from colours import both_colours, consumer
from fakes import LocalLayer, Server, until

AWAY = ConnectionError("no store")
#: What each server sets, with the extension for refusals.
SERVED: Scope = {"asgi": {"version": "3.0"}, "extensions": {"websocket.http.response": {}}}
#: A server without that extension.
PLAIN: Scope = {"asgi": {"version": "3.0"}}

FAILS = "The channel layer fails"
WORKS = "The channel layer works again"


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "django.channels")
    return caplog


class Clock:
    """A clock that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(ongoing_outages, "monotonic", clock)
    return clock


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an outage be over as soon as the layer has worked."""
    monkeypatch.setattr(ongoing_outages, "_STEADY", 0.0)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    ongoing.clear()
    yield
    ongoing.clear()


def routed(application: Any) -> Any:
    return ProtocolTypeRouter({"websocket": application, "http": application})


def member(colour: str = "async", **members: Any) -> Any:
    """Return the application of a consumer that joins a group before `connect`."""
    return routed(consumer(colour, groups=["room"], **members).as_asgi())


async def refused(application: Any, scope: Scope = SERVED) -> list[Message]:
    """Return what the server gets for a handshake that is refused without an exception."""
    server = Server(application, scope)
    server.put({"type": "websocket.connect"})
    await server.end()
    return server.received


def is_unavailable(messages: list[Message]) -> bool:
    return [message.get("status") for message in messages] == [503, None]


def is_accepted(messages: list[Message]) -> bool:
    return [message["type"] for message in messages] == ["websocket.accept"]


def levels(log: pytest.LogCaptureFixture) -> list[str]:
    return [f"{record.levelname} {record.getMessage()}" for record in log.records]


def has_one_line(log: pytest.LogCaptureFixture) -> bool:
    """Return whether the log has the line of an outage, and nothing else."""
    (record,) = log.records
    return record.getMessage().startswith(FAILS) and record.exc_info is None


class TestHandshake:
    @both_colours
    async def test_a_declared_group(self, colour: str, layer: LocalLayer, log: Any) -> None:
        layer.faults["group_add"] = AWAY
        application = member(colour)
        for _ in range(3):
            assert is_unavailable(await refused(application))
        assert levels(log) == [
            (
                "ERROR The channel layer fails; until it works again, connections that need it are "
                "refused or closed, and memberships and failed removals are repeated: "
                "ConnectionError: no store"
            )
        ]

    async def test_without_the_extension_the_close_code_is_1013(self, layer: LocalLayer) -> None:
        layer.faults["group_add"] = AWAY
        (close,) = await refused(member(), PLAIN)
        assert close == {"type": "websocket.close", "code": 1013, "reason": "Try again later"}

    async def test_a_new_channel(self, layer: LocalLayer, log: Any) -> None:
        layer.faults["new_channel"] = AWAY
        assert is_unavailable(await refused(member()))
        assert has_one_line(log)

    @both_colours
    async def test_a_call_in_connect(self, colour: str, layer: LocalLayer, log: Any) -> None:
        def connect(self: Any) -> Any:
            yield self.join_group("room")
            yield self.accept()

        layer.faults["group_add"] = AWAY
        application = routed(consumer(colour, connect=connect).as_asgi())
        assert is_unavailable(await refused(application))
        assert has_one_line(log)

    async def test_a_call_of_the_layer_itself_in_connect(self, layer: LocalLayer, log: Any) -> None:
        def connect(self: Any) -> Any:
            yield self.channel_layer.group_add("room", self.channel_name)
            yield self.accept()

        layer.faults["group_add"] = AWAY
        application = routed(consumer("async", connect=connect).as_asgi())
        assert is_unavailable(await refused(application))
        assert has_one_line(log)

    async def test_an_error_of_another_server_stays_an_exception(
        self, layer: LocalLayer, log: Any
    ) -> None:
        def connect(self: Any) -> Any:
            yield fetch()

        async def fetch() -> None:
            raise copy(AWAY)

        application = routed(consumer("async", connect=connect).as_asgi())
        with pytest.raises(ConnectionError, match="no store"):
            await refused(application)
        assert log.records[0].exc_info

    async def test_a_fault_of_the_layer_stays_an_exception(
        self, layer: LocalLayer, log: Any
    ) -> None:
        layer.faults["group_add"] = KeyError("a bug")
        with pytest.raises(KeyError, match="a bug"):
            await refused(member())
        assert log.records[0].exc_info

    @pytest.mark.parametrize("where", ["without a router", "without a server"])
    async def test_a_test_sees_the_exception(self, where: str, layer: LocalLayer, log: Any) -> None:
        layer.faults["group_add"] = AWAY
        application = consumer("async", groups=["room"]).as_asgi()
        if where == "without a server":
            application = routed(application)
        scope = SERVED if where == "without a router" else {}
        for _ in range(2):
            with pytest.raises(ConnectionError, match="no store"):
                await refused(application, scope)
        assert [bool(record.exc_info) for record in log.records] == [True, True]

    @pytest.mark.parametrize("closes", [False, True])
    async def test_an_application_that_accepts_by_itself_is_closed(
        self, closes: bool, layer: LocalLayer
    ) -> None:
        class Raw(consumer("async")):  # type: ignore[misc] # made by a function
            async def websocket_connect(self, message: Message) -> None:
                await self.base_send({"type": "websocket.accept"})
                if closes:
                    await self.base_send({"type": "websocket.close", "code": 4000})
                await self.join_group("room")

        layer.faults["group_add"] = AWAY
        _, close = await refused(routed(Raw.as_asgi()))
        assert close["code"] == (4000 if closes else 1012)


class TestBackOff:
    async def test_handshakes_are_refused_without_asking_the_layer(
        self, layer: LocalLayer, clock: Clock
    ) -> None:
        layer.faults["group_add"] = AWAY
        application = member()
        await refused(application)
        tried = len(layer.calls)
        for _ in range(10):
            assert is_unavailable(await refused(application))
        assert len(layer.calls) == tried

    async def test_one_handshake_is_let_in_after_each_wait(
        self, layer: LocalLayer, clock: Clock
    ) -> None:
        layer.faults["group_add"] = AWAY
        application = member()
        await refused(application)
        for tries in (2, 3, 4):
            clock.now += 1
            for _ in range(3):
                await refused(application)
            assert layer.calls.count(("group_add", "room")) == tries

    async def test_a_slow_one_does_not_keep_the_next_one_out(
        self, layer: LocalLayer, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        layer.faults["group_add"] = AWAY
        application = member()
        await refused(application)
        layer.faults.clear()
        hangs = asyncio.Event()

        async def group_add(group: str, channel: str) -> None:
            await hangs.wait()

        monkeypatch.setattr(layer, "group_add", group_add)
        slow = []
        for _ in range(2):
            clock.now += 1
            slow.append(Server(application, SERVED))
            slow[-1].put({"type": "websocket.connect"})
            await until(lambda: not slow[-1].inbox.qsize())
            assert is_unavailable(await refused(application))
        hangs.set()
        for server in slow:
            await server.replies(1)
            await server.leave()

    async def test_those_that_do_not_need_the_layer_are_served(
        self, layer: LocalLayer, clock: Clock
    ) -> None:
        layer.faults["group_add"] = AWAY
        await refused(member())
        server = Server(routed(consumer("async").as_asgi()), SERVED)
        assert is_accepted(await server.connect())
        await server.leave()

    async def test_a_test_is_never_refused(self, layer: LocalLayer, clock: Clock) -> None:
        layer.faults["group_add"] = AWAY
        application = member()
        await refused(application)
        layer.faults.clear()
        server = Server(application)
        assert is_accepted(await server.connect())
        await server.leave()

    async def test_once_one_has_joined_all_are_let_in(
        self, layer: LocalLayer, clock: Clock
    ) -> None:
        layer.faults["group_add"] = AWAY
        application = member()
        await refused(application)
        layer.faults.clear()
        clock.now += 1
        servers = []
        for _ in range(5):
            server = Server(application, SERVED)
            servers.append(server)
            assert is_accepted(await server.connect())
        for server in servers:
            await server.leave()

    async def test_once_one_is_accepted_all_are_let_in(
        self, layer: LocalLayer, clock: Clock
    ) -> None:
        """As with `group_add` of the layer itself, which nobody sees."""

        def connect(self: Any) -> Any:
            yield self.channel_layer.group_add("room", self.channel_name)
            yield self.accept()

        application = routed(consumer("async", connect=connect).as_asgi())
        layer.faults["group_add"] = AWAY
        await refused(application)
        layer.faults.clear()
        clock.now += 1
        for _ in range(5):
            server = Server(application, SERVED)
            assert is_accepted(await server.connect())
            await server.leave()

    async def test_a_refusal_by_the_program_proves_nothing(
        self, layer: LocalLayer, clock: Clock
    ) -> None:
        def connect(self: Any) -> Any:
            if self.scope["path"] == "/denied/":
                yield self.close()
            else:
                yield self.join_group("room")

        application = routed(consumer("async", connect=connect).as_asgi())
        layer.faults["group_add"] = AWAY
        await refused(application)
        clock.now += 1
        server = Server(application, {**SERVED, "path": "/denied/"})
        assert [message["type"] for message in await server.connect()] == ["websocket.close"]
        await server.leave()
        assert is_unavailable(await refused(application, {**SERVED, "path": "/denied/"}))

    async def test_an_accept_before_the_failure_proves_nothing(
        self, layer: LocalLayer, clock: Clock
    ) -> None:
        def connect(self: Any) -> Any:
            yield self.accept()
            yield self.join_group("room")

        application = routed(consumer("async", connect=connect).as_asgi())
        layer.faults["group_add"] = AWAY
        for _ in range(2):
            server = Server(application, SERVED)
            await server.connect()
            await server.end()
            assert server.received[1:] == [
                {"type": "websocket.close", "code": 1012, "reason": "Service restart"}
            ]
            for _ in range(3):
                assert is_unavailable(await refused(application))
            clock.now += 1


class TestAfterTheHandshake:
    @both_colours
    async def test_a_handler_that_fails(self, colour: str, layer: LocalLayer, log: Any) -> None:
        ended: list[int] = []

        def receive(self: Any, text_data: Any = None, bytes_data: Any = None) -> Any:
            yield self.join_group("room")

        def disconnect(self: Any, code: int) -> Any:
            ended.append(code)
            yield None

        application = routed(consumer(colour, receive=receive, disconnect=disconnect).as_asgi())
        servers = [Server(application, SERVED) for _ in range(3)]
        for server in servers:
            await server.connect()
        layer.faults["group_add"] = AWAY
        for server in servers:
            server.text("join")
            await server.end()
            assert server.received[1:] == [
                {"type": "websocket.close", "code": 1012, "reason": "Service restart"}
            ]
        assert ended == [1012] * 3
        assert has_one_line(log)

    async def test_handshakes_that_do_not_fail_are_accepted(
        self, layer: LocalLayer, clock: Clock
    ) -> None:
        def receive(self: Any, text_data: Any = None, bytes_data: Any = None) -> Any:
            yield self.join_group("room")

        application = routed(consumer("async", receive=receive).as_asgi())
        layer.faults["group_add"] = AWAY
        for _ in range(3):
            server = Server(application, SERVED)
            assert is_accepted(await server.connect())
            server.text("join")
            await server.end()

    async def test_a_test_sees_the_exception(self, layer: LocalLayer, log: Any) -> None:
        def receive(self: Any, text_data: Any = None, bytes_data: Any = None) -> Any:
            yield self.join_group("room")

        server = Server(routed(consumer("async", receive=receive).as_asgi()))
        await server.connect()
        layer.faults["group_add"] = AWAY
        server.text("join")
        with pytest.raises(ConnectionError, match="no store"):
            await server.end()
        assert is_accepted(server.received)

    async def test_the_layer_fails_in_receive(
        self, layer: LocalLayer, log: Any, clock: Clock
    ) -> None:
        application = member()
        servers = [Server(application, SERVED) for _ in range(3)]
        for server in servers:
            await server.connect()
        layer.faults["receive"] = AWAY
        await layer.group_send("room", {"type": "ping"})
        for server in servers:
            await server.end()
            assert server.received[1]["code"] == 1012
        assert has_one_line(log)
        assert is_unavailable(await refused(application))

    async def test_a_fault_of_receive_stays_an_exception(self, layer: LocalLayer, log: Any) -> None:
        server = Server(member(), SERVED)
        await server.connect()
        layer.faults["receive"] = KeyError("a bug")
        await layer.group_send("room", {"type": "ping"})
        with pytest.raises(KeyError, match="a bug"):
            await server.end()

    async def test_disconnect_fails(self, layer: LocalLayer, log: Any) -> None:
        def disconnect(self: Any, code: int) -> Any:
            yield self.channel_layer.group_discard("other", self.channel_name)

        server = Server(routed(consumer("async", disconnect=disconnect).as_asgi()), SERVED)
        await server.connect()
        layer.faults["group_discard"] = AWAY
        await server.leave()
        assert has_one_line(log)


class TestEnd:
    @pytest.mark.usefixtures("soon")
    async def test_it_is_logged_once(self, layer: LocalLayer, log: Any, clock: Clock) -> None:
        layer.faults["group_add"] = AWAY
        application = member()
        for _ in range(3):
            await refused(application)
        layer.faults.clear()
        clock.now += 12
        servers = []
        for _ in range(3):
            servers.append(Server(application, SERVED))
            await servers[-1].connect()
        await until(lambda: not ongoing)
        assert levels(log)[1:] == [
            "INFO The channel layer works again, after 12 seconds; 3 connections were refused"
        ]
        for server in servers:
            await server.leave()

    async def test_a_failure_soon_after_belongs_to_the_same_outage(
        self, layer: LocalLayer, log: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One of several stores may be away, so that some calls work."""
        failing, working = member(), routed(consumer("async", groups=["other"]).as_asgi())
        group_add = layer.group_add

        async def group_add_in_part(group: str, channel: str) -> None:
            if group == "room":
                raise copy(AWAY)
            await group_add(group, channel)

        monkeypatch.setattr(layer, "group_add", group_add_in_part)
        for _ in range(3):
            clock.now += 1
            await refused(failing)
            server = Server(working, SERVED)
            await server.connect()
            clock.now += 1
            await refused(failing)
            await server.leave()
        (outage,) = ongoing.values()
        # What the timers call that the successes have started.
        for failures in range(6):
            outage._end(failures)
        assert has_one_line(log)

    @pytest.mark.usefixtures("soon")
    async def test_of_handshakes_that_ask_for_nothing_visible(
        self, layer: LocalLayer, log: Any, clock: Clock
    ) -> None:
        """A class whose connections failed in `receive`: accepting proves nothing, staying does."""
        application = routed(consumer("async").as_asgi())
        server = Server(application, SERVED)
        await server.connect()
        layer.faults["receive"] = AWAY
        await layer.send("specific.1!1", {"type": "ping"})
        await server.end()
        assert is_unavailable(await refused(application))
        layer.faults.clear()
        clock.now += 1
        server = Server(application, SERVED)
        await server.connect()
        await until(lambda: not ongoing)
        assert WORKS in levels(log)[-1]
        await server.leave()

    @pytest.mark.usefixtures("soon")
    async def test_not_while_the_handshake_waits(
        self, layer: LocalLayer, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        application = member()
        layer.faults["group_add"] = AWAY
        await refused(application)
        clock.now += 1
        asked, hangs = asyncio.Event(), asyncio.Event()

        async def group_add(group: str, channel: str) -> None:
            asked.set()
            await hangs.wait()
            raise copy(AWAY)

        monkeypatch.setattr(layer, "group_add", group_add)
        server = Server(application, SERVED)
        server.put({"type": "websocket.connect"})
        await asked.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert ongoing
        hangs.set()
        await server.end()
        assert is_unavailable(server.received)

    async def test_an_outage_of_an_event_loop_that_has_ended_is_forgotten(
        self, layer: LocalLayer, log: Any
    ) -> None:
        def fail() -> None:
            async def refuse_one() -> None:
                await refused(member())

            asyncio.run(refuse_one())

        layer.faults["group_add"] = AWAY
        await asyncio.to_thread(fail)
        layer.faults.clear()
        application = member()
        server = Server(application, SERVED)
        await server.connect()
        await server.leave()
        assert not ongoing
        layer.faults["group_add"] = AWAY
        await asyncio.to_thread(fail)
        other = LocalLayer()
        ongoing_outages.record_failure(other, AWAY)
        assert [outage.layer for outage in ongoing.values()] == [other]


class Request(AsyncGroupMember):
    """A consumer of HTTP requests, as a plugin may have one."""

    groups = ["room"]

    async def http_request(self, message: Message) -> None:
        connection = self._channels_connection
        if message.get("body") == b"begin":
            await self.send({"type": "http.response.start", "status": 200, "headers": []})
        for name in connection.join_declared(self):
            await connection.groups.join(self, name)

    async def disconnect(self) -> None:
        pass

    async def http_disconnect(self, message: Message) -> None:
        await self._channels_connection.finish()
        raise StopConsumer


class TestHttp:
    """Requests of a consumer that does not answer an outage itself."""

    async def ask(self, body: bytes = b"") -> list[Message]:
        server = Server(routed(Request.as_asgi()), {**SERVED, "type": "http", "method": "GET"})
        server.put({"type": "http.request", "body": body})
        await server.end()
        return server.received

    async def test_a_request_that_fails_before_its_handler(
        self, layer: LocalLayer, log: Any
    ) -> None:
        layer.faults["new_channel"] = AWAY
        assert is_unavailable(await self.ask())
        assert has_one_line(log)

    async def test_a_request_that_cannot_join_its_groups(
        self, layer: LocalLayer, log: Any, clock: Clock
    ) -> None:
        layer.faults["group_add"] = AWAY
        for _ in range(3):
            assert is_unavailable(await self.ask())
        assert layer.calls.count(("group_add", "room")) == 1
        assert has_one_line(log)

    async def test_a_response_that_has_begun_ends(self, layer: LocalLayer, log: Any) -> None:
        layer.faults["group_add"] = AWAY
        (start,) = await self.ask(b"begin")
        assert start["status"] == 200
        assert has_one_line(log)

    async def test_the_end_of_a_request_is_no_handshake(
        self, layer: LocalLayer, log: Any, clock: Clock
    ) -> None:
        application = routed(Request.as_asgi())
        scope = {**SERVED, "type": "http", "method": "GET"}
        server = Server(application, scope)
        server.put({"type": "http.request", "body": b"begin"})
        await server.replies(1)
        await until(lambda: layer.members == 1)
        layer.faults["group_discard"] = AWAY
        server.put({"type": "http.disconnect"})
        await server.end()
        assert has_one_line(log)
        (outage,) = ongoing.values()
        assert outage._kinds == {}


class TestCameFromLayer:
    def test_what_is_no_outage_never_does(self) -> None:
        assert not ongoing_outages.came_from_layer(LocalLayer(), KeyError(), None)

    async def test_a_function_of_the_program_with_a_layer_does_not(self, layer: LocalLayer) -> None:
        def notify(layer: Any) -> None:
            raise copy(AWAY)

        with pytest.raises(ConnectionError) as caught:
            notify(layer)
        assert not ongoing_outages.came_from_layer(layer, caught.value, None)

    async def test_an_object_of_the_layers_module_does(self, layer: LocalLayer) -> None:
        """As the inner layer of channels-redis, one for each event loop."""
        server = Server(nothing)
        server.fault = copy(AWAY)
        with pytest.raises(ConnectionError) as caught:
            await server._send({})
        assert ongoing_outages.came_from_layer(layer, caught.value, None)
        assert not ongoing_outages.came_from_layer(layer, caught.value, server)
        await server.end()


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    pass


class PubSubLayer(LocalLayer):
    """Stands for the layer of channels-redis that publishes and subscribes."""

    __module__ = "channels_redis.pubsub"


class TestLogOfChannelsRedis:
    """Of its layer that publishes and subscribes."""

    theirs = logging.getLogger("channels_redis.pubsub")

    @pytest.fixture(autouse=True)
    def no_filter(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(channels_redis, "_latest", -1000.0)
        yield
        self.theirs.filters.clear()

    def log_error(self, error: Exception, at: float = 0.0) -> None:
        """Log an error as the layer does, at a time in seconds."""
        record = self.theirs.makeRecord(
            self.theirs.name, logging.ERROR, "", 0, "", (), (type(error), error, None)
        )
        record.created = at
        self.theirs.handle(record)

    async def test_it_does_not_repeat_an_outage_that_is_told(self, log: Any) -> None:
        ongoing_outages.record_failure(PubSubLayer(), AWAY)
        log.clear()
        self.log_error(copy(AWAY))
        assert not log.records
        self.log_error(KeyError("a bug"))
        self.theirs.error("without an exception")
        assert len(log.records) == 2
        ongoing.clear()
        self.log_error(copy(AWAY), at=100)
        assert len(log.records) == 3

    def test_it_tells_an_outage_once_while_no_connection_needs_the_layer(
        self, log: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = ModuleType("channels_redis.pubsub")
        vars(module)["RedisPubSubChannelLayer"] = PubSubLayer
        monkeypatch.setitem(sys.modules, "channels_redis", ModuleType("channels_redis"))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        path = "channels_redis.pubsub.RedisPubSubChannelLayer"
        with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": path}}):
            channel_layers.make_backend("default")
        for second in range(100):
            self.log_error(copy(AWAY), at=second)
        assert len(log.records) == 1
        self.log_error(copy(AWAY), at=150)
        assert len(log.records) == 2

    def test_another_layer_leaves_its_log_alone(self) -> None:
        channels_redis.log_outages_once(LocalLayer())
        assert not self.theirs.filters


class TestMiddleware:
    """Middleware that calls the layer before its application runs."""

    def application(self, layer: LocalLayer) -> Any:
        async def joining(scope: Scope, receive: Receive, send: Send) -> None:
            with refusing_in_outages(layer, scope):
                await layer.group_add("room", "specific.1!a")
            await consumer("async").as_asgi()(scope, receive, send)

        return joining

    @pytest.mark.usefixtures("soon")
    async def test_its_handshake_is_refused(
        self, layer: LocalLayer, log: Any, clock: Clock
    ) -> None:
        application = routed(self.application(layer))
        layer.faults["group_add"] = AWAY
        for _ in range(2):
            assert is_unavailable(await refused(application))
        assert has_one_line(log)
        layer.faults.clear()
        server = Server(application, SERVED)
        await server.connect()
        await until(lambda: not ongoing)
        assert levels(log)[-1].endswith("; 2 connections were refused")
        await server.leave()

    async def test_without_an_outage_nothing_is_logged(self, layer: LocalLayer, log: Any) -> None:
        server = Server(routed(self.application(layer)), SERVED)
        await server.connect()
        await server.leave()
        assert not log.records

    async def test_a_fault_is_no_outage(self, layer: LocalLayer) -> None:
        layer.faults["group_add"] = KeyError("a fault")
        with pytest.raises(KeyError):
            await refused(routed(self.application(layer)))
        assert not ongoing

    async def test_without_a_router_nothing_is_done(self, layer: LocalLayer) -> None:
        layer.faults["group_add"] = AWAY
        with pytest.raises(ConnectionError):
            await refused(self.application(layer))
        assert not ongoing
