import asyncio
import contextlib
import re
import threading
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import MagicMock

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from hypothesis import given
from hypothesis import strategies as st

from channels_core.exceptions import InvalidChannelLayerError
from channels_core.layers import (
    BaseChannelLayer,
    ChannelLayerManager,
    channel_layers,
    get_channel_layer,
    has_groups,
)
from channels_core.typing import ChannelMessage, Message
from fakes import LocalLayer, Picky


class Bare(BaseChannelLayer):
    """A layer without extensions."""

    async def send(self, channel: str, message: Message) -> None: ...

    async def receive(self, channel: str) -> ChannelMessage:
        return {}

    async def new_channel(self, prefix: str = "specific.") -> str:
        return prefix


class Own(Bare):
    """A layer that does not call our constructor, as some do."""

    def __init__(self) -> None:
        self.capacity = 7
        self.channel_capacity = self.compile_capacities({"a.*": 1})


# Capacities


def test_capacities_go_by_glob_and_pattern_and_the_first_match_counts() -> None:
    layer = Bare(
        capacity=10, channel_capacity={"http.*": 1, re.compile(r"^http|^ws"): 2, "ws.special": 3}
    )
    assert layer.get_capacity("http.request") == 1
    assert layer.get_capacity("httpd") == 2
    assert layer.get_capacity("ws.special") == 2
    assert layer.get_capacity("other") == 10
    assert layer.get_capacity("x.http.y") == 10


def test_capacities_that_are_compiled_already_stay_as_they_are() -> None:
    compiled = Bare().compile_capacities({"a*": 1})
    assert Bare(channel_capacity=compiled).get_capacity("abc") == 1


def test_a_layer_may_set_its_limits_itself() -> None:
    assert (Own().get_capacity("a.b"), Own().get_capacity("b")) == (1, 7)


def test_the_defaults() -> None:
    layer = Bare()
    assert (layer.expiry, layer.capacity, layer.channel_capacity) == (60, 100, [])


# Names

VALID = ["a", "chat.room-1_x", "A.9", "x" * 99]


@pytest.mark.parametrize("name", VALID)
def test_valid_names(name: str) -> None:
    layer = Bare()
    assert layer.require_valid_channel_name(name)
    assert layer.require_valid_group_name(name)
    with pytest.warns(DeprecationWarning, match="^valid_channel_name is deprecated"):
        assert layer.valid_channel_name(name)
    with pytest.warns(DeprecationWarning, match="^valid_group_name is deprecated"):
        assert layer.valid_group_name(name)
    assert layer.valid_channel_names([name, name])


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "it is empty"),
        ("x" * 100, "it has 100 characters"),
        ("no spaces", "character 3 is ' '"),
        ("line\n", "character 5 is '\\\\n'"),
        ("ünïcode", "character 1 is 'ü'"),
        ("digit٣", "character 6 is '٣'"),
        (7, "it is a int, not a str"),
        (b"bytes", "it is a bytes, not a str"),
        (None, "it is a NoneType"),
    ],
)
def test_an_invalid_name_is_shown_with_its_fault(name: Any, fault: str) -> None:
    layer = Bare()
    with pytest.raises(TypeError, match=f"^Channel name .*but {fault}"):
        layer.require_valid_channel_name(name)
    with pytest.raises(TypeError, match=f"^Group name .*but {fault}"):
        layer.require_valid_group_name(name)
    with pytest.raises(TypeError, match=r"^Channel name"):
        layer.valid_channel_names(["fine", name])


@pytest.mark.parametrize("name", ["a!b", "specific.x!", "a.b!c-d_e.9"])
def test_process_specific_names_are_channels_and_no_groups(name: str) -> None:
    layer = Bare()
    assert layer.require_valid_channel_name(name)
    with pytest.raises(TypeError, match=r"is '!'"):
        layer.require_valid_group_name(name)
    assert layer.non_local_name(name) == name[: name.index("!") + 1]


@pytest.mark.parametrize("name", ["!a", "a!b!c", "a!b c"])
def test_badly_marked_names(name: str) -> None:
    with pytest.raises(TypeError, match="character"):
        Bare().require_valid_channel_name(name)


