from typing import Any

import pytest

from channels_core.exceptions import InvalidChannelLayerError
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.layers import BaseChannelLayer
from fakes import LocalLayer


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


@pytest.mark.parametrize("layer", [None, LocalLayer, BaseChannelLayer])
def test_a_layer_is_asked_for_groups_beforehand(layer: Any) -> None:
    consumer = Program()
    if layer is LocalLayer:
        consumer.channel_layer = LocalLayer()
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
