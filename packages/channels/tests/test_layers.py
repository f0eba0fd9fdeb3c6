import importlib
import sys
from typing import assert_type
from unittest import mock

import channels.layers
import pytest
from channels.layers import (
    BaseChannelLayer,
    ChannelLayerManager,
    InMemoryChannelLayer,
    channel_layers,
    get_channel_layer,
)

import channels_core.layers
import channels_layers_memory.layer
from interpreter import run

CORE = channels_core.layers.__all__


def test_each_name_is_its_owners() -> None:
    for name in CORE:
        assert getattr(channels.layers, name) is getattr(channels_core.layers, name)
    assert InMemoryChannelLayer is channels_layers_memory.layer.InMemoryChannelLayer


def test_the_public_names_are_those_of_both_owners() -> None:
    assert channels.layers.__all__ == sorted([*CORE, "InMemoryChannelLayer"])


def test_a_star_brings_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from channels.layers import *", names)
    assert {name: names[name] for name in channels.layers.__all__} == {
        name: getattr(channels.layers, name) for name in channels.layers.__all__
    }


def test_dir_lists_what_can_be_read() -> None:
    names = dir(channels.layers)
    assert {*channels.layers.__all__, "settings", "__name__"} <= {*names}
    own = {"forward", "layers", "TYPE_CHECKING"} - {*dir(channels_core.layers)}
    assert "forward" in own
    assert own.isdisjoint(names)
    assert all(hasattr(channels.layers, name) for name in names)


def test_the_memory_layer_is_not_loaded_before_it_is_named() -> None:
    run("""
import sys
from channels.layers import get_channel_layer
assert not {"msgpack", "channels_layers_memory"} & {*sys.modules}
from channels.layers import InMemoryChannelLayer
assert "channels_layers_memory" in sys.modules
assert "msgpack" not in sys.modules  # it is loaded with the first message
""")


def test_settings_may_name_the_memory_layer_here() -> None:
    layer = get_channel_layer()
    assert type(layer) is InMemoryChannelLayer
    assert layer is channel_layers["default"]


def test_a_patched_manager_is_the_one_that_is_asked() -> None:
    layer = InMemoryChannelLayer()
    manager = ChannelLayerManager()
    manager.set("default", layer)
    with mock.patch("channels.layers.channel_layers", manager):
        assert channels_core.layers.get_channel_layer() is layer
    assert channels_core.layers.channel_layers is channel_layers


def test_a_patched_memory_layer_is_patched_at_its_owner() -> None:
    with mock.patch("channels.layers.InMemoryChannelLayer") as replacement:
        assert channels_layers_memory.layer.InMemoryChannelLayer is replacement
    assert channels_layers_memory.layer.InMemoryChannelLayer is InMemoryChannelLayer


def test_names_are_set_and_deleted_at_their_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("channels.layers.something", 1, raising=False)
    assert vars(channels_core.layers)["something"] == 1
    monkeypatch.delattr("channels.layers.something")
    assert not hasattr(channels_core.layers, "something")


def test_it_can_be_reloaded() -> None:
    assert importlib.reload(channels.layers) is sys.modules["channels.layers"] is channels.layers
    assert channels.layers.get_channel_layer is get_channel_layer


async def test_types_are_seen_through_this_name() -> None:
    assert_type(get_channel_layer(), BaseChannelLayer | None)
    assert_type(channel_layers["default"], BaseChannelLayer)
    layer = InMemoryChannelLayer(capacity=1)
    assert_type(await layer.new_channel(), str)
    assert_type(layer.get_capacity("any"), int)
