"""Membership in groups, of WebSocket consumers and of any other."""

import asyncio
from typing import Any, ClassVar

import pytest

from channels_core.consumer import AsyncConsumer, SyncConsumer, hook
from channels_core.exceptions import InvalidChannelLayerError, StopConsumer
from channels_core.generic import groups as groups_module
from channels_core.generic.groups import (
    AsyncGroupMember,
    SyncGroupMember,
    group_names,
)
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.layers import BaseChannelLayer, channel_layers, has_groups
from colours import both_colours, consumer
from fakes import LocalLayer, Server


def test_group_names() -> None:
    assert group_names(None) == []
    assert group_names(("a", "b")) == ["a", "b"]
    assert group_names(lambda: iter("ab")) == ["a", "b"]
    assert group_names(lambda: None) == []


@pytest.mark.parametrize("groups", ["room", 7, lambda: "room", lambda: 7])
def test_a_single_name_is_taken_for_a_mistake(groups: Any) -> None:
    with pytest.raises(TypeError, match="groups must be an iterable of names"):
        group_names(groups)


class Job(AsyncGroupMember, AsyncConsumer):
    """Speaks no protocol of the web: messages of types of its own begin and end it."""

    async def job_begin(self, message: Any) -> None:
        self.seen: list[Any] = message["seen"]
        for name in message["join"]:
            await self.join_group(name)
        for name in message["leave"]:
            await self.leave_group(name)
        await self.send({"type": "job.begun"})

    async def job_fail(self, message: Any) -> None:
        raise LookupError("broken")

    async def job_end(self, message: Any) -> None:
        raise StopConsumer

    async def note(self, event: Any) -> None:
        self.seen.append(event["text"])
        await self.send({"type": "job.noted"})

    async def disconnect(self) -> None:
        self.seen.append("disconnect")


class SyncJob(SyncGroupMember, SyncConsumer):
    """The same in ordinary methods."""

    def job_begin(self, message: Any) -> None:
        self.seen: list[Any] = message["seen"]
        for name in message["join"]:
            self.join_group(name)
        for name in message["leave"]:
            self.leave_group(name)
        self.send({"type": "job.begun"})

    def job_fail(self, message: Any) -> None:
        raise LookupError("broken")

    def job_end(self, message: Any) -> None:
        raise StopConsumer

    def note(self, event: Any) -> None:
        self.seen.append(event["text"])
        self.send({"type": "job.noted"})

    def disconnect(self) -> None:
        self.seen.append("disconnect")


@pytest.mark.parametrize("program", [Job, SyncJob])
@pytest.mark.parametrize("end", ["job.end", "job.fail", "cancelled"])
async def test_any_consumer_may_be_in_groups(program: Any, end: str, layer: LocalLayer) -> None:
    seen: list[Any] = []
    server = Server(program.as_asgi(), {"type": "job"})
    server.put({"type": "job.begin", "seen": seen, "join": ["a", "b"], "leave": ["b", "c"]})
    await server.reply()
    assert {name for name, members in layer.groups.items() if members} == {"a"}
    await layer.group_send("a", {"type": "note", "text": "hello"})
    await layer.group_send("b", {"type": "note", "text": "not for us"})
    await server.replies(2)
    if end == "cancelled":
        server.task.cancel()
    else:
        server.put({"type": end})
    errors = {"job.fail": LookupError, "cancelled": asyncio.CancelledError}
    if end in errors:
        with pytest.raises(errors[end]):
            await server.task
    else:
        await server.end()
    assert seen == ["hello", "disconnect"]
    assert layer.members == 0


async def test_a_consumer_may_be_in_many_groups(layer: LocalLayer) -> None:
    names = [f"room.{number}" for number in range(20)]
    server = Server(Job.as_asgi(), {"type": "job"})
    join = [*names, *names]
    server.put({"type": "job.begin", "seen": [], "join": join, "leave": names[:10]})
    await server.reply()
    assert {name for name, members in layer.groups.items() if members} == {*names[10:]}
    server.put({"type": "job.end"})
    await server.end()
    assert layer.members == 0


@pytest.mark.parametrize("program", [Job, SyncJob])
async def test_a_single_name_as_groups_is_an_error(program: Any, layer: LocalLayer) -> None:
    seen: list[Any] = []
    server = Server(program.as_asgi(), {"type": "job"})
    server.put({"type": "job.begin", "seen": seen, "join": ["no spaces"], "leave": []})
    with pytest.raises(TypeError, match="no spaces"):
        await server.end()
    assert seen == ["disconnect"]
    assert not [call for call in layer.calls if call[0] == "group_discard"]


