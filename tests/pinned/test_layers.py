"""The behaviour of channel layers that programs and tests for Channels 4.3 rely on."""

import asyncio
from copy import deepcopy
from typing import Any

import pytest
from channels.exceptions import InvalidChannelLayerError
from channels.layers import (
    BaseChannelLayer,
    InMemoryChannelLayer,
    channel_layers,
    get_channel_layer,
)
from django.test import override_settings


class Broken(InMemoryChannelLayer):
    """A layer whose constructor misses a key of its configuration."""

    def __init__(self, **kwargs: Any) -> None:
        raise KeyError("hosts")


BROKEN = {"default": {"BACKEND": f"{__name__}.Broken"}}


async def test_a_channel_may_be_deleted_after_a_send_to_a_waiting_receiver() -> None:
    layer = InMemoryChannelLayer()
    receiving = asyncio.ensure_future(layer.receive("a"))
    await asyncio.sleep(0)
    await layer.send("a", {"type": "note"})
    del layer.channels["a"]
    assert await receiving == {"type": "note"}


async def test_a_send_does_not_sweep_what_has_just_expired() -> None:
    layer = InMemoryChannelLayer(expiry=0.1)  # type: ignore[arg-type] # as tests have it
    await layer.send("a", {"type": "note"})
    await asyncio.sleep(0.12)
    await layer.send("b", {"type": "note"})
    assert len(layer.channels) == 2
    assert await layer.receive("b") == {"type": "note"}
    assert len(layer.channels) == 0


@pytest.mark.parametrize(
    "build", [channel_layers.make_backend, channel_layers.__getitem__, get_channel_layer]
)
def test_an_exception_of_a_layer_s_constructor_stays_what_it_is(build: Any) -> None:
    with override_settings(CHANNEL_LAYERS=BROKEN), pytest.raises(KeyError) as raised:
        build("default")
    assert type(raised.value) is KeyError
    assert raised.value.args == ("hosts",)
    [note] = raised.value.__notes__
    assert "Broken" in note
    assert "'default'" in note


def test_the_text_for_an_invalid_name_takes_the_kind_alone() -> None:
    text = BaseChannelLayer.invalid_name_error.format("Group")
    with pytest.raises(TypeError) as raised:
        InMemoryChannelLayer().require_valid_group_name("a b")
    assert text in str(raised.value)


def test_the_old_names_of_the_checks_are_deprecated() -> None:
    layer = InMemoryChannelLayer()
    with pytest.warns(DeprecationWarning, match="^valid_channel_name is deprecated"):
        assert layer.valid_channel_name("a")
    with pytest.warns(DeprecationWarning, match="^valid_group_name is deprecated"):
        assert layer.valid_group_name("a")


def test_an_alias_that_is_not_configured_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        channel_layers["missing"]


async def test_what_programs_wrap_of_the_memory_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def wrapping(name: str) -> Any:
        wrapped = getattr(InMemoryChannelLayer, name)

        def wrapper(self: Any, *args: Any) -> Any:
            calls.append(name)
            return wrapped(self, *args)

        return wrapper

    for name in ("_clean_expired", "_remove_from_groups"):
        monkeypatch.setattr(InMemoryChannelLayer, name, wrapping(name))
    layer: Any = InMemoryChannelLayer()
    await layer.group_add("g", "a")
    layer._clean_expired()
    layer._remove_from_groups("a")
    assert calls[-2:] == ["_clean_expired", "_remove_from_groups"]
    assert not layer.groups
    layer.groups = {}
    layer.channels = {}


async def test_a_message_that_is_no_dict_is_an_assertion_error() -> None:
    layer = InMemoryChannelLayer()
    await layer.group_add("room", "a")
    for sending in (layer.send("a", "text"), layer.group_send("room", "text")):
        with pytest.raises(AssertionError):
            await sending


def test_a_layer_can_be_copied_deeply() -> None:
    # As Django does with class attributes from `setUpTestData`.
    copied = deepcopy(InMemoryChannelLayer(capacity=7))
    assert type(copied) is InMemoryChannelLayer
    assert copied.capacity == 7


@pytest.mark.parametrize(
    ("alias", "text"),
    [
        ("unknown", "Cannot import BACKEND 'no.such.Layer' specified for unknown"),
        ("empty", "No BACKEND specified for empty"),
    ],
)
def test_texts_of_a_backend_that_cannot_be_made(alias: str, text: str, settings: Any) -> None:
    settings.CHANNEL_LAYERS = {"unknown": {"BACKEND": "no.such.Layer"}, "empty": {}}
    with pytest.raises(InvalidChannelLayerError) as caught:
        channel_layers[alias]
    assert caught.value.args == (text,)


def test_text_without_a_test_config(settings: Any) -> None:
    settings.CHANNEL_LAYERS = {"a": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    with pytest.raises(InvalidChannelLayerError) as caught:
        channel_layers.make_test_backend("a")
    assert caught.value.args == ("No TEST_CONFIG specified for a",)
