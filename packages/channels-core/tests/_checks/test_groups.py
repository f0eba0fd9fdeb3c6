from asyncio import gather
from functools import cached_property, partialmethod, wraps
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core import checks
from django.test import override_settings

from channels_core._checks.groups import check_groups
from channels_core.consumer import AsyncConsumer
from channels_core.db import database_sync_to_async
from channels_core.documentation import see
from channels_core.generic.groups import AsyncGroupMember
from channels_core.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels_core.layers import BaseChannelLayer

LAYERS = {
    "default": {"BACKEND": "fakes.LocalLayer"},
    "plain": {"BACKEND": f"{__name__}.Plain"},
    "broken": {"BACKEND": "nowhere.Layer"},
}


class Plain(BaseChannelLayer):
    """A layer without groups."""


def logged(function: Any) -> Any:
    @wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    return call


class Silent(AsyncWebsocketConsumer):
    """Has no groups."""


class Listed(AsyncWebsocketConsumer):
    groups: Any = ["news"]


class Blocking(WebsocketConsumer):
    groups = ("news",)


class Inherited(Listed):
    """Has the groups of its base."""


class Cleared(Listed):
    groups = None


class Emptied(Listed):
    groups = []


class ByProperty(AsyncWebsocketConsumer):
    @property
    def groups(self) -> list[str]:
        return [self.scope["room"]]


class ByMethod(AsyncWebsocketConsumer):
    def groups(self) -> list[str]:
        return [self.scope["room"]]


class OfAnyProtocol(AsyncGroupMember, AsyncConsumer):
    groups = {"news"}


class WithoutLayer(AsyncWebsocketConsumer):
    channel_layer_alias = None

    async def connect(self) -> None:
        await self.join_group("never")


class ListedWithoutLayer(Listed):
    channel_layer_alias = None


class WithItsOwnLayer(ListedWithoutLayer):
    channel_layer = Plain()


class OfAnotherAlias(Listed):
    channel_layer_alias = "work"


class OfSomeAlias(Listed):
    @property
    def channel_layer_alias(self) -> str:  # type: ignore[override] # a program may
        return str(self.scope["alias"])


class NoMember(AsyncConsumer):
    groups = ["of something else"]


