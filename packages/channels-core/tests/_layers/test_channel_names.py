"""Layers whose `new_channel` does not wait."""

from functools import wraps
from typing import Any
from unittest import mock

import pytest

from channels_core._layers.optional_methods import name_at_once, names_at_once
from fakes import LocalLayer


class Marked(LocalLayer):
    async def new_channel(self, prefix: str = "specific.") -> str:
        if self.faults:
            await self.receive("a")
        return await super().new_channel(prefix)

    vars(new_channel)["never_waits"] = True


class Overriding(Marked):
    async def new_channel(self, prefix: str = "specific.") -> str:
        return await super().new_channel(prefix)


def test_only_a_marked_function_is_called_later() -> None:
    assert names_at_once(Marked())
    for layer in (LocalLayer(), Overriding(), mock.Mock(), mock.AsyncMock(), object()):
        assert not names_at_once(layer)


def test_a_function_that_wraps_it_may_wait() -> None:
    layer = Marked()

    @wraps(layer.new_channel)
    async def traced(*args: Any) -> str:
        return await Marked.new_channel(layer, *args)

    vars(layer)["new_channel"] = traced  # as a tracer does
    assert not names_at_once(layer)


def test_the_name_is_that_of_the_layer() -> None:
    assert name_at_once(Marked()) == "specific.1!1"


async def test_one_that_waits_all_the_same_is_an_error() -> None:
    layer = Marked()
    layer.faults["wait"] = LookupError()
    with pytest.raises(RuntimeError, match="new_channel waits, although it has never_waits"):
        name_at_once(layer)
