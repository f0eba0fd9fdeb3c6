"""The behaviour of routers that programs and tests for upstream rely on."""

from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.core.exceptions import ImproperlyConfigured
from django.urls import include, path

from channels_core.typing import Receive, Scope, Send


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Do nothing."""


def test_the_mapping_of_a_protocol_router_has_exactly_the_given_keys() -> None:
    for given in ({}, {"websocket": nothing}, {"http": nothing, "websocket": nothing}):
        assert ProtocolTypeRouter(given).application_mapping == given


async def test_the_outermost_router_answers_lifespan_though_it_is_no_key() -> None:
    server = ApplicationCommunicator(ProtocolTypeRouter({}), {"type": "lifespan"})
    await server.send_input({"type": "lifespan.startup"})
    assert await server.receive_output() == {"type": "lifespan.startup.complete"}
    await server.send_input({"type": "lifespan.shutdown"})
    assert await server.receive_output() == {"type": "lifespan.shutdown.complete"}
    await server.wait()


def test_include_in_a_router_is_refused_with_a_full_sentence() -> None:
    view: Any = nothing
    with pytest.raises(ImproperlyConfigured, match=r"include\(\) is not supported in URLRouter\."):
        URLRouter([path("a/", include([path("b/", view)]))])


async def test_the_text_for_a_missing_route_ends_after_the_path() -> None:
    view: Any = nothing
    router = URLRouter([path("a/", view)])
    with pytest.raises(ValueError, match="No route") as raised:
        await ApplicationCommunicator(router, {"type": "websocket", "path": "/b/"}).wait()
    assert str(raised.value) == "No route found for path 'b/'."


async def test_the_text_for_a_missing_type_ends_after_the_type() -> None:
    router = ProtocolTypeRouter({"websocket": nothing})
    with pytest.raises(ValueError, match="No application") as raised:
        await ApplicationCommunicator(router, {"type": "mail"}).wait()
    assert str(raised.value) == "No application configured for scope type 'mail'"


async def test_the_texts_for_a_missing_channel() -> None:
    router = ChannelNameRouter({"mail": nothing})
    with pytest.raises(ValueError, match="No application") as raised:
        await ApplicationCommunicator(router, {"type": "channel", "channel": "jobs"}).wait()
    assert str(raised.value) == "No application configured for channel name 'jobs'"
    with pytest.raises(ValueError, match="channel") as raised:
        await ApplicationCommunicator(router, {"type": "http"}).wait()
    assert str(raised.value) == (
        "ChannelNameRouter got a scope without a 'channel' key. Did you make sure it's only being "
        "used for 'channel' type messages?"
    )
