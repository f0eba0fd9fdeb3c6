"""Which layers a consumer listens to."""

from functools import wraps
from typing import Any
from unittest.mock import AsyncMock, MagicMock, patch

import pytest

from channels_core._layers.optional_methods import find_listen, takes_wake_waiting
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


class Asking(Listening):
    def listen(self, channel: str, wake: Any, wake_waiting: Any = None) -> Any:
        return lambda: None

    vars(listen)["takes_wake_waiting"] = True


class OverridesAsking(Asking):
    def listen(self, channel: str, wake: Any) -> Any:  # type: ignore[override] # as of other layers
        return lambda: None


class WrapsAsking(Asking):
    @wraps(Asking.listen)
    def listen(self, channel: str, wake: Any) -> Any:  # type: ignore[override] # as above
        return lambda: None


@pytest.mark.parametrize(
    ("layer", "takes"),
    [(Asking(), True), (Listening(), False), (OverridesAsking(), False), (WrapsAsking(), False),
     (MagicMock(), False)],
)  # fmt: skip
def test_only_a_marked_function_gets_the_third_argument(layer: Any, takes: bool) -> None:
    assert takes_wake_waiting(layer.listen) is takes