class Joins(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.join_group("news")
        await self.accept()


class Adds(WebsocketConsumer):
    @logged
    def connect(self) -> None:
        self.channel_layer.group_add_sync("news", self.channel_name)
        self.channel_layer.group_add("news", self.channel_name)  # type: ignore[unused-coroutine] # only read


class JoinsLater(AsyncWebsocketConsumer):
    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        await self.join_group("news")


class ByHelper(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.enter()

    async def enter(self) -> None:
        await self.step("news")

    async def _step(self, group: str) -> None:
        await self.channel_layer.group_add(group, self.channel_name)

    step = partialmethod(_step)


class InBase(Joins):
    async def connect(self) -> None:
        await super().connect()


class InHandshake(AsyncConsumer):
    async def websocket_connect(self, message: Any) -> None:
        await gather(*(self.channel_layer.group_add(one, self.channel_name) for one in "ab"))


class OnEvent(WebsocketConsumer):
    def room_changed(self, event: Any) -> None:
        async_to_sync(self.channel_layer.group_add)("news", self.channel_name)


class InThread(AsyncWebsocketConsumer):
    async def receive_json(self, content: Any) -> None:
        await self.enter()

    async def connect(self) -> None:
        await self.name

    @cached_property
    async def name(self) -> str:
        return "name"

    @database_sync_to_async
    def enter(self) -> None:
        self.group()

    @classmethod
    def group(cls) -> None:
        cls.channel_layer.group_add_sync("news", "me")

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        await self.receive_json(text_data)


class InProperty(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.membership

    @property
    def membership(self) -> Any:
        return self.join_group("news")


class NeverCalled(AsyncWebsocketConsumer):
    async def enter(self, group: str) -> None:
        await self.join_group(group)

    async def connect(self) -> None:
        await self.connect_more()

    async def connect_more(self) -> None:
        await self.connect()


class JoinsTwice(AsyncWebsocketConsumer):
    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        await self.join_group("news")

    async def a_event(self, event: Any) -> None:
        await self.join_group("news")

    async def connect(self) -> None:
        await self.join_group("news")


class ByAssignment(AsyncWebsocketConsumer):
    entered: Any
    connect: Any = Joins.join_group
    receive = also = connect


class Builtin(AsyncWebsocketConsumer):
    connect: Any = print


EVERY = [
    Silent,
    Listed,
    Blocking,
    Inherited,
    Cleared,
    ByProperty,
    ByMethod,
    OfAnyProtocol,
    WithoutLayer,
    NoMember,
    Joins,
    Adds,
    JoinsLater,
    ByHelper,
    InBase,
    InHandshake,
    OnEvent,
    InThread,
    InProperty,
    NeverCalled,
]


def found(consumer: type, layers: Any) -> list[checks.CheckMessage]:
    with override_settings(CHANNEL_LAYERS=layers):
        messages = list(check_groups(consumer))
    for message in messages:
        assert see("Channel layers", "Groups") in str(message.hint)
        assert f"{__name__}.{consumer.__name__} " in message.msg
    return messages


@pytest.mark.parametrize("consumer", EVERY)
def test_it_says_nothing_where_there_is_a_layer(consumer: type) -> None:
    assert found(consumer, LAYERS) == []


@pytest.mark.parametrize(
    "consumer",
    [
        Silent,
        Cleared,
        Emptied,
        WithoutLayer,
        WithItsOwnLayer,
        OfSomeAlias,
        NoMember,
        NeverCalled,
        Builtin,
    ],
)
def test_it_says_nothing_of_what_needs_none(consumer: type) -> None:
    assert found(consumer, {}) == []


@pytest.mark.parametrize(
    "consumer", [Listed, Blocking, Inherited, ByProperty, ByMethod, OfAnyProtocol]
)
def test_groups_need_a_layer(consumer: type) -> None:
    [message] = found(consumer, {})
    assert message.id == "channels_core.E004"
    assert message.level == checks.ERROR
    assert message.msg.endswith(
        " has groups, but it has no channel layer: its channel_layer_alias is 'default', and the "
        "aliases in CHANNEL_LAYERS are: none."
    )
    assert message.hint is not None
    assert message.hint.startswith("Add 'default' to CHANNEL_LAYERS, or set channel_layer_alias")


def test_groups_need_the_layer_of_their_alias() -> None:
    [message] = found(OfAnotherAlias, LAYERS)
    assert message.id == "channels_core.E004"
    assert "'work', and the aliases in CHANNEL_LAYERS are: 'default', 'plain'" in message.msg


def test_groups_need_an_alias() -> None:
    [message] = found(ListedWithoutLayer, LAYERS)
    assert message.id == "channels_core.E004"
    assert message.msg.endswith("it has no channel layer: its channel_layer_alias is None.")
    assert message.hint is not None
    assert message.hint.startswith("Set channel_layer_alias to an alias in CHANNEL_LAYERS, or ")


@pytest.mark.parametrize(
    ("consumer", "handler"),
    [
        (Joins, "connect"),
        (JoinsTwice, "connect"),
        (ByAssignment, "connect"),
        (Adds, "connect"),
        (JoinsLater, "receive"),
        (ByHelper, "connect"),
        (InBase, "connect"),
        (InHandshake, "websocket_connect"),
        (OnEvent, "room_changed"),
        (InThread, "receive"),
        (InProperty, "connect"),
    ],
)
def test_to_join_a_group_needs_a_layer(consumer: type, handler: str) -> None:
    [message] = found(consumer, {})
    assert message.id == "channels_core.W003"
    assert message.level == checks.WARNING
    assert f" joins a group in {handler}, but it has no channel layer: " in message.msg


def test_a_class_without_source_is_not_looked_at() -> None:
    assert found(type("Made", (AsyncWebsocketConsumer,), {"connect": Joins.connect}), {}) == []


@pytest.mark.parametrize("alias", ["plain", "broken"])
def test_groups_need_a_layer_with_groups(alias: str) -> None:
    messages = found(type("Listed", (Listed,), {"channel_layer_alias": alias}), LAYERS)
    # Another check reports a layer that cannot be built.
    assert [each.id for each in messages] == (["channels_core.E005"] if alias == "plain" else [])
    assert found(type("Silent", (Silent,), {"channel_layer_alias": alias}), LAYERS) == []


@pytest.mark.parametrize("layers", [["default"], 3])
def test_what_is_no_setting_at_all_is_the_business_of_another_check(layers: Any) -> None:
    assert found(Listed, layers) == []
