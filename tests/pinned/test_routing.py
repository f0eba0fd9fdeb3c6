"""What upstream's tests, and programs written for it, expect of routers."""

from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.exceptions import ImproperlyConfigured
from django.urls import include, path

from channels_core.typing import Receive, Scope, Send


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve nothing."""


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
