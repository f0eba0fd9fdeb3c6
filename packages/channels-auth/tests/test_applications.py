from typing import Any

import pytest
from django.contrib.sessions.backends.base import SessionBase
from django.urls import path, re_path

from channels_auth._applications import Place, is_ours, walk
from channels_auth.auth import AuthMiddleware, AuthMiddlewareStack
from channels_auth.cookies import CookieMiddleware
from channels_auth.guards import login_required
from channels_auth.sessions import SessionMiddleware
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.middleware import BaseMiddleware
from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels_core.security.websocket import AllowedHostsOriginValidator, OriginValidator
from channels_core.typing import Receive, Scope, Send


class Log(BaseMiddleware):
    """A program's own middleware."""


class Consumer(AsyncWebsocketConsumer):
    """The end of a walk."""


class Opaque:
    """A wrapper that keeps what is inside to itself, and odd things where others keep it."""

    inner = "nothing to call"

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._application(scope, receive, send)


def ends(application: Any) -> list[Place]:
    return [place for place in walk(application) if place.is_last]


def kinds(place: Place) -> list[type]:
    return [type(each) for each in place.around]


def test_it_goes_through_routers_and_middleware() -> None:
    consumer = Consumer.as_asgi()
    [place] = ends(
        AllowedHostsOriginValidator(AuthMiddlewareStack(Log(URLRouter([path("a/", consumer)]))))
    )
    assert place.application is consumer
    assert kinds(place) == [
        OriginValidator,
        CookieMiddleware,
        SessionMiddleware,
        AuthMiddleware,
        Log,
        URLRouter,
    ]
    assert place.is_inside(AuthMiddleware)
    assert place.is_inside(SessionBase, BaseMiddleware)
    assert not place.is_inside(SessionBase)


def test_it_goes_through_guards() -> None:
    [place] = ends(login_required(Consumer))
    assert place.application.consumer_class is Consumer
    assert all(is_ours(each) for each in place.around)


def test_it_goes_through_routers_within_routers() -> None:
    inner = URLRouter([path("b/", Consumer.as_asgi()), re_path("^c/$", Consumer.as_asgi())])
    places = ends(URLRouter([path("a/", Log(inner))]))
    assert [kinds(place) for place in places] == [[URLRouter, Log, URLRouter]] * 2


def test_it_knows_the_protocol() -> None:
    application = ProtocolTypeRouter(
        {
            "websocket": CookieMiddleware(Consumer),
            "http": Opaque(Consumer),
            "channel": ChannelNameRouter({"http": Consumer}),
        }
    )
    found = {place.protocol for place in ends(application)}
    assert found == {"websocket", "http", "channel", "lifespan"}
    assert [place.protocol for place in ends(CookieMiddleware(Consumer))] == [None]


class Wrapper:
    """A wrapper of another package."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do nothing."""


class Delicate(Wrapper):
    """One that does not like to be looked at."""

    @property
    def application(self) -> Any:
        """Fail."""
        raise RuntimeError("not in here")


@pytest.mark.parametrize("name", ["app", "_app", "wrapped", "asgi_app", "application", "inner"])
def test_it_goes_through_wrappers_of_others(name: str) -> None:
    [place] = ends(Wrapper(**{name: CookieMiddleware(Consumer)}))
    assert kinds(place) == [Wrapper, CookieMiddleware]
    assert not place.is_certain


def test_what_is_there_under_two_names_is_there_once() -> None:
    consumer = Consumer.as_asgi()
    [place] = ends(Wrapper(app=consumer, inner=consumer, wrapped="nothing to call"))
    assert place.application is consumer


def test_one_that_fails_breaks_nothing() -> None:
    [place] = ends(Delicate(app=CookieMiddleware(Consumer)))
    assert kinds(place) == [Delicate, CookieMiddleware]


def test_what_it_does_not_know_ends_it() -> None:
    for application in (Opaque(Consumer), Consumer, Log, ChannelNameRouter({"a": Consumer})):
        [place] = walk(application)
        assert place == Place(application, (), None, True)


def test_a_circle_ends_it_too() -> None:
    log = Log(Consumer)
    router = URLRouter([path("a/", log)])
    log.inner = router
    assert [type(place.application) for place in walk(log)] == [Log, URLRouter]


def test_it_knows_what_is_ours() -> None:
    assert is_ours(CookieMiddleware(Consumer))
    assert is_ours(URLRouter([]))
    assert not is_ours(Log(Consumer))
    [place] = ends(CookieMiddleware(Consumer))
    assert place.is_certain
    [place] = ends(CookieMiddleware(Log(Consumer)))
    assert not place.is_certain
