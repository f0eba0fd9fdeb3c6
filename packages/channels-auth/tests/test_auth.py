import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.backends.signals import connection_created
from django.http import HttpRequest
from django.test import override_settings
from django.utils.functional import LazyObject, SimpleLazyObject

from channels_auth import auth, guards
from channels_auth.auth import (
    AuthMiddleware,
    AuthMiddlewareStack,
    LoginOnOpenConnectionError,
    LogoutOnOpenConnectionError,
    UserLazyObject,
    get_user,
    login,
    logout,
)
from channels_auth.cookies import CookieMiddleware
from channels_auth.disconnection import EndsWithLoginMiddleware
from channels_auth.sessions import SessionMiddleware
from channels_core import db
from channels_core.exceptions import ChannelsError
from channels_core.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels_core.middleware import BaseMiddleware
from channels_core.typing import Receive, Scope, Send
from http_logins import MODEL_BACKEND, logged_in_request
from servers import Server, cookies_of, http, websocket

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def anna() -> User:
    return User.objects.create_user("anna", password="tea")


@pytest.fixture
def ben() -> User:
    return User.objects.create_user("ben", password="tea")


def session_with(user: User | None = None, **data: Any) -> str:
    """Store a session as Django does, and return its key."""
    return str(logged_in_request(user, **data).session.session_key)


stored_session = sync_to_async(session_with)


def stored(key: str) -> dict[str, Any] | None:
    found = Session.objects.filter(session_key=key).first()
    return found.get_decoded() if found else None


class Inner:
    """Keeps the scope that it was called with."""

    scope: Scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> str:
        self.scope = scope
        return "done"


async def called(middleware: Callable[[Any], Any], scope: Scope) -> Scope:
    inner = Inner()
    await middleware(inner)(scope, None, None)
    return inner.scope


class TestUserLazyObject:
    @pytest.mark.parametrize(
        "access",
        [
            bool,
            str,
            hash,
            lambda user: user.is_authenticated,
            lambda user: user == AnonymousUser(),
            lambda user: user != AnonymousUser(),
            lambda user: isinstance(user, User),
            lambda user: setattr(user, "name", "anna"),
            lambda user: user["name"],
            pickle.dumps,
        ],
    )
    def test_an_access_before_it_is_ready(self, access: Callable[[Any], Any]) -> None:
        with pytest.raises(ValueError, match=r"Accessing scope user before it is ready\."):
            access(UserLazyObject())

    def test_a_traceback_can_show_it_before_it_is_ready(self) -> None:
        scope = {"user": copy.deepcopy(UserLazyObject())}
        shown = f"{scope} {scope['user']!r}"
        assert shown == "{'user': <UserLazyObject: not ready>} <UserLazyObject: not ready>"

    def test_a_subclass_may_look_the_user_up_itself(self) -> None:
        class Lazy(UserLazyObject):
            def _setup(self) -> None:
                object.__setattr__(self, "_wrapped", User(username="anna"))

        user: Any = Lazy()
        assert user.get_username() == "anna"
        with pytest.raises(AttributeError, match="'User' object has no attribute '__getattr__'"):
            user.__getattr__  # noqa: B018 - as with any of Django's lazy objects

    def test_it_is_the_user_once_it_is_resolved(self) -> None:
        user: Any = UserLazyObject()
        user._wrapped = User(username="anna", pk=3)
        assert user == User(pk=3)
        assert isinstance(user, User)
        assert user.is_authenticated
        assert str(user) == "anna"
        shown = repr(user)
        assert shown == "<UserLazyObject: <User: anna>>"


