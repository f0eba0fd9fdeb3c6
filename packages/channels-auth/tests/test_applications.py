from channels_auth._applications import is_certain, is_ours
from channels_auth.auth import AuthMiddlewareStack
from channels_auth.cookies import CookieMiddleware
from channels_auth.guards import login_required
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.inspection import Place, walk
from channels_core.middleware import BaseMiddleware
from channels_core.routing import URLRouter


class Log(BaseMiddleware):
    """A program's own middleware."""


class Consumer(AsyncWebsocketConsumer):
    """The end of a walk."""


def end(application: object) -> Place:
    [place] = [place for place in walk(application) if place.is_last]
    return place


def test_it_knows_what_is_ours() -> None:
    assert is_ours(CookieMiddleware(Consumer))
    assert is_ours(URLRouter([]))
    assert is_ours(login_required(Consumer))
    assert not is_ours(Log(Consumer))


def test_it_is_certain_of_ours_alone() -> None:
    assert is_certain(end(Consumer))
    assert is_certain(end(AuthMiddlewareStack(login_required(Consumer))))
    assert not is_certain(end(CookieMiddleware(Log(Consumer))))
    assert not is_certain(end(Log(CookieMiddleware(Consumer))))
