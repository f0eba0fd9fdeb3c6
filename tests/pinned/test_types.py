"""The classes at run time as in the stubs of types-channels 4.3, which stubtest compares."""

import inspect
from typing import Any

import pytest
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.exceptions import DenyConnection
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import InMemoryChannelLayer
from channels.security.websocket import WebsocketDenier
from channels.testing import HttpCommunicator


def test_the_class_of_a_consumer_has_no_layer() -> None:
    for consumer in (AsyncConsumer, SyncConsumer, AsyncWebsocketConsumer, AsyncHttpConsumer):
        assert not hasattr(consumer, "channel_layer")


def test_a_denier_has_the_alias_of_any_consumer() -> None:
    assert WebsocketDenier.channel_layer_alias == "default"


def test_a_denial_takes_any_arguments_and_keeps_them() -> None:
    assert {one.kind for one in inspect.signature(DenyConnection).parameters.values()} >= {
        inspect.Parameter.VAR_POSITIONAL
    }
    given: Any
    for given in ((), ("no",), ("no", "more"), (1, 2, 3, 4, 5), ({"a": 1},)):
        assert DenyConnection(*given).args == given
    assert str(DenyConnection("no")) == "no"


async def test_a_response_passes_keywords_on_to_its_headers() -> None:
    class Stamped(AsyncHttpConsumer):
        async def send_headers(
            self, *, stamp: bytes = b"", headers: Any = None, **kwargs: Any
        ) -> None:
            await super().send_headers(headers=[*headers, (b"stamp", stamp)], **kwargs)

        async def handle(self, body: bytes) -> None:
            await self.send_response(200, b"body", headers=[(b"a", b"b")], stamp=b"today")

    response = await HttpCommunicator(Stamped.as_asgi(), "GET", "/").get_response()
    assert response["headers"] == [(b"a", b"b"), (b"stamp", b"today")]
    assert response["body"] == b"body"


async def test_a_keyword_that_no_headers_take_is_an_error() -> None:
    class Stamped(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            with pytest.raises(TypeError, match="unexpected keyword argument 'stamp'"):
                await self.send_response(200, b"body", stamp=b"today")
            await self.send_response(204, b"")

    response = await HttpCommunicator(Stamped.as_asgi(), "GET", "/").get_response()
    assert response["status"] == 204


def test_the_stores_of_the_memory_layer_may_be_assigned() -> None:
    layer: Any = InMemoryChannelLayer()
    layer.channels = {}
    layer.groups = {}
    assert (layer.channels, layer.groups) == ({}, {})