def test_a_name_to_receive_from_ends_at_its_mark() -> None:
    layer = Bare()
    assert layer.require_valid_channel_name("a!", receive=True)
    assert layer.valid_channel_names(["a", "b!"], receive=True)
    with pytest.raises(TypeError, match=r"ends at its '!', but got 'a!b'"):
        layer.require_valid_channel_name("a!b", receive=True)


def test_a_layer_may_be_stricter() -> None:
    class Strict(Bare):
        group_name_regex = re.compile("[a-z]+")
        MAX_NAME_LENGTH = 5

    with pytest.raises(TypeError, match=r"does not match the layer's pattern"):
        Strict().require_valid_group_name("A")
    with pytest.raises(TypeError, match=r"it has 5 characters"):
        Strict().require_valid_group_name("abcde")


@given(st.text())
def test_any_text_is_valid_or_has_a_type_error(name: str) -> None:
    layer = Bare()
    for check in (layer.require_valid_channel_name, layer.require_valid_group_name):
        with contextlib.suppress(TypeError):
            assert check(name) is True
    assert layer.non_local_name("plain") == "plain"


# Extensions


async def test_what_a_layer_does_not_offer_says_so() -> None:
    layer = BaseChannelLayer()
    for call in (
        layer.send("c", {}),
        layer.receive("c"),
        layer.new_channel(),
        layer.flush(),
        layer.group_add("g", "c"),
        layer.group_discard("g", "c"),
        layer.group_send("g", {}),
    ):
        with pytest.raises(NotImplementedError, match="BaseChannelLayer does not offer"):
            await call


# From synchronous code


def test_every_layer_can_be_used_from_synchronous_code() -> None:
    layer = LocalLayer()
    layer.group_add_sync("g", "c")
    layer.group_send_sync("g", {"type": "x"})
    layer.send_sync("c", {"type": "y"})
    layer.group_discard_sync("g", "c")
    assert layer.queues["c"].qsize() == 2
    assert layer.members == 0


def test_it_can_be_used_from_several_threads() -> None:
    layer = LocalLayer()
    threads = [
        threading.Thread(target=layer.send_sync, args=(f"c{number}", {"type": "x"}))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(queue.qsize() for queue in layer.queues.values()) == 8


async def test_in_an_event_loop_it_says_what_to_do() -> None:
    with pytest.raises(SynchronousOnlyOperation, match=r"await group_send\(\) instead"):
        LocalLayer().group_send_sync("g", {})


async def test_in_a_thread_of_an_event_loop_it_uses_that_loop() -> None:
    loops = []

    class Noting(LocalLayer):
        async def send(self, channel: str, message: Message) -> None:
            loops.append(asyncio.get_running_loop())

    from asgiref.sync import sync_to_async

    await sync_to_async(Noting().send_sync)("c", {"type": "x"})
    assert loops == [asyncio.get_running_loop()]


# The manager


def configure(settings: Any, **config: Any) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "fakes.Picky", **config}}


def test_nothing_is_configured_by_default() -> None:
    assert get_channel_layer() is None
    assert get_channel_layer("other") is None
    assert "default" not in channel_layers


def test_a_setting_of_none_is_as_good_as_none(settings: Any) -> None:
    settings.CHANNEL_LAYERS = None
    assert get_channel_layer() is None


def test_a_configured_layer_is_built_once(settings: Any) -> None:
    configure(settings, CONFIG={"capacity": 3})
    layer = get_channel_layer()
    assert isinstance(layer, Picky)
    assert layer.capacity == 3
    assert get_channel_layer() is layer
    assert channel_layers["default"] is layer
    assert "default" in channel_layers


def test_a_change_of_the_settings_drops_the_layers(settings: Any) -> None:
    configure(settings)
    first = get_channel_layer()
    settings.USE_TZ = False
    assert get_channel_layer() is first
    configure(settings)
    assert get_channel_layer() is not first
    settings.CHANNEL_LAYERS = {}
    assert get_channel_layer() is None


def test_a_layer_for_tests(settings: Any) -> None:
    configure(settings, CONFIG={"capacity": 3}, TEST_CONFIG={"capacity": 4})
    assert channel_layers.make_test_backend("default").capacity == 4
    assert channel_layers.make_backend("default").capacity == 3
    configure(settings)
    with pytest.raises(InvalidChannelLayerError, match=r"^No TEST_CONFIG specified for default$"):
        channel_layers.make_test_backend("default")


