import sys
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user, get_user_model
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from django.core.asgi import get_asgi_application
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse
from django.http.cookie import parse_cookie
from django.urls import path

from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.middleware import BaseMiddleware
from channels_core.routing import ProtocolTypeRouter, URLRouter
from channels_core.typing import AnyScope, Receive, Scope, Send
from channels_testing.application import ApplicationCommunicator
from channels_testing.http import HttpCommunicator
from channels_testing.websocket import WebsocketCommunicator

# Typed for views; the scope of a consumer has another type.
to: Any = path

# A safety net, for a machine under load.
SECONDS = 60


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{request.user.get_username()} {sorted(request.session.items())[:1]}")


urlpatterns = [path("", home)]


class Greeting(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        user = self.scope.get("user")
        await self.send(f"{user} {self.scope['session'].get('cart')}")


async def with_sessions(scope: Scope, receive: Receive, send: Send) -> None:
    """Look the user up as the middleware of Channels does."""
    cookies = dict(scope["headers"]).get(b"cookie", b"").decode()
    session = SessionStore(parse_cookie(cookies).get("sessionid"))
    request = HttpRequest()
    request.session = session
    user = await sync_to_async(get_user)(request)
    await Greeting.as_asgi()({**scope, "session": session, "user": user}, receive, send)


async def settled(scope: Scope, receive: Receive, send: Send) -> None:
    """Keep a session and a user that are in the scope already, as middleware does."""
    application = Greeting.as_asgi() if {"user", "session"} <= scope.keys() else with_sessions
    await application(scope, receive, send)


class KeepsUser:
    """Reads a token unless the scope has a user, as middleware of programs does."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = {"user": AnonymousUser(), **scope, "session": {}}
        await self.inner(scope, receive, send)


class AuthMiddleware(BaseMiddleware):
    """Stands in for the module of channels-auth, which this package does not require."""

    def populate_scope(self, scope: AnyScope) -> None:
        scope.setdefault("user", None)

    async def resolve_scope(self, scope: AnyScope) -> None:
        """Do nothing."""

    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Any:
        await with_sessions(scope, receive, send)


class TokenMiddleware(AuthMiddleware):
    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Any:
        await KeepsUser(self.inner)(scope, receive, send)


known = SimpleNamespace(AuthMiddleware=AuthMiddleware)


@pytest.fixture
def anna(db: None, settings: Any) -> User:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    return get_user_model().objects.create_user("anna")


async def greeting(communicator: WebsocketCommunicator) -> str:
    async with communicator:
        return str(await communicator.receive_from(SECONDS))


class TestUser:
    async def test_in_a_view(self, anna: User) -> None:
        http = HttpCommunicator(get_asgi_application(), "GET", "/", user=anna)
        assert (await http.get_response(SECONDS)).text.startswith("anna ")
        await http.wait(SECONDS)

    async def test_behind_middleware(self, anna: User) -> None:
        socket = WebsocketCommunicator(with_sessions, "/", user=anna)
        assert await greeting(socket) == "anna None"
        # It may read the cookie or the scope; both lead to the same user.
        assert socket.scope["user"] is anna
        assert "session" not in socket.scope

    @pytest.mark.parametrize("router", [False, True])
    async def test_behind_the_middleware_of_channels(
        self, anna: User, monkeypatch: pytest.MonkeyPatch, router: bool
    ) -> None:
        monkeypatch.setitem(sys.modules, "channels_auth.auth", known)
        application: Any = AuthMiddleware(Greeting.as_asgi())
        if router:
            application = ProtocolTypeRouter(
                {"websocket": URLRouter([to("", application)]), "http": with_sessions}
            )
        socket = WebsocketCommunicator(application, "/", user=anna)
        assert await greeting(socket) == "anna None"
        # The scope has only the cookie, from which the middleware has found the user.
        assert not socket.scope.keys() & {"user", "session"}

    async def test_behind_middleware_that_keeps_a_user(
        self, anna: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "channels_auth.auth", known)
        for application in (
            KeepsUser(Greeting.as_asgi()),
            TokenMiddleware(Greeting.as_asgi()),
            URLRouter([to("", KeepsUser(Greeting.as_asgi())), to("b", AuthMiddleware(Greeting))]),
        ):
            socket = WebsocketCommunicator(application, "/", user=anna)
            assert await greeting(socket) == "anna None"
            somebody = WebsocketCommunicator(application, "/")
            assert await greeting(somebody) == "AnonymousUser None"

    async def test_in_a_consumer_alone(self, anna: User) -> None:
        for consumer in (Greeting, Greeting.as_asgi()):
            assert await greeting(WebsocketCommunicator(consumer, "/", user=anna)) == "anna None"

    @pytest.mark.parametrize(
        "router",
        [
            URLRouter([to("", URLRouter([to("", Greeting)])), to("b", Greeting.as_asgi())]),
            ProtocolTypeRouter({"websocket": URLRouter([to("", Greeting.as_asgi())])}),
        ],
    )
    async def test_behind_routers_alone(self, anna: User, router: Any) -> None:
        assert await greeting(WebsocketCommunicator(router, "/", user=anna)) == "anna None"

    async def test_behind_a_router_with_middleware(self, anna: User) -> None:
        router = URLRouter([to("", with_sessions), to("b", Greeting.as_asgi())])
        socket = WebsocketCommunicator(router, "/", user=anna)
        assert await greeting(socket) == "anna None"
        assert socket.scope["user"] is anna

    @pytest.mark.parametrize("application", [Greeting, settled])
    async def test_it_replaces_a_login_in_the_scope(self, anna: User, application: Any) -> None:
        scope = {"user": "somebody", "session": {"cart": ["tea"]}}
        socket = WebsocketCommunicator(application, "/", user=anna, scope=scope)
        assert await greeting(socket) == "anna None"
        assert scope["user"] == "somebody"

    @pytest.mark.parametrize("application", [settled, with_sessions])
    async def test_nobody(self, anna: User, application: Any) -> None:
        socket = WebsocketCommunicator(application, "/", user=AnonymousUser(), session={"cart": 1})
        assert await greeting(socket) == "AnonymousUser 1"

    async def test_nobody_without_a_database(self) -> None:
        scope: Scope = {"session": {}}
        socket = WebsocketCommunicator(Greeting, "/", user=AnonymousUser(), scope=scope)
        assert await greeting(socket) == "AnonymousUser None"

    @pytest.mark.parametrize("somebody", [User(username="ben"), SimpleNamespace(pk=1)])
    async def test_users_that_a_session_cannot_have(self, somebody: Any) -> None:
        scope: Scope = {"session": {}}
        socket = WebsocketCommunicator(Greeting, "/", user=somebody, scope=scope)
        assert await greeting(socket) == f"{somebody} None"
        expected = "Expected as user a saved instance of the user model, or AnonymousUser"
        with pytest.raises((TypeError, ValueError), match=expected) as caught:
            await WebsocketCommunicator(with_sessions, "/", user=somebody).connect(SECONDS)
        assert isinstance(caught.value, ValueError) is isinstance(somebody, User)
        assert repr(somebody) in str(caught.value)

    async def test_no_connection_stays_open(self, transactional_db: None) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "told", "is": await sync_to_async(is_connected)()})

        def is_connected() -> bool:
            return connection.connection is not None

        user = await sync_to_async(User.objects.create_user)("anna")
        await sync_to_async(connections.close_all)()
        communicator = ApplicationCommunicator(application, {"type": "test"}, user=user)
        assert await communicator.receive_output(SECONDS) == {"type": "told", "is": False}
        await communicator.wait(SECONDS)

    async def test_by_a_call(self, anna: User) -> None:
        socket = WebsocketCommunicator(with_sessions, "/")
        socket.force_login(anna)
        assert await greeting(socket) == "anna None"
        with pytest.raises(RuntimeError, match="before the application is started"):
            socket.force_login(anna)

    @pytest.mark.usefixtures("lent_connections")
    async def test_the_backend(self, anna: User, settings: Any) -> None:
        backend = "django.contrib.auth.backends.AllowAllUsersModelBackend"
        settings.AUTHENTICATION_BACKENDS = [
            "django.contrib.auth.backends.ModelBackend",
            backend,
        ]
        await sync_to_async(User.objects.filter(pk=anna.pk).update)(is_active=False)
        first = WebsocketCommunicator(with_sessions, "/", user=anna)
        assert await greeting(first) == "AnonymousUser None"
        second = WebsocketCommunicator(with_sessions, "/", user=anna, backend=backend)
        assert await greeting(second) == "anna None"


class TestSession:
    async def test_behind_middleware(self, anna: User) -> None:
        socket = WebsocketCommunicator(with_sessions, "/", session={"cart": ["tea"]})
        assert await greeting(socket) == "AnonymousUser ['tea']"

    async def test_in_a_consumer_alone(self, anna: User) -> None:
        socket = WebsocketCommunicator(Greeting, "/", session={"cart": ["tea"]})
        assert await greeting(socket) == "None ['tea']"

    async def test_of_a_user(self, anna: User) -> None:
        given = {"cart": ["tea"]}
        socket = WebsocketCommunicator(with_sessions, "/", user=anna, session=given)
        assert await greeting(socket) == "anna ['tea']"

    async def test_without_a_database(self, settings: Any) -> None:
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
        settings.SESSION_COOKIE_NAME = "visit"
        socket = WebsocketCommunicator(Greeting, "/", session={"cart": 1}, cookies={"a": "b"})
        assert await greeting(socket) == "None 1"
        [(_, cookie)] = socket.scope["headers"]
        assert cookie.startswith(b"a=b; visit=")
