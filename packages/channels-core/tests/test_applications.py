import functools
from typing import Any
from unittest.mock import AsyncMock

import pytest

from channels_core.applications import as_asgi3, name_that_thing
from channels_core.consumer import AsyncConsumer
from channels_core.generic.websocket import WebsocketConsumer
from channels_core.typing import Receive, Scope, Send
from fakes import Server


async def single(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "told", "by": "single"})


def ordinary(scope: Scope, receive: Receive, send: Send) -> Any:
    """Return a coroutine, without being a coroutine function."""
    return single(scope, receive, send)


class Single:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await single(scope, receive, send)


def double(scope: Scope) -> Any:
    async def serve(receive: Receive, send: Send) -> None:
        await send({"type": "told", "by": scope["type"]})

    return serve


class DoubleClass:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, receive: Receive, send: Send) -> None:
        await double(self.scope)(receive, send)


class Double:
    def __call__(self, scope: Scope) -> Any:
        return double(scope)


async def told(application: Any) -> Any:
    server = Server(as_asgi3(application))
    await server.end()
    return server.received[0]["by"]


@pytest.mark.parametrize(
    "application", [single, ordinary, Single(), functools.partial(single), AsyncMock()]
)
def test_an_asgi_3_application_is_returned_as_it_is(application: Any) -> None:
    assert as_asgi3(application) is application


async def test_an_ordinary_function_may_be_an_asgi_3_application() -> None:
    assert await told(ordinary) == "single"


@pytest.mark.parametrize("application", [double, DoubleClass, Double()])
async def test_a_two_step_application_is_turned_into_one_of_asgi_3(application: Any) -> None:
    assert await told(application) == "websocket"


async def test_a_callable_that_tells_no_signature_is_what_asgiref_takes_it_for() -> None:
    class Untold(Double):
        __signature__ = "none"

    assert await told(Untold()) == "websocket"


async def test_a_consumer_class_is_turned_into_an_application() -> None:
    server = Server(as_asgi3(WebsocketConsumer))
    assert (await server.connect())[0]["type"] == "websocket.accept"
    await server.leave()


@pytest.mark.parametrize("thing", [None, "consumers.Chat", {}])
def test_what_cannot_be_called_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"Expected an ASGI application .* got "):
        as_asgi3(thing)


def test_a_thing_is_named_by_itself_or_by_its_class() -> None:
    assert name_that_thing(WebsocketConsumer) == "channels_core.generic.websocket.WebsocketConsumer"
    assert name_that_thing(as_asgi3) == "channels_core.applications.as_asgi3"
    assert name_that_thing(Single()) == f"{__name__}.Single"
    assert name_that_thing(Single.__call__) == f"{__name__}.Single.__call__"


def test_forgotten_parentheses_are_an_error_at_once() -> None:
    with pytest.raises(TypeError, match=r"call as_asgi\(\)"):
        as_asgi3(AsyncConsumer.as_asgi)