class TestGetUser:
    async def test_without_a_session(self) -> None:
        with pytest.raises(ValueError, match="Cannot find session in scope"):
            await get_user({"type": "websocket"})

    async def test_a_visitor_without_a_cookie_enters_no_thread(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(db, "look_up", None)
        session = SessionStore()
        assert isinstance(await get_user({"session": session}), AnonymousUser)
        assert session.accessed  # for Vary: the answer depends on the cookie that is not there

    async def test_an_anonymous_visitor_with_a_loaded_session_enters_no_thread(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = SessionStore(await stored_session(cart=3))
        assert await session.aget("cart") == 3
        monkeypatch.setattr(db, "look_up", None)
        assert isinstance(await get_user({"session": session}), AnonymousUser)

    @pytest.mark.parametrize("wrap", [lambda s: s, lambda s: SimpleLazyObject(lambda: s), dict])
    async def test_any_kind_of_session(self, anna: User, wrap: Callable[[Any], Any]) -> None:
        session: Any = SessionStore(await stored_session(anna))
        await session.aload()
        if wrap is dict:
            session = dict(await session.aitems())
        assert await get_user({"session": wrap(session)}) == anna

    async def test_no_connection_stays_open(self, anna: User) -> None:
        session = SessionStore(await stored_session(anna))
        opened: list[Any] = []

        def record(*, connection: Any, **kwargs: object) -> None:
            opened.append(connection)

        connection_created.connect(record)
        assert await get_user({"session": session}) == anna
        connection_created.disconnect(record)
        assert [each.connection for each in opened] == [None]

    async def test_a_backend_with_its_own_aget_user_is_awaited(
        self, anna: User, settings: Any
    ) -> None:
        settings.AUTHENTICATION_BACKENDS = [f"{__name__}.InTheLoop"]
        key = await stored_session(anna)
        await Session.objects.aget(session_key=key)
        session = SessionStore(key)
        await session.aset("_auth_user_backend", f"{__name__}.InTheLoop")
        user: Any = await get_user({"session": session})
        assert user == anna
        assert user.thread is threading.current_thread()
        assert await sync_to_async(lambda: connection.connection)() is None

    async def test_a_backend_that_overrides_get_user_only_runs_in_a_thread(
        self, anna: User, settings: Any
    ) -> None:
        settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Strict"]
        session = SessionStore(await stored_session(anna))
        await session.aset("_auth_user_backend", f"{__name__}.Strict")
        assert isinstance(await get_user({"session": session}), AnonymousUser)

    async def test_a_fallback_secret_on_an_open_connection(self, anna: User, settings: Any) -> None:
        """Its session is renewed by the next request; now the cookie could not follow."""
        with override_settings(SECRET_KEY="old"):
            key = await stored_session(anna, cart=3)
        settings.SECRET_KEY_FALLBACKS = ["old"]

        class Consumer(AsyncWebsocketConsumer):
            async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
                user = await get_user(self.scope)
                await self.send(f"{user} {self.scope['session'].session_key == key}")

        stack = CookieMiddleware(SessionMiddleware(Consumer.as_asgi()))
        server = Server(stack, websocket({"sessionid": key}))
        await server.connect()
        assert await server.ask("who?") == "anna True"
        await server.leave()
        data = await sync_to_async(stored)(key)
        assert data is not None
        assert data["cart"] == 3
        assert data[HASH_SESSION_KEY] == anna.get_session_auth_hash()


class InTheLoop(BaseBackend):
    async def aget_user(self, user_id: Any) -> Any:
        user: Any = await User.objects.aget(pk=user_id)
        user.thread = threading.current_thread()
        return user


class Strict(ModelBackend):
    def get_user(self, user_id: Any) -> None:
        return None


class TestLogin:
    async def test_without_a_session(self, anna: User) -> None:
        with pytest.raises(ValueError, match="Cannot find session in scope"):
            await login({}, anna)

    @pytest.mark.parametrize("scope", [{}, {"user": None}, {"user": AnonymousUser()}])
    async def test_without_a_user(self, scope: Scope) -> None:
        session = SessionStore()
        with pytest.raises(ValueError, match="User must be passed as an argument or must be"):
            await login({**scope, "session": session}, None)
        assert session.is_empty()

    async def test_a_user_who_is_not_ready(self) -> None:
        with pytest.raises(ValueError, match="Accessing scope user before it is ready"):
            await login({"session": SessionStore(), "user": UserLazyObject()}, None)

    async def test_the_user_of_the_scope(self, anna: User) -> None:
        user = UserLazyObject()
        user._wrapped = anna
        scope = {"session": SessionStore(), "user": user}
        await login(scope, None)
        assert scope["user"] == anna
        assert await get_user({"session": scope["session"]}) == anna

    async def test_several_backends(self, anna: User, settings: Any) -> None:
        settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, f"{__name__}.Strict"]
        with pytest.raises(ValueError, match="multiple authentication backends"):
            await login({"session": SessionStore()}, anna)
        scope: Scope = {"session": SessionStore()}
        await login(scope, anna, MODEL_BACKEND)
        assert scope["session"]["_auth_user_backend"] == MODEL_BACKEND
        anna.backend = f"{__name__}.Strict"
        await login(scope, anna)
        assert scope["session"]["_auth_user_backend"] == f"{__name__}.Strict"

    async def test_what_receivers_of_the_signal_get(self, anna: User) -> None:
        told: list[Any] = []

        def hear(*, sender: Any, request: HttpRequest, user: Any, **kwargs: object) -> None:
            told.append((sender, request.path, request.user == user, request.session[SESSION_KEY]))

        async def ahear(*, request: HttpRequest, user: Any, **kwargs: object) -> None:
            told.append(await User.objects.acount())
            told.append(await request.auser() == user)

        user_logged_in.connect(hear)
        user_logged_in.connect(ahear)
        try:
            await login(websocket(session=SessionStore()), anna)
        finally:
            user_logged_in.disconnect(hear)
            user_logged_in.disconnect(ahear)
        assert told == [(User, "/a/", True, str(anna.pk)), 1, True]
        await anna.arefresh_from_db()
        assert anna.last_login is not None

    async def test_before_the_accept_the_new_key_goes_out_with_it(self, anna: User) -> None:
        class Consumer(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                self.scope["session"]["seen"] = True
                await login(self.scope, anna)
                await self.accept()

        old = await stored_session(cart=3)
        server = Server(AuthMiddlewareStack(Consumer.as_asgi()), websocket({"sessionid": old}))
        line = cookies_of(await server.connect())["sessionid"]
        new = line.partition("=")[2].partition(";")[0]
        assert new != old
        assert await sync_to_async(stored)(old) is None
        data = await sync_to_async(stored)(new)
        assert data is not None
        assert (data["cart"], data["seen"], data[SESSION_KEY]) == (3, True, str(anna.pk))
        await server.leave()


class Account(AsyncWebsocketConsumer):
    """Logs in and out on request, and replies with the result."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        assert text_data is not None
        action, _, name = text_data.partition(" ")
        try:
            if action == "login":
                await login(self.scope, await User.objects.aget(username=name), MODEL_BACKEND)
            elif action == "logout":
                await logout(self.scope)
        except (LoginOnOpenConnectionError, LogoutOnOpenConnectionError) as error:
            await self.send(f"{type(error).__name__}: {error}")
        else:
            await self.send(f"{self.scope['user']} {self.scope['session'].session_key}")


class SyncAccount(WebsocketConsumer):
    """The synchronous twin."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        assert text_data is not None
        action, _, name = text_data.partition(" ")
        try:
            if action == "login":
                user = User.objects.get(username=name)
                async_to_sync(login)(self.scope, user, MODEL_BACKEND)
            elif action == "logout":
                async_to_sync(logout)(self.scope)
        except (LoginOnOpenConnectionError, LogoutOnOpenConnectionError) as error:
            self.send(f"{type(error).__name__}: {error}")
        else:
            self.send(f"{self.scope['user']} {self.scope['session'].session_key}")


@pytest.mark.parametrize("consumer", [Account, SyncAccount])
class TestOnAnOpenConnection:
    async def open(self, consumer: Any, key: str | None) -> Server:
        cookies = {"sessionid": key} if key else {}
        server = Server(AuthMiddlewareStack(consumer.as_asgi()), websocket(cookies))
        assert (await server.connect())["type"] == "websocket.accept"
        return server

    async def test_a_login_would_change_the_key(self, consumer: Any, anna: User) -> None:
        for key in (None, await stored_session(cart=3)):
            server = await self.open(consumer, key)
            answer = await server.ask("login anna")
            assert answer.startswith("LoginOnOpenConnectionError: login() has to give this session")
            for word in ("create_login_token(user)", "POST", "login_with_token(request, token)"):
                assert word in answer
            assert await server.ask("who") == f"AnonymousUser {key}"
            await server.leave()
            if key:
                assert await sync_to_async(stored)(key) == {"cart": 3}
        await anna.arefresh_from_db()
        assert await Session.objects.acount() == 1

    async def test_a_login_of_another_user_is_refused(
        self, consumer: Any, anna: User, ben: User
    ) -> None:
        key = await stored_session(ben, cart=3)
        before = await sync_to_async(stored)(key)
        server = await self.open(consumer, key)
        assert (await server.ask("login anna")).startswith("LoginOnOpenConnectionError")
        assert await server.ask("who") == f"ben {key}"
        await server.leave()
        assert await sync_to_async(stored)(key) == before

    async def test_a_login_after_the_password_has_changed(self, consumer: Any, anna: User) -> None:
        key = await stored_session(anna, cart=3)
        server = await self.open(consumer, key)
        anna.set_password("other")
        await anna.asave()
        assert (await server.ask("login anna")).startswith("LoginOnOpenConnectionError")
        await server.leave()
        data = await sync_to_async(stored)(key)
        assert data is not None
        assert data["cart"] == 3

    async def test_a_login_of_the_same_user_keeps_the_key(self, consumer: Any, anna: User) -> None:
        key = await stored_session(anna, cart=3)
        before = anna.last_login
        server = await self.open(consumer, key)
        assert await server.ask("login anna") == f"anna {key}"
        await server.leave()
        data = await sync_to_async(stored)(key)
        assert data is not None
        assert data["cart"] == 3
        await anna.arefresh_from_db()
        assert anna.last_login != before

    async def test_a_logout_deletes_the_session(self, consumer: Any, anna: User) -> None:
        key = await stored_session(anna, cart=3)
        server = await self.open(consumer, key)
        assert await server.ask("logout") == "AnonymousUser None"
        assert await sync_to_async(stored)(key) is None
        assert await server.ask("logout") == "AnonymousUser None"
        await server.leave()
        assert await Session.objects.acount() == 0

    async def test_a_logout_cannot_reach_a_session_in_the_cookie(
        self, consumer: Any, anna: User, settings: Any
    ) -> None:
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
        session = CookieStore()
        await login({"session": session}, anna)
        await session.asave()
        assert session.session_key is not None
        server = await self.open(consumer, session.session_key)
        answer = await server.ask("logout")
        assert answer.startswith("LogoutOnOpenConnectionError: ")
        assert "log out over HTTP" in answer
        assert (await server.ask("who")).startswith("anna ")
        await server.leave()


@pytest.mark.parametrize("error", [LoginOnOpenConnectionError, LogoutOnOpenConnectionError])
def test_the_errors_are_channels_errors_and_runtime_errors(error: type[Exception]) -> None:
    assert issubclass(error, ChannelsError)
    assert issubclass(error, RuntimeError)


async def test_a_login_after_the_response_has_begun(anna: User) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with pytest.raises(LoginOnOpenConnectionError):
            await login(scope, anna)
        await send({"type": "http.response.body"})

    await Server(AuthMiddlewareStack(application), http()).request()


@pytest.mark.parametrize("consumer", [Account, SyncAccount])
@pytest.mark.django_db(transaction=False)
def test_under_a_test_case(consumer: Any) -> None:
    """All in the thread and the transaction of the test."""
    User.objects.create_user("anna", password="tea")
    key = session_with(User.objects.get(), cart=3)

    async def drive() -> None:
        server = Server(AuthMiddlewareStack(consumer.as_asgi()), websocket({"sessionid": key}))
        await server.connect()
        assert await server.ask("login anna") == f"anna {key}"
        assert await server.ask("logout") == "AnonymousUser None"
        await server.leave()

    async_to_sync(drive)()
    assert stored(key) is None


class TestLogout:
    async def test_without_a_session(self) -> None:
        with pytest.raises(ValueError, match=r"^Login cannot find session in scope. You should"):
            await logout({})

    @pytest.mark.parametrize("kind", ["none", "None", "anonymous", "not ready"])
    async def test_without_a_user_no_signal_is_sent(self, kind: str) -> None:
        users = {"None": None, "anonymous": AnonymousUser(), "not ready": UserLazyObject()}
        scope: Scope = {"session": SessionStore(await stored_session())}
        key = scope["session"].session_key
        if kind in users:
            scope["user"] = users[kind]
        told: list[Any] = []

        def hear(**kwargs: object) -> None:
            told.append(kwargs)

        user_logged_out.connect(hear)
        try:
            await logout(scope)
        finally:
            user_logged_out.disconnect(hear)
        assert not told
        assert await sync_to_async(stored)(key) is None
        assert ("user" in scope) is (kind in users)
        assert isinstance(scope.get("user", AnonymousUser()), AnonymousUser)

    @pytest.mark.parametrize("known", [True, False])
    async def test_the_signal_has_the_user_who_logged_out(self, anna: User, known: bool) -> None:
        told: list[Any] = []

        def hear(*, request: HttpRequest, user: Any, **kwargs: object) -> None:
            told.append((user, request.session[SESSION_KEY]))

        scope: Scope = {"session": SessionStore(await stored_session(anna))}
        scope["user"] = anna if known else UserLazyObject()
        user_logged_out.connect(hear)
        try:
            await logout(scope)
        finally:
            user_logged_out.disconnect(hear)
        assert told == [(anna, str(anna.pk))]
        assert isinstance(scope["user"], AnonymousUser)

    async def test_the_watch_learns_of_each_change(self, anna: User) -> None:
        told: list[Any] = []

        class LoginWatch:
            async def user_changed(self, scope: Scope) -> None:
                told.append(scope["user"])

        scope: Scope = {"session": SessionStore(), "channels_auth.disconnection": LoginWatch()}
        await login(scope, anna)
        await logout(scope)
        assert told == [anna, AnonymousUser()]


class TestAuthMiddleware:
    async def test_the_user_is_ready_when_the_application_runs(self, anna: User) -> None:
        session = SessionStore(await stored_session(anna))
        outer = {"type": "websocket", "session": session}
        scope = await called(AuthMiddleware, outer)
        assert type(scope["user"]) is UserLazyObject
        assert scope["user"] == anna
        assert "user" not in outer

    @pytest.mark.parametrize("kind", [{}, {"type": "http"}, {"type": "websocket"}])
    async def test_it_needs_a_session(self, kind: Scope) -> None:
        with pytest.raises(ValueError, match="SessionMiddleware must be above it"):
            await called(AuthMiddleware, kind)

    @pytest.mark.parametrize("kind", ["lifespan", "channel"])
    async def test_scopes_without_a_client_pass(self, kind: str) -> None:
        class OfProgram(AuthMiddleware): ...

        for middleware in (AuthMiddleware, OfProgram):
            assert await called(middleware, {"type": kind}) == {"type": kind}

    async def test_it_returns_the_result_of_the_application(self) -> None:
        scope = {"type": "test", "session": SessionStore()}
        assert await AuthMiddleware(Inner())(scope, None, None) == "done"  # type: ignore[arg-type] # not called

    async def test_inside_another_one_it_makes_no_query(
        self, anna: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[Scope] = []

        async def look(scope: Scope) -> User:
            calls.append(scope)
            return anna

        monkeypatch.setattr(auth, "get_user", look)
        scope = await called(
            lambda inner: AuthMiddleware(AuthMiddleware(inner)), {"session": SessionStore()}
        )
        assert scope["user"] == anna
        assert len(calls) == 1

    async def test_a_user_in_the_scope_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> None:
            raise NotImplementedError

        monkeypatch.setattr(auth, "get_user", None)
        for user in (User(username="anna"), AnonymousUser(), SimpleLazyObject(fail)):
            scope = await called(AuthMiddleware, {"session": SessionStore(), "user": user})
            assert scope["user"] is user

    async def test_a_user_who_is_not_ready_is_looked_up(self) -> None:
        scope = await called(AuthMiddleware, {"session": SessionStore(), "user": UserLazyObject()})
        assert scope["user"] == AnonymousUser()

    async def test_programs_override_its_steps(self, anna: User) -> None:
        class ByName(AuthMiddleware):
            async def resolve_scope(self, scope: Scope) -> None:
                scope["user"]._wrapped = await User.objects.aget(username="anna")

        class Checked(AuthMiddleware):
            def populate_scope(self, scope: Scope) -> None:
                super().populate_scope(scope)
                scope["populated"] = True

            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
                return await super().__call__({**scope, "called": True}, receive, send)

        assert (await called(ByName, {"session": SessionStore()}))["user"] == anna
        scope = await called(Checked, {"session": SessionStore()})
        assert scope["called"]
        assert scope["populated"]
        assert issubclass(AuthMiddleware, BaseMiddleware)
        assert iscoroutinefunction(AuthMiddleware.__call__)

    @pytest.mark.parametrize("name", ["populate_scope", "resolve_scope"])
    async def test_a_test_replaces_its_steps_for_anonymous_visitors_too(self, name: str) -> None:
        middleware = AuthMiddleware(Inner())
        own = getattr(middleware, name)
        mock = AsyncMock(side_effect=own) if name == "resolve_scope" else Mock(side_effect=own)
        setattr(middleware, name, mock)
        await middleware({"session": SessionStore()}, None, None)  # type: ignore[arg-type] # not called
        mock.assert_called_once()

    async def test_in_two_steps_the_user_is_ready_in_the_second(self, anna: User) -> None:
        made: list[Scope] = []

        class TwoSteps:
            def __init__(self, scope: Scope) -> None:
                made.append(scope)
                with pytest.raises(ValueError, match="before it is ready"):
                    scope["user"].username  # noqa: B018 - it is asked for

            async def __call__(self, receive: Receive, send: Send) -> Any:
                return made[0]["user"].username

        middleware: Any = AuthMiddleware(TwoSteps)
        session = SessionStore(await stored_session(anna))
        instance = middleware({"type": "websocket", "session": session})
        assert made
        assert await instance(None, None) == "anna"

    def test_scopes_without_a_client_pass_in_two_steps(self) -> None:
        middleware: Any = AuthMiddleware(lambda scope: scope)
        assert middleware({"type": "channel"}) == {"type": "channel"}


class TestAuthMiddlewareStack:
    async def test_it_adds_cookies_session_and_user(self, anna: User) -> None:
        scope = await called(
            AuthMiddlewareStack, websocket({"sessionid": await stored_session(anna)})
        )
        assert scope["user"] == anna
        assert scope["cookies"].keys() == {"sessionid"}
        assert await scope["session"].aget(SESSION_KEY) == str(anna.pk)
        assert "channels_auth.disconnection" not in scope

    async def test_without_a_cookie(self) -> None:
        scope = await called(AuthMiddlewareStack, websocket())
        assert scope["user"] == AnonymousUser()
        assert isinstance(scope["user"], LazyObject)

    def test_it_ends_with_the_login_if_asked_to(self) -> None:
        stack: Any = AuthMiddlewareStack(Inner(), ends_with_login=True, revalidate_every=30)
        middleware = [stack.inner, stack.inner.inner, stack.inner.inner.inner]
        kinds = [SessionMiddleware, AuthMiddleware, EndsWithLoginMiddleware]
        assert [type(one) for one in middleware] == kinds

    def test_revalidation_requires_ends_with_login(self) -> None:
        with pytest.raises(ValueError, match="ends_with_login=True"):
            AuthMiddlewareStack(Inner(), revalidate_every=30)


def test_it_offers_all_names_of_authentication() -> None:
    assert all(hasattr(auth, name) for name in auth.__all__)


class TestProtectionAgainstCsrf:
    """Who knew the secret from before a login must not know it after."""

    class LoggingIn(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await login(self.scope, await User.objects.aget(), MODEL_BACKEND)
            await self.accept()

    async def accepted(self, **data: Any) -> dict[str, str]:
        await User.objects.acreate_user("anna", password="tea")
        key = await stored_session(**data)
        server = Server(AuthMiddlewareStack(self.LoggingIn), websocket({"sessionid": key}))
        cookies = cookies_of(await server.connect())
        await server.leave()
        return cookies

    async def test_the_csrf_cookie_is_sent_with_the_session_cookie(self, settings: Any) -> None:
        settings.MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
        cookies = await self.accepted(a=1)
        assert sorted(cookies) == ["csrftoken", "sessionid"]
        assert cookies["csrftoken"].partition(";")[0] > "csrftoken="

    async def test_a_csrf_secret_in_the_session_is_changed(self, settings: Any) -> None:
        settings.CSRF_USE_SESSIONS = True
        cookies = await self.accepted(_csrftoken="known to others")
        assert sorted(cookies) == ["sessionid"]
        key = cookies["sessionid"].partition(";")[0].partition("=")[2]
        data = await sync_to_async(stored)(key)
        assert data is not None
        assert len(data["_csrftoken"]) == 32

    async def test_without_the_csrf_middleware_there_is_no_cookie(self) -> None:
        assert sorted(await self.accepted(a=1)) == ["sessionid"]

    async def test_an_open_connection_gets_no_csrf_cookie(self, settings: Any) -> None:
        class Again(AsyncWebsocketConsumer):
            async def receive(self, *args: Any, **kwargs: Any) -> None:
                await login(self.scope, self.scope["user"], MODEL_BACKEND)
                await self.send("logged in")

        settings.MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
        anna = await User.objects.acreate_user("anna", password="tea")
        key = await stored_session(anna)
        server = Server(AuthMiddlewareStack(Again), websocket({"sessionid": key}))
        await server.connect()
        assert await server.ask("again") == "logged in"
        await server.leave()


@pytest.mark.parametrize(("kind", "kept"), [("websocket", True), ("http", False)])
async def test_a_lookup_over_a_websocket_keeps_the_key(
    anna: User, kind: str, kept: bool, settings: Any
) -> None:
    """Its handshake may be refused, and then no cookie could follow."""
    key = await stored_session(anna)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another one"
    scope = {**websocket({"sessionid": key}), "type": kind, "session": SessionStore(key)}
    assert await get_user(scope) == anna
    assert (scope["session"].session_key == key) is kept
    assert scope["session"].modified
    assert (await sync_to_async(stored)(key) is not None) is kept


@pytest.mark.parametrize("version", ["2.0", "2.1"])
async def test_a_login_needs_a_server_that_sends_cookies(anna: User, version: str) -> None:
    class LoggingIn(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            try:
                await login(self.scope, anna, MODEL_BACKEND)
            except LoginOnOpenConnectionError:
                await self.close(4001)
            else:
                await self.accept()

    key = await stored_session(a=1)
    asgi = {"version": "3.0", "spec_version": version}
    scope = websocket({"sessionid": key}, asgi=asgi)
    server = Server(AuthMiddlewareStack(LoggingIn), scope)
    answer = await server.connect()
    await server.leave()
    if version == "2.1":
        assert "sessionid" in cookies_of(answer)
        assert await sync_to_async(stored)(key) is None
    else:
        assert answer["code"] == 4001
        assert await sync_to_async(stored)(key) == {"a": 1}


def test_names_of_other_modules_are_loaded_from_there() -> None:
    assert set(auth.__all__) <= set(dir(auth))
    assert auth.login_required is guards.login_required
    with pytest.raises(AttributeError, match=r"'channels_auth\.auth' has no attribute 'nothing'"):
        auth.nothing  # type: ignore[attr-defined] # noqa: B018 - not there
