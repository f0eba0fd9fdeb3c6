from typing import Any

import pytest

from channels_core.exceptions import InvalidChannelLayerError
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.layers import BaseChannelLayer
from fakes import LocalLayer, Server


class Program(AsyncWebsocketConsumer):
    groups = ["everyone"]


def test_each_consumer_has_its_own_list_of_groups() -> None:
    first, second = Program("any", argument="s"), Program()
    first.groups.append("mine")
    assert second.groups == Program.groups == ["everyone"]


def test_a_programs_constructor_need_not_call_ours_for_its_groups() -> None:
    class Declaring(AsyncWebsocketConsumer):
        @property
        def groups(self) -> Any:
            return ("a", "b")

    consumer = Declaring()
    assert consumer._channels_groups() == ["a", "b"]
    assert consumer._channels_groups_to_leave() == []


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


async def test_disconnect_answers_a_connect(layer: LocalLayer) -> None:
    called = []

    class Counting(AsyncWebsocketConsumer):
        async def disconnect(self, code: int) -> None:
            called.append(code)

    layer.faults["new_channel"] = ConnectionError("no layer")
    server = Server(Counting.as_asgi())
    with pytest.raises(ConnectionError):
        await server.end()
    assert called == []


@pytest.mark.parametrize("kind", [None, LocalLayer, BaseChannelLayer])
def test_a_layer_is_asked_for_groups_beforehand(kind: Any) -> None:
    consumer = Program()
    consumer.channel_layer = kind and kind()
    if kind is LocalLayer:
        assert consumer._channels_group_layer() is consumer.channel_layer
    else:
        with pytest.raises(InvalidChannelLayerError, match="Program joins a group"):
            consumer._channels_group_layer()


def test_the_first_error_of_a_clean_up_is_raised_and_the_rest_reported() -> None:
    reported: list[Any] = []
    consumer = Program()
    vars(consumer)["report_exception"] = lambda error, message: reported.append(error)
    errors: list[Exception] = [LookupError("first"), LookupError("second")]
    consumer._channels_raise_first([])
    with pytest.raises(LookupError, match="first"):
        consumer._channels_raise_first(errors)
    assert reported == errors[1:]


def test_a_consumer_that_runs_no_loop_may_lose_its_client() -> None:
    consumer = Program()
    consumer._channels_lost(OSError("gone"))
    assert not consumer.is_open


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

    consumer = Program()
    consumer.channel_layer = Proxy()
    assert consumer._channels_group_layer() is consumer.channel_layer


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
