"""Calls of layers from synchronous code: at once, and after a commit."""

import asyncio
import logging
from collections.abc import Collection
from typing import Any, ClassVar
from unittest.mock import MagicMock

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction

from channels_core.db import database_sync_to_async
from channels_core.exceptions import ChannelFull, InvalidChannelLayerError
from channels_core.layer_extensions import History
from channels_core.layers import (
    get_channel_layer,
    group_add_sync,
    group_discard_sync,
    group_history_sync,
    group_send_on_commit,
    group_send_sync,
    send_on_commit,
    send_sync,
)
from channels_core.typing import Message
from fakes import LocalLayer


class Full(LocalLayer):
    """A layer that is always full."""

    async def send(self, channel: str, message: Message) -> None:
        raise ChannelFull("no room")

    async def group_send(self, group: str, message: Message) -> None:
        raise ConnectionError("it is away")


class Serializing(LocalLayer):
    """A layer that packs its messages, as those of channels-redis do."""

    def serialize(self, message: Message) -> bytes:
        if "bad" in message:
            raise OverflowError("it cannot be packed")
        return b""


class Foreign:
    """Does not derive from ours, and can only be used while an event loop runs."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []

    def __getattr__(self, name: str) -> Any:
        asyncio.get_running_loop()

        async def call(target: str, message: Message) -> None:
            self.sent.append((target, message))

        return call


# After a commit


@pytest.mark.django_db(transaction=True)
def test_a_message_on_commit_waits_for_the_commit() -> None:
    layer = LocalLayer()
    message = {"type": "x", "number": 1}
    with transaction.atomic():
        layer.group_add_sync("g", "c")
        layer.send_on_commit("c", message)
        layer.group_send_on_commit("g", message)
        message["number"] = 2
        assert "c" not in layer.queues
    assert [layer.queues["c"].get_nowait()["number"] for _ in range(2)] == [1, 1]
    with transaction.atomic():
        layer.send_on_commit("c", message)
        transaction.set_rollback(True)
    assert layer.queues["c"].empty()
    layer.send_on_commit("c", message, using="default")
    assert layer.queues["c"].qsize() == 1


@pytest.mark.django_db(transaction=True)
def test_a_bad_name_on_commit_is_an_error_at_once() -> None:
    with transaction.atomic():
        with pytest.raises(TypeError):
            LocalLayer().send_on_commit("no spaces", {})
        with pytest.raises(TypeError):
            LocalLayer().group_send_on_commit("no spaces", {})


@pytest.mark.django_db(transaction=True)
def test_a_message_on_commit_is_taken_deeply_at_the_time_of_the_call() -> None:
    layer = LocalLayer()
    message: dict[str, Any] = {"type": "x", "rooms": [1]}
    with transaction.atomic():
        layer.send_on_commit("c", message)
        message["rooms"].append(2)
    assert layer.queues["c"].get_nowait() == {"type": "x", "rooms": [1]}


@pytest.mark.django_db(transaction=True)
def test_what_a_layer_cannot_pack_fails_at_the_time_of_the_call() -> None:
    layer = Serializing()
    with transaction.atomic():
        with pytest.raises(OverflowError, match="it cannot be packed"):
            layer.group_send_on_commit("g", {"type": "x", "bad": 1})
        layer.send_on_commit("c", {"type": "x"})
    assert layer.queues["c"].qsize() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_open", [True, False])
def test_a_layer_that_fails_after_a_commit_disturbs_nobody(
    caplog: pytest.LogCaptureFixture, is_open: bool
) -> None:
    layer = Full()
    done: list[str] = []

    def work() -> None:
        layer.send_on_commit("jobs", {"type": "x"})
        layer.group_send_on_commit("news", {"type": "y"})
        transaction.on_commit(lambda: done.append("mail"))

    if is_open:
        with transaction.atomic():
            work()
    else:
        work()
    assert done == ["mail"]
    # Once each: Django would log an exception that is raised here again.
    assert [(record.name, record.levelno) for record in caplog.records] == [
        ("django.channels.layers", logging.ERROR)
    ] * 2
    first, second = (record.getMessage() for record in caplog.records)
    assert "type 'x'" in first
    assert "'jobs'" in first
    assert "type 'y'" in second
    assert "'news'" in second
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [
        ChannelFull,
        ConnectionError,
    ]


@pytest.mark.django_db(transaction=True)
async def test_in_an_event_loop_without_a_transaction_it_is_sent_by_a_task() -> None:
    layer = LocalLayer()
    layer.send_on_commit("c", {"type": "x"})
    async with asyncio.timeout(5):
        assert await layer.receive("c") == {"type": "x"}


@pytest.mark.django_db(transaction=True)
async def test_after_a_commit_in_a_thread_of_an_event_loop_that_loop_sends() -> None:
    layer = LocalLayer()

    def save() -> None:
        with transaction.atomic():
            layer.send_on_commit("c", {"type": "x"})

    await database_sync_to_async(save)()
    assert layer.queues["c"].qsize() == 1


@pytest.mark.django_db(transaction=True)
def test_a_layer_that_does_not_derive_from_ours_sends_on_commit() -> None:
    layer = Foreign()
    message = {"type": "x", "rooms": [1]}
    with transaction.atomic():
        group_send_on_commit(layer, "g", message)
        message["rooms"] = [2]
        assert layer.sent == []
    assert layer.sent == [("g", {"type": "x", "rooms": [1]})]


@pytest.mark.django_db(transaction=True)
def test_a_mock_of_a_layer_is_called() -> None:
    layer = MagicMock()
    send_on_commit(layer, "c", {"type": "x"})
    layer.send.assert_called_once_with("c", {"type": "x"})


# Layers that do not derive from ours


def test_the_functions_take_any_layer() -> None:
    layer = Foreign()
    send_sync(layer, "c", {"type": "x"})
    group_send_sync(layer, "g", {"type": "y"})
    assert layer.sent == [("c", {"type": "x"}), ("g", {"type": "y"})]
    ours = LocalLayer()
    group_add_sync(ours, "g", "c")
    group_send_sync(ours, "g", {"type": "x"})
    group_discard_sync(ours, "g", "c")
    assert ours.members == 0
    assert ours.queues["c"].qsize() == 1


@pytest.mark.django_db(transaction=True)
def test_a_configured_layer_has_the_functions_as_methods(settings: Any) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{__name__}.Foreign"}}
    layer: Any = get_channel_layer()
    layer.send_sync("c", {"type": "x"})
    with transaction.atomic():
        layer.group_send_on_commit("g", {"type": "y"})
    assert layer.sent == [("c", {"type": "x"}), ("g", {"type": "y"})]


class Slotted:
    """A layer whose object takes no attributes, with a method of its own."""

    __slots__ = ()

    sent: ClassVar[list[tuple[str, Message]]] = []

    async def send(self, channel: str, message: Message) -> None:
        self.sent.append((channel, message))

    def group_send_sync(self, group: str, message: Message) -> str:
        return "its own"


class Slotless:
    """A layer without groups."""

    async def send(self, channel: str, message: Message) -> None: ...


def test_a_layer_that_takes_no_methods_can_be_used(settings: Any) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{__name__}.Slotted"}}
    layer: Any = get_channel_layer()
    assert layer.group_send_sync("g", {}) == "its own"
    assert not hasattr(layer, "send_sync")
    send_sync(layer, "c", {"type": "x"})
    assert Slotted.sent == [("c", {"type": "x"})]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (send_sync, "send_sync"),
        (group_send_sync, "group_send_sync"),
        (send_on_commit, "send_on_commit"),
        (group_send_on_commit, "group_send_on_commit"),
    ],
)
def test_no_layer_is_an_error_that_says_what_to_do(function: Any, name: str) -> None:
    with pytest.raises(
        InvalidChannelLayerError, match=rf"^{name}\(\) needs a .* has no such alias"
    ):
        function(get_channel_layer("missing"), "c", {"type": "x"})


def test_a_layer_without_groups_is_an_error_that_says_so() -> None:
    with pytest.raises(InvalidChannelLayerError, match=r"^group_send_sync\(\) needs .* groups"):
        group_send_sync(Slotless(), "g", {"type": "x"})
    with pytest.raises(InvalidChannelLayerError, match=r"^send_sync\(\) needs a channel"):
        send_sync(object(), "c", {"type": "x"})


async def test_in_an_event_loop_the_functions_say_what_to_do() -> None:
    with pytest.raises(SynchronousOnlyOperation, match=r"await group_send\(\) instead"):
        group_send_sync(Foreign(), "g", {"type": "x"})


# The extensions


class Extended(LocalLayer):
    """A layer with extensions that records what it is asked."""

    extensions: ClassVar[list[str]] = ["groups", "exclude", "history", "members"]

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Any] = []

    async def group_add(self, group: str, channel: str, member: Any = None) -> None:
        self.asked.append((group, channel, member))

    async def group_send(self, group: str, message: Message, exclude: Any = ()) -> None:
        self.asked.append((group, message, exclude))

    async def group_history(
        self, group: str, after: str | None = None, limit: int | None = None
    ) -> History:
        self.asked.append((group, after, limit))
        return History([], "1", complete=True)

    async def group_members(self, group: str) -> list[dict[str, Any]]:
        return [{"id": 1, "connections": 1}]

    async def ping(self) -> None:
        self.asked.append("ping")


def test_the_extensions_have_synchronous_calls() -> None:
    layer = Extended()
    layer.group_add_sync("g", "c", member={"id": 1})
    layer.group_send_sync("g", {"type": "x"}, exclude=["c"])
    assert layer.group_history_sync("g", after="a", limit=2).position == "1"
    assert layer.group_members_sync("g") == [{"id": 1, "connections": 1}]
    layer.ping_sync()
    assert layer.asked == [
        ("g", "c", {"id": 1}),
        ("g", {"type": "x"}, frozenset({"c"})),
        ("g", "a", 2),
        "ping",
    ]


@pytest.mark.django_db(transaction=True)
def test_a_layer_without_an_extension_gets_no_argument_of_it() -> None:
    layer = LocalLayer()
    layer.group_add_sync("g", "c", member=None)
    layer.group_send_sync("g", {"type": "x"}, exclude=[])
    layer.group_send_on_commit("g", {"type": "x"}, exclude=())
    assert layer.queues["c"].qsize() == 2


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda layer: layer.group_add_sync("g", "c", member={"id": 1}),
            "LocalLayer has no 'members', which group_add_sync(member=...) needs",
        ),
        (
            lambda layer: layer.group_send_sync("g", {"type": "x"}, exclude=["c"]),
            "LocalLayer has no 'exclude', which group_send_sync(exclude=...) needs",
        ),
        (
            lambda layer: layer.group_send_on_commit("g", {"type": "x"}, exclude=["c"]),
            "LocalLayer has no 'exclude', which group_send_on_commit(exclude=...) needs",
        ),
        (
            lambda layer: layer.group_history_sync("g"),
            "LocalLayer has no 'history', which group_history_sync() needs",
        ),
        (
            lambda layer: layer.group_members_sync("g"),
            "LocalLayer has no 'members', which group_members_sync() needs",
        ),
    ],
)
def test_a_missing_extension_is_an_error_that_names_the_layer(call: Any, text: str) -> None:
    with pytest.raises(InvalidChannelLayerError) as caught:
        call(LocalLayer())
    assert str(caught.value) == text


@pytest.mark.parametrize("exclude", ["", "c"])
def test_a_single_name_to_exclude_is_refused(exclude: str) -> None:
    with pytest.raises(TypeError, match="exclude must be a collection of channel names"):
        Extended().group_send_sync("g", {"type": "x"}, exclude=exclude)
    with pytest.raises(TypeError, match="exclude must be a collection of channel names"):
        Extended().group_send_on_commit("g", {"type": "x"}, exclude=exclude)


def test_no_layer_is_said_before_a_missing_extension() -> None:
    with pytest.raises(InvalidChannelLayerError, match="needs a channel layer, got None"):
        group_history_sync(None, "g")


@pytest.mark.django_db(transaction=True)
def test_who_is_excluded_is_remembered_until_the_commit() -> None:
    layer = Extended()
    exclude = ["c"]
    with transaction.atomic():
        layer.group_send_on_commit("g", {"type": "x"}, exclude=exclude)
        exclude.clear()
    assert layer.asked == [("g", {"type": "x"}, frozenset({"c"}))]


def test_a_mock_of_a_layer_has_no_extension() -> None:
    with pytest.raises(InvalidChannelLayerError, match="MagicMock has no 'history'"):
        group_history_sync(MagicMock(), "g")


class Blocking(Extended):
    """A layer with calls of its own for synchronous code."""

    def group_send_sync(self, group: str, message: Message, exclude: Collection[str] = ()) -> None:
        self.asked.append(("sync", group, exclude))
        if group == "away":
            raise ConnectionError("it is away")


@pytest.mark.django_db(transaction=True)
def test_a_layer_may_have_calls_of_its_own_for_after_a_commit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    layer = Blocking()
    with transaction.atomic():
        layer.group_send_on_commit("g", {"type": "x"}, exclude=["c"])
        layer.group_send_on_commit("away", {"type": "x"})
        layer.send_on_commit("c", {"type": "x"})
    assert layer.asked == [("sync", "g", frozenset({"c"})), ("sync", "away", ())]
    assert layer.queues["c"].qsize() == 1
    assert [record.getMessage() for record in caplog.records] == [
        "A message of type 'x' to group 'away' is lost: the channel layer failed after the commit"
    ]
