from typing import Any

import pytest

from channels_core.generic.websocket import WebsocketConsumer
from channels_core.middleware import BaseMiddleware
from channels_core.routing import URLRouter
from channels_core.typing import Receive, Scope, Send
from fakes import Server


class Greeting(BaseMiddleware):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        scope = {**scope, "greeting": "hello"}
        return await super().__call__(scope, receive, send)


async def none(*message: Any) -> Any:
    raise NotImplementedError


async def returning_the_scope(scope: Scope, receive: Receive, send: Send) -> Any:
    scope["changed"] = True
    return scope


async def test_the_application_inside_gets_a_copy_of_the_scope() -> None:
    scope = {"type": "http"}
    inner_scope = await BaseMiddleware(returning_the_scope)(scope, none, none)
    assert inner_scope == {"type": "http", "changed": True}
    assert scope == {"type": "http"}


async def test_a_subclass_adds_to_it() -> None:
    inner_scope = await Greeting(BaseMiddleware(returning_the_scope))({"type": "x"}, none, none)
    assert inner_scope["greeting"] == "hello"


async def test_a_consumer_class_may_stand_inside() -> None:
    server = Server(Greeting(WebsocketConsumer))
    assert (await server.connect())[0]["type"] == "websocket.accept"
    await server.leave()


def test_what_is_no_application_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="Expected an ASGI application"):
        BaseMiddleware("inner")


def test_it_tells_whether_a_router_is_inside() -> None:
    assert Greeting(BaseMiddleware(URLRouter([])))._path_routing
    assert not Greeting(WebsocketConsumer)._path_routing