def test_an_error_in_the_constructor_is_an_error_with_the_alias(settings: Any) -> None:
    configure(settings, CONFIG={"fail": True})
    with pytest.raises(KeyError, match="hosts") as caught:
        get_channel_layer()
    [note] = caught.value.__notes__
    assert note.endswith("specified for channel layer 'default'")
    configure(settings, CONFIG={"unknown": 1})
    with pytest.raises(TypeError, match=r"unexpected keyword"):
        get_channel_layer()


def test_what_is_wrong_with_a_configuration_is_said(settings: Any) -> None:
    settings.CHANNEL_LAYERS = {"default": {}}
    with pytest.raises(InvalidChannelLayerError, match=r"^No BACKEND specified for default$"):
        get_channel_layer()
    settings.CHANNEL_LAYERS = {"default": "a.dotted.Path"}
    with pytest.raises(InvalidChannelLayerError, match=r"must be a dict .*'a.dotted.Path'"):
        get_channel_layer()
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "nowhere.Layer"}}
    with pytest.raises(InvalidChannelLayerError, match=r"Cannot import BACKEND 'nowhere.Layer'"):
        get_channel_layer()
    with pytest.raises(InvalidChannelLayerError, match=r"no alias 'other'; it has \['default'\]"):
        channel_layers["other"]


def test_a_layer_can_be_set_and_taken_away() -> None:
    manager = ChannelLayerManager()
    first, second = Bare(), Bare()
    assert manager.set("x", first) is None
    assert manager.set("x", second) is first
    assert manager["x"] is second
    assert "x" in manager
    assert manager.set("x", None) is second
    assert "x" not in manager


def test_threads_that_ask_at_once_get_the_same_layer(settings: Any) -> None:
    configure(settings)
    barrier = threading.Barrier(8)
    seen = []

    def ask() -> None:
        barrier.wait(20)
        seen.append(get_channel_layer())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(layer) for layer in seen}) == 1


def test_a_layer_that_another_thread_built_meanwhile_is_taken() -> None:
    layer = Bare()

    class Racing(dict[str, BaseChannelLayer]):
        def __missing__(self, key: str) -> BaseChannelLayer:
            self[key] = layer
            raise KeyError(key)

    manager = ChannelLayerManager()
    manager.backends = Racing()
    assert manager["default"] is layer


class Listing(BaseChannelLayer):
    """Has groups by some way of its own, and lists them."""

    extensions: ClassVar[list[str]] = ["groups"]


class Overriding(BaseChannelLayer):
    async def group_add(self, group: str, channel: str) -> None: ...


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Listing(), True),
        (Overriding(), True),
        (SimpleNamespace(extensions=["groups"]), True),
        (SimpleNamespace(group_add=print), True),
        (MagicMock(), True),
        (BaseChannelLayer(), False),
        (SimpleNamespace(extensions=["flush"]), False),
        (SimpleNamespace(), False),
    ],
)
def test_a_layer_has_groups_if_it_lists_or_defines_them(layer: Any, expected: bool) -> None:
    assert has_groups(layer) is expected


@pytest.mark.parametrize(
    ("method", "args", "extension"),
    [
        ("group_add", ("g", "c"), "groups"),
        ("group_discard", ("g", "c"), "groups"),
        ("group_send", ("g", {}), "groups"),
        ("flush", (), "flush"),
        ("group_history", ("g",), "history"),
        ("group_members", ("g",), "members"),
        ("receive_delivery", ("c",), "acks"),
        ("acknowledge", ("c", "t"), "acks"),
        ("reject", ("c", "t", "error"), "acks"),
        ("give_back", ("c", "t"), "acks"),
        ("ping", (), "ping"),
    ],
)
async def test_a_method_of_a_missing_extension_names_it(
    method: str, args: tuple[Any, ...], extension: str
) -> None:
    with pytest.raises(NotImplementedError, match=f"^Bare does not offer '{extension}'$"):
        await getattr(Bare(), method)(*args)


def test_limits_of_a_missing_extension_are_an_error() -> None:
    with pytest.raises(NotImplementedError, match=r"^Bare does not offer 'history'$"):
        Bare().history_limits("g")
    with pytest.raises(NotImplementedError, match=r"^Bare does not offer 'acks'$"):
        Bare().queue_limits("c")
