from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.urls import path

from channels_core.applications import as_asgi3
from channels_core.generic.websocket import WebsocketConsumer
from channels_core.layers import channel_layers
from channels_core.middleware import (
    BaseMiddleware,
    after_each_handler,
    forget_after_each_handler,
)
from channels_core.routing import ProtocolTypeRouter, URLRouter
from channels_core.security.websocket import OriginValidator
from channels_core.typing import Receive, Scope, Send
from colours import consumer, throw
from fakes import LocalLayer, Server


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


def counted(scope: Scope, calls: list[str]) -> None:
    async def note(text: str) -> None:
        calls.append(text)

    def nothing_to_do() -> None:
        calls.append("asked")

    for _ in range(2):
        after_each_handler(scope, nothing_to_do)
        after_each_handler(scope, lambda: note("awaited"))


class Watching(BaseMiddleware):
    def __init__(self, inner: Any, calls: list[str]) -> None:
        super().__init__(inner)
        self.calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        scope = dict(scope)
        counted(scope, self.calls)
        return await super().__call__(scope, receive, send)


ROUND = ["asked", "awaited"] * 2


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_it_can_learn_when_a_handler_has_ended(colour: str) -> None:
    calls: list[str] = []
    layer = LocalLayer()

    def receive(self: Any, text_data: str) -> Any:
        calls.append(text_data)
        yield self.send(text_data)

    def chat_message(self: Any, message: Any) -> Any:
        calls.append("chat")
        yield self.send("chat")

    def disconnect(self: Any, code: int) -> Any:
        calls.append("disconnect")
        yield None

    members: Any = {"receive": receive, "chat_message": chat_message, "disconnect": disconnect}
    inner = consumer(colour, groups=["room"], **members)
    channel_layers.set("default", layer)
    try:
        server = Server(Watching(inner, calls))
        await server.connect()
        server.text("a")
        await server.replies(2)
        await layer.group_send("room", {"type": "chat.message"})
        await server.replies(3)
        await server.leave()
    finally:
        channel_layers.set("default", None)
    assert calls == [*ROUND, "a", *ROUND, "chat", *ROUND, "disconnect", *ROUND]


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_after_an_error_it_learns_of_the_end_alone(colour: str) -> None:
    calls: list[str] = []

    def receive(self: Any, text_data: str) -> Any:
        yield throw(LookupError("no"))

    server = Server(Watching(consumer(colour, receive=receive), calls))
    await server.connect()
    server.text("a")
    with pytest.raises(LookupError):
        await server.end()
    assert calls == [*ROUND, *ROUND]