@pytest.mark.parametrize("program", [Job, SyncJob])
async def test_a_join_that_fails_halfway_is_undone(program: Any, layer: LocalLayer) -> None:
    layer.faults["group_add"] = ConnectionError("no layer")
    server = Server(program.as_asgi(), {"type": "job"})
    server.put({"type": "job.begin", "seen": [], "join": ["a"], "leave": []})
    with pytest.raises(ConnectionError, match="no layer"):
        await server.end()
    # Perhaps the layer had done it before it failed.
    assert layer.calls[-1] == ("group_discard", "a")


class Program(AsyncWebsocketConsumer):
    groups = ["everyone"]


def test_each_consumer_has_its_own_list_of_groups() -> None:
    first, second = Program("any", argument="s"), Program()
    first.groups.append("mine")
    assert second.groups == Program.groups == ["everyone"]


async def test_groups_may_be_a_property(layer: LocalLayer) -> None:
    class Declaring(AsyncWebsocketConsumer):
        @property
        def groups(self) -> Any:
            return ("a", "b")

    server = Server(Declaring.as_asgi())
    await server.connect()
    assert layer.groups == {"a": {"specific.1!1"}, "b": {"specific.1!1"}}
    await server.leave()
    assert layer.members == 0


async def test_a_programs_constructor_need_not_call_ours(layer: LocalLayer) -> None:
    class Quiet(AsyncWebsocketConsumer):
        groups = ["a"]

        def __init__(self) -> None:
            self.room = "mine"

    for _ in range(2):
        server = Server(Quiet.as_asgi())
        await server.connect()
        assert layer.members == 1
        await server.leave()
        assert layer.members == 0
    assert Quiet.groups == ["a"]


@pytest.mark.parametrize("kind", [None, LocalLayer, BaseChannelLayer])
async def test_a_layer_is_asked_for_groups_beforehand(kind: Any) -> None:
    consumer = Program()
    consumer.channel_layer = kind and kind()
    consumer.channel_name = "mine"
    if kind is LocalLayer:
        await consumer.join_group("a")
        await consumer.leave_group("a")
    else:
        with pytest.raises(InvalidChannelLayerError) as caught:
            await consumer.join_group("a")
        assert caught.value.__notes__[0].startswith("Program joins a group")


async def test_the_first_error_of_a_clean_up_is_raised_and_the_rest_reported(
    layer: LocalLayer,
) -> None:
    reported: list[str] = []

    class Reporting(Program):
        @hook
        def report_exception(self, error: Exception, message: Any) -> None:
            reported.append(str(error))

        async def disconnect(self, code: int) -> None:
            raise LookupError("second")

    layer.faults["group_discard"] = LookupError("first")
    server = Server(Reporting.as_asgi())
    await server.connect()
    with pytest.raises(LookupError, match="first"):
        await server.leave()
    assert reported == ["second", "first"]


