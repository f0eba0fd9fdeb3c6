"""Which layers a consumer listens to."""

from typing import Any
from unittest.mock import AsyncMock, MagicMock, patch

import pytest

from channels_core._layers.optional_methods import find_listen
from channels_core.layers import BaseChannelLayer
from channels_core.typing import ChannelMessage
from fakes import LocalLayer


class Listening(BaseChannelLayer):
    async def receive(self, channel: str) -> ChannelMessage:
        raise NotImplementedError

    def listen(self, channel: str, wake: Any) -> Any:
        return lambda: None


class Inheriting(Listening):
    pass


class Receiving(Listening):
    async def receive(self, channel: str) -> ChannelMessage:
        raise NotImplementedError


class Both(Receiving):
    async def receive(self, channel: str) -> ChannelMessage:
        raise NotImplementedError

    def listen(self, channel: str, wake: Any) -> Any:
        return lambda: None


class Added(LocalLayer):
    def listen(self, channel: str, wake: Any) -> Any:
        return lambda: None


@pytest.mark.parametrize("kind", [Listening, Inheriting, Both, Added])
def test_a_layer_that_has_it_is_listened_to(kind: Any) -> None:
    layer = kind()
    assert find_listen(layer) == layer.listen


@pytest.mark.parametrize("layer", [BaseChannelLayer(), Receiving(), MagicMock(), AsyncMock()])
def test_another_one_is_received_from(layer: Any) -> None:
    assert find_listen(layer) is None


def test_a_receive_that_a_test_replaces_is_called() -> None:
    layer = Listening()
    with patch.object(Listening, "receive"):
        assert find_listen(layer) is None
    with patch.object(layer, "receive"):
        assert find_listen(layer) is None

    async def other(self: Any, channel: str) -> None: ...

    with patch.object(Listening, "receive", other):
        assert find_listen(layer) is None
    assert find_listen(layer) == layer.listen