class TestHooks:
    """Middleware of Channels 2, without a `__call__` of ASGI 3."""

    async def test_both_prepare_the_scope_before_the_application_inside(self) -> None:
        class Prepared(BaseMiddleware):
            def populate_scope(self, scope: Scope) -> None:
                scope["steps"] = ["populated"]

            async def resolve_scope(self, scope: Scope) -> None:
                scope["steps"].append("resolved")

        scope = {"type": "x"}
        inner_scope = await Prepared(returning_the_scope)(scope, none, none)
        assert inner_scope["steps"] == ["populated", "resolved"]
        assert scope == {"type": "x"}

    async def test_they_are_left_to_a_subclass_with_a_call_of_its_own(self) -> None:
        class Own(BaseMiddleware):
            calls = 0

            def populate_scope(self, scope: Scope) -> None:
                self.calls += 1

            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
                self.populate_scope(scope)
                return await super().__call__(scope, receive, send)

        class Derived(Own):
            pass

        for kind in (Own, Derived):
            middleware = kind(returning_the_scope)
            await middleware({"type": "x"}, none, none)
            assert middleware.calls == 1

    async def test_the_first_step_of_a_base_does_not_prepare_for_it(self) -> None:
        class Own(BaseMiddleware):
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
                instance: Any = super().__call__
                return await instance(dict(scope, own=True))(receive, send)

            def populate_scope(self, scope: Scope) -> None:
                raise NotImplementedError

        assert await Own(returning_the_scope)({"type": "x"}, none, none) == {
            "type": "x",
            "own": True,
            "changed": True,
        }

    async def test_a_call_with_the_scope_alone_leaves_them_to_us(self) -> None:
        class Two(BaseMiddleware):
            def __call__(self, scope: Scope) -> Any:  # type: ignore[override] # as it was
                serve: Any = super().__call__
                return serve({**scope, "called": True})

            async def resolve_scope(self, scope: Scope) -> None:
                scope["resolved"] = True

        application: Any = Two(returning_the_scope)
        inner_scope = await application({"type": "x"})(none, none)
        assert inner_scope == {"type": "x", "called": True, "resolved": True, "changed": True}

    async def test_what_is_inside_is_made_between_the_two(self) -> None:
        order: list[str] = []

        class Telling(BaseMiddleware):
            def populate_scope(self, scope: Scope) -> None:
                order.append("populate")
                scope["populated"] = True

            async def resolve_scope(self, scope: Scope) -> None:
                order.append("resolve")
                scope["resolved"] = True

        def two_steps(scope: Scope) -> Any:
            order.append(f"made {scope['populated']}")

            async def instance(receive: Receive, send: Send) -> Any:
                return scope

            return instance

        outer: Any = Telling(two_steps)
        given = {"type": "x"}
        instance = outer(given)
        assert order == ["populate", "made True"]
        assert await instance(none, none) == {"type": "x", "populated": True, "resolved": True}
        assert order == ["populate", "made True", "resolve"]
        assert given == {"type": "x"}

    async def test_the_call_of_the_application_inside_can_be_overridden(self) -> None:
        class Around(BaseMiddleware):
            async def coroutine_call(
                self, inner_instance: Any, scope: Scope, receive: Receive, send: Send
            ) -> Any:
                scope["around"] = True
                return "around", await super().coroutine_call(inner_instance, scope, receive, send)

        around, inner_scope = await Around(returning_the_scope)({"type": "x"}, none, none)
        assert around == "around"
        assert inner_scope == {"type": "x", "around": True, "changed": True}


class TestAroundOurs:
    """Two-step middleware of a program, around routers and consumers."""

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda consumer: consumer,
            BaseMiddleware,
            lambda consumer: URLRouter([path("a/", consumer)]),
            lambda consumer: OriginValidator(consumer, ["*"]),
            lambda consumer: ProtocolTypeRouter({"websocket": consumer}),
        ],
    )
    async def test_it_hands_its_scope_on(self, wrap: Callable[[Any], Any]) -> None:
        class Outer:
            def __init__(self, inner: Any) -> None:
                self.inner = inner

            def __call__(self, scope: Scope) -> Any:
                return self.inner(dict(scope, user="anna"))

        class Consumer(WebsocketConsumer):
            def connect(self) -> None:
                self.accept(subprotocol=self.scope["user"])

        server = Server(as_asgi3(Outer(wrap(Consumer))), {"path": "/a/", "subprotocols": ["anna"]})
        assert (await server.connect())[0]["subprotocol"] == "anna"
        await server.leave()

    @pytest.mark.parametrize("inner", [WebsocketConsumer, partial(WebsocketConsumer)])
    async def test_one_that_is_derived_from_ours_may_call_what_it_wraps(self, inner: Any) -> None:
        class Derived(BaseMiddleware):
            def __call__(self, scope: Scope) -> Any:  # type: ignore[override] # as it was
                call: Any = self.inner
                return call(dict(scope, user="anna"))

        server = Server(as_asgi3(Derived(inner)))
        assert (await server.connect())[0]["type"] == "websocket.accept"
        await server.leave()


def test_the_functions_after_handlers_are_taken_out_of_their_scope_only() -> None:
    scope: Scope = {"type": "websocket"}
    after_each_handler(scope, lambda: None)
    inner = dict(scope)
    for _ in range(2):
        forget_after_each_handler(scope)
        assert scope == {"type": "websocket"}
    assert len(inner) == 2
