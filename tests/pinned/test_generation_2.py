"""The behaviour of calls in two steps that programs and tests for Channels 2.1 rely on."""

from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest
from channels.auth import AuthMiddleware, AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.middleware import BaseMiddleware
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels.security.websocket import OriginValidator
from channels.sessions import CookieMiddleware, SessionMiddleware, SessionMiddlewareStack
from channels.staticfiles import StaticFilesWrapper
from django.urls import path, re_path


class Impatient(AsyncWebsocketConsumer):
    """Reads its user before the middleware has set it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = self.scope["user"].username


def call(application: Any, scope: dict[str, Any]) -> Any:
    return application(scope)


def asked(of: str, **more: Any) -> dict[str, Any]:
    return {"type": "http", "path": of, "headers": [], **more}


def answering(value: Any) -> Any:
    return MagicMock(return_value=value)


def wrapped(inner: Any) -> Any:
    """Return middleware of a program, which hides the router inside."""

    def application(scope: dict[str, Any]) -> Any:
        return inner(scope)

    vars(application)["_path_routing"] = True
    return application


def test_a_router_called_with_the_scope_alone_returns_what_its_application_returns() -> None:
    posh: Any = answering("kwargs")
    router = URLRouter(
        [
            re_path(r"^$", answering(1)),
            re_path(r"^foo/$", answering(2)),
            re_path(r"^page/(\d+)/$", answering("args")),
            path("user/<name>/", posh, {"extra": 1}),
        ]
    )
    assert call(router, asked("/")) == 1
    assert call(router, asked("/foo/")) == 2
    assert call(router, asked("/page/7/")) == "args"
    assert call(router, asked("/user/anna/")) == "kwargs"
    [[scope], _] = posh.call_args
    assert scope["url_route"] == {"args": (), "kwargs": {"name": "anna", "extra": 1}}
    assert scope["path_remaining"] == ""


def test_no_route_is_a_value_error_in_the_first_step() -> None:
    inner = URLRouter([path("b/", answering(1))])
    for router in (
        URLRouter([]),
        URLRouter([path("a/", inner)]),
        ProtocolTypeRouter({"http": inner}),
    ):
        with pytest.raises(ValueError, match="No route found for path"):
            call(router, asked("/a/c/"))
    with pytest.raises(ValueError, match="No 'path' key in connection scope"):
        call(inner, {"type": "http"})


def test_a_router_of_types_in_the_first_step() -> None:
    router = ProtocolTypeRouter({"websocket": answering("ws"), "http": answering("http")})
    assert call(router, {"type": "websocket"}) == "ws"
    assert call(router, {"type": "http"}) == "http"
    with pytest.raises(ValueError, match="No application configured for scope type 'other'"):
        call(router, {"type": "other"})
    with pytest.raises(KeyError, match="type"):
        call(router, {"tyyype": "http"})


def test_a_router_of_channels_in_the_first_step() -> None:
    router = ChannelNameRouter({"one": answering(1), "other": answering(2)})
    assert call(router, {"type": "channel", "channel": "one"}) == 1
    assert call(router, {"type": "channel", "channel": "other"}) == 2
    with pytest.raises(ValueError, match="No application configured for channel name 'none'"):
        call(router, {"type": "channel", "channel": "none"})
    with pytest.raises(ValueError, match="got a scope without a 'channel' key"):
        call(router, {"type": "channel"})


@pytest.mark.parametrize("between", [lambda inner: inner, BaseMiddleware, wrapped])
def test_nested_routers_in_the_first_step(between: Callable[[Any], Any]) -> None:
    page: Any = answering(1)
    inner = URLRouter([path("test/<int:page>/", page)])
    outer = URLRouter([path("number/<int:number>/", between(inner))])
    assert call(inner, asked("/test/3/")) == 1
    result = call(outer, asked("/number/42/test/3/"))
    # Our middleware returns an awaitable, which may wait for the user and then calls the result.
    assert (result.args[0] if between is BaseMiddleware else result) == 1
    [[scope], _] = page.call_args
    assert scope["url_route"]["kwargs"] == {"number": 42, "page": 3}
    for missing in ("/number/42/test/3/bla/", "/number/42/blub/"):
        with pytest.raises(ValueError, match="No route found for path"):
            call(outer, asked(missing))


def test_the_outer_router_goes_on_when_an_inner_one_has_no_route() -> None:
    inner = URLRouter([re_path(r"^no-match/$", answering(1))])
    outer = URLRouter([re_path(r"^prefix/", inner), re_path(r"^prefix/stuff/$", answering(2))])
    assert call(URLRouter([path("", outer)]), asked("/prefix/stuff/")) == 2


def test_a_consumer_in_a_route_is_made_with_its_scope() -> None:
    bare: Any = WebsocketConsumer
    router = URLRouter([path("chat/<room>/", bare)])
    consumer = call(router, asked("/chat/tea/"))
    assert isinstance(consumer, WebsocketConsumer)
    assert consumer.scope["url_route"]["kwargs"] == {"room": "tea"}
    assert isinstance(
        call(ChannelNameRouter({"a": Impatient}), {"channel": "a", "user": MagicMock()}), Impatient
    )


@pytest.mark.parametrize(
    "around",
    [
        AuthMiddlewareStack,
        BaseMiddleware,
        CookieMiddleware,
        SessionMiddlewareStack,
        StaticFilesWrapper,
        lambda inner: AuthMiddleware(SessionMiddleware(CookieMiddleware(inner))),
        lambda inner: OriginValidator(inner, ["*"]),
    ],
)
def test_middleware_takes_the_first_step_of_what_is_inside(settings: Any, around: Any) -> None:
    settings.STATIC_URL = "/static/"
    inside: Any = answering("instance")
    application = around(URLRouter([path("a/", inside)]))
    scope = asked("/a/", type="websocket", session={}, cookies={}, user="anna")
    assert call(application, scope)
    [[seen], _] = inside.call_args
    assert seen["url_route"] == {"args": (), "kwargs": {}}
    with pytest.raises(ValueError, match="No route found for path"):
        call(application, {**scope, "path": "/b/"})


@pytest.mark.parametrize(
    "between", [lambda inner: inner, lambda inner: URLRouter([path("a/", inner)])]
)
def test_a_constructor_cannot_ask_for_the_user(between: Callable[[Any], Any]) -> None:
    inner: Any = between(Impatient)
    for middleware in (AuthMiddleware(inner), AuthMiddlewareStack(inner)):
        with pytest.raises(ValueError, match=r"^Accessing scope user before it is ready\.$"):
            call(middleware, asked("/a/", type="websocket", session={}))
    with pytest.raises(ValueError, match="AuthMiddleware cannot find session in scope"):
        call(AuthMiddleware(inner), asked("/a/"))