async def test_groups_that_were_never_joined_are_not_left(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(Program.as_asgi())
    server.put({"type": "websocket.connect"})
    with pytest.raises(InvalidChannelLayerError):
        await server.end()
    assert len(caplog.records) == 1


def test_a_layer_that_hands_its_calls_on_is_asked_for_nothing_else() -> None:
    class Proxy:
        def __getattr__(self, name: str) -> Any:
            if name == "group_add":
                return print
            raise RuntimeError("no running event loop")

    assert has_groups(Proxy())


async def test_groups_set_before_our_constructor_are_kept(layer: LocalLayer) -> None:
    class Early(AsyncWebsocketConsumer):
        def __init__(self) -> None:
            self.groups = ["early"]
            super().__init__()

    server = Server(Early.as_asgi())
    await server.connect()
    assert layer.groups["early"]
    await server.leave()
    assert layer.members == 0


@both_colours
@pytest.mark.parametrize("form", ["list", "tuple", "property", "method"])
async def test_groups_are_joined_before_connect_and_left_after(
    colour: str, form: str, layer: LocalLayer
) -> None:
    def connect(self: Any) -> Any:
        assert layer.groups["room.7"] == {self.channel_name}
        yield self.accept()

    def names(self: Any) -> list[str]:
        return [f"room.{self.scope['room']}"]

    forms: dict[str, Any] = {
        "list": ["room.7"],
        "tuple": ("room.7",),
        "property": property(names),
        "method": names,
    }
    server = Server(consumer(colour, connect=connect, groups=forms[form]).as_asgi(), {"room": 7})
    await server.connect()
    assert layer.members == 1
    await server.leave()
    assert layer.members == 0


@both_colours
async def test_groups_joined_by_hand_are_left_as_well(colour: str, layer: LocalLayer) -> None:
    def connect(self: Any) -> Any:
        yield self.join_group("a")
        yield self.join_group("b")
        yield self.leave_group("b")
        yield self.leave_group("never joined")
        yield self.accept()

    def disconnect(self: Any, code: int) -> Any:
        yield self.join_group("late")

    server = Server(consumer(colour, connect=connect, disconnect=disconnect).as_asgi())
    await server.connect()
    assert {name for name, members in layer.groups.items() if members} == {"a"}
    await server.leave()
    assert layer.members == 0
    assert [group for name, group in layer.calls[-3:]] == ["a", "late", "late"]


@both_colours
async def test_a_programs_own_additions_to_groups_are_left_too(
    colour: str, layer: LocalLayer
) -> None:
    def connect(self: Any) -> Any:
        self.groups.append("mine")
        yield self.join_group("mine")
        yield self.accept()

    kind = consumer(colour, connect=connect)
    for _ in range(2):
        server = Server(kind.as_asgi())
        await server.connect()
        await server.leave()
    assert layer.members == 0
    assert kind.groups is None


@both_colours
async def test_a_group_that_was_left_is_not_left_again(colour: str, layer: LocalLayer) -> None:
    seen: list[Any] = []

    def connect(self: Any) -> Any:
        self.groups.append("mine")
        yield self.join_group("mine")
        yield self.leave_group("mine")
        yield self.leave_group("declared")
        seen.append(list(self.groups))
        yield self.accept()

    server = Server(consumer(colour, connect=connect, groups=["declared"]).as_asgi())
    await server.connect()
    await server.leave()
    assert seen == [[]]
    discards = [call for call in layer.calls if call[0] == "group_discard"]
    assert discards == [("group_discard", "mine"), ("group_discard", "declared")]


@both_colours
async def test_an_invalid_group_name_is_an_error_and_is_not_left(
    colour: str, layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(consumer(colour, groups=["fine", "no spaces"]).as_asgi())
    server.put({"type": "websocket.connect"})
    with pytest.raises(TypeError, match="no spaces"):
        await server.end()
    # Left is what was joined: to leave the other one would be a second error.
    assert [call for call in layer.calls if "group" in call[0]] == [
        ("group_add", "fine"),
        ("group_discard", "fine"),
    ]
    assert len(caplog.records) == 1


@both_colours
async def test_disconnect_is_not_called_without_connect(colour: str, layer: LocalLayer) -> None:
    seen: list[str] = []

    def connect(self: Any) -> Any:
        seen.append("connect")
        yield self.accept()

    def disconnect(self: Any, code: int) -> Any:
        seen.append("disconnect")
        yield None

    kind = consumer(colour, groups=["g"], connect=connect, disconnect=disconnect)
    layer.faults["group_add"] = LookupError("no layer")
    server = Server(kind.as_asgi())
    server.put({"type": "websocket.connect"})
    with pytest.raises(LookupError, match="no layer"):
        await server.end()
    assert seen == []
    layer.faults.clear()
    server = Server(kind.as_asgi())
    await server.connect()
    await server.leave()
    assert seen == ["connect", "disconnect"]
    assert layer.members == 0


@both_colours
@pytest.mark.parametrize("groups", ["room", 7, lambda self: "room"])
async def test_groups_of_the_wrong_kind_are_an_error(
    colour: str, groups: Any, layer: LocalLayer
) -> None:
    server = Server(consumer(colour, groups=groups).as_asgi())
    server.put({"type": "websocket.connect"})
    with pytest.raises(TypeError, match="groups must be an iterable of names"):
        await server.end()


@both_colours
async def test_a_method_may_give_no_groups(colour: str, layer: LocalLayer) -> None:
    server = Server(consumer(colour, groups=lambda self: None).as_asgi())
    await server.connect()
    await server.leave()
    assert not layer.groups


class NoGroups(LocalLayer):
    extensions: ClassVar[list[str]] = []

    group_add = BaseChannelLayer.group_add
    group_discard = BaseChannelLayer.group_discard


@both_colours
@pytest.mark.parametrize("with_layer", [True, False])
async def test_groups_without_a_layer_that_has_them_are_an_error(
    colour: str, with_layer: bool
) -> None:
    channel_layers.set("default", NoGroups() if with_layer else None)
    try:
        server = Server(consumer(colour, groups=["g"]).as_asgi())
        server.put({"type": "websocket.connect"})
        with pytest.raises(InvalidChannelLayerError, match="doesn't support groups"):
            await server.end()
    finally:
        channel_layers.set("default", None)


@both_colours
async def test_a_layer_that_lists_no_extensions_may_have_groups(colour: str) -> None:
    class Unlisted(LocalLayer):
        extensions: ClassVar[list[str]] = []

    unlisted = Unlisted()
    channel_layers.set("default", unlisted)
    try:
        server = Server(consumer(colour, groups=["g"]).as_asgi())
        await server.connect()
        assert unlisted.members == 1
        await server.leave()
        assert unlisted.members == 0
    finally:
        channel_layers.set("default", None)


def test_the_module_has_no_other_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'group_nam'"):
        getattr(groups_module, "group_nam")  # noqa: B009 - for type checkers it is an error
