import asyncio
import contextlib
import functools
import threading
from typing import Any
from unittest.mock import AsyncMock

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.urls import path
from django.utils.asyncio import async_unsafe

from channels_core.applications import as_asgi3, first_step, name_that_thing
from channels_core.consumer import AsyncConsumer
from channels_core.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels_core.routing import ProtocolTypeRouter, URLRouter
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


class OfScope(AsyncConsumer):
    """A consumer of a program written for Channels 2."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self.path = self.scope["path"]

    async def websocket_connect(self, message: Any) -> None:
        await self.send({"type": "told", "by": self.path})


class PassingOn(OfScope):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class TwoArguments(OfScope):
    async def __call__(self, receive: Receive, send: Send) -> None:  # type: ignore[override] # as it was
        self.path += "more/"
        serve: Any = super().__call__
        await serve(receive, send)


@pytest.mark.parametrize(
    ("kind", "path"), [(OfScope, "/a/"), (PassingOn, "/a/"), (TwoArguments, "/a/more/")]
)
async def test_a_bare_consumer_class_is_made_with_its_scope(kind: Any, path: str) -> None:
    server = Server(as_asgi3(kind), scope={"path": "/a/"})
    assert await server.connect() == [{"type": "told", "by": path}]
    await server.leave()


class Silent(AsyncConsumer):
    """Does not pass its scope to our constructor."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.mine = scope["path"]

    async def websocket_connect(self, message: Any) -> None:
        await self.send({"type": "told", "by": self.mine})


@pytest.mark.parametrize(
    ("kind", "path"), [(OfScope, "/a/"), (Silent, "/a/"), (TwoArguments, "/a/more/")]
)
async def test_it_is_made_in_the_first_of_two_steps(kind: Any, path: str) -> None:
    instance = first_step(as_asgi3(kind), {"type": "websocket", "path": "/a/"})
    assert isinstance(instance, kind) is (kind is not Silent)
    server = Server(lambda _, *channel: instance(*channel))
    assert await server.connect() == [{"type": "told", "by": path}]
    await server.leave()


async def test_a_first_step_that_asks_the_database_waits_for_the_second() -> None:
    class Asking(OfScope):
        def __init__(self, scope: Scope) -> None:
            super().__init__(scope)
            ask()

    def function(scope: Scope) -> Any:
        ask()
        return Asking(scope)

    @async_unsafe
    def ask() -> None:
        asked.append(threading.current_thread())

    for application in (Asking, function):
        asked: list[threading.Thread] = []
        instance = first_step(as_asgi3(application), {"type": "websocket", "path": "/a/"})
        assert not asked
        server = Server(lambda _, *channel, instance=instance: instance(*channel))
        assert await server.connect() == [{"type": "told", "by": "/a/"}]
        assert asked
        assert threading.current_thread() not in asked
        await server.leave()


async def test_a_constructor_that_fails_in_the_first_step_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(OfScope):
        def __init__(self, scope: Scope) -> None:
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        first_step(as_asgi3(Failing), {"type": "websocket", "path": "/a/"})
    [record] = caplog.records
    assert "Failing failed: path '/a/'" in record.getMessage()


async def test_one_whose_constructor_takes_nothing_is_made_without() -> None:
    class Plain(AsyncConsumer):
        def __init__(self) -> None:
            super().__init__()

        async def websocket_connect(self, message: Any) -> None:
            await self.send({"type": "told", "by": self.scope["path"]})

    server = Server(as_asgi3(Plain), scope={"path": "/a/"})
    assert await server.connect() == [{"type": "told", "by": "/a/"}]
    await server.leave()


async def test_a_constructor_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(AsyncConsumer):
        def __init__(self, scope: Scope) -> None:
            raise LookupError(scope["path"])

    application: Any = as_asgi3(Failing)
    with pytest.raises(LookupError):
        await application({"type": "websocket", "path": "/a/"}, None, None)
    assert "Failing failed: path '/a/'" in caplog.text
    assert application.consumer_class is Failing
    assert application.consumer_initkwargs == {}


def lookup() -> str:
    """Stand for a query of Django's ORM, which makes the same check."""
    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop()
        raise SynchronousOnlyOperation
    return "anna"


async def test_a_first_step_may_ask_the_database() -> None:
    class Middleware:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __call__(self, scope: Scope) -> Any:
            return self.inner(dict(scope, path=lookup()))

    class Asking(OfScope):
        def __init__(self, scope: Scope) -> None:
            super().__init__(dict(scope, path=lookup()))

    for application in (Middleware(OfScope), Asking):
        server = Server(as_asgi3(application), scope={"path": "/a/"})
        assert await server.connect() == [{"type": "told", "by": "anna"}]
        await server.leave()


@pytest.mark.parametrize("fails", [False, True])
async def test_a_constructor_may_ask_the_database(
    fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Asking(AsyncWebsocketConsumer):
        def __init__(self) -> None:
            super().__init__()
            self.user = lookup()
            if fails:
                raise LookupError(self.user)

    routes: list[Any] = [path("a/", Asking.as_asgi())]
    for application in (Asking.as_asgi(), ProtocolTypeRouter({"websocket": URLRouter(routes)})):
        server = Server(application, scope={"path": "/a/"})
        if not fails:
            assert await server.connect() == [{"type": "websocket.accept", "subprotocol": None}]
            await server.leave()
            continue
        caplog.clear()
        with pytest.raises(LookupError, match="anna"):
            await server.end()
        assert "Asking failed: path '/a/'" in caplog.text


def test_the_scope_may_be_given_by_its_name() -> None:
    assert AsyncConsumer(scope={"path": "/a/"}).scope == {"path": "/a/"}
