"""The same sessions through Django's own stack and through ours, with the same results."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.contrib import auth
from django.contrib.auth import signals
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.middleware import SessionMiddleware
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.exceptions import SuspiciousOperation
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CSRF_SESSION_KEY, CsrfViewMiddleware
from django.test import RequestFactory, override_settings

from channels_auth.auth import AuthMiddlewareStack, get_user, login, logout
from channels_auth.sessions import SessionMiddlewareStack
from channels_core.exceptions import StopConsumer
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.typing import Message, Receive, Scope, Send

pytestmark = pytest.mark.django_db

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
NAME = "sessionid"
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)

GROUND = [
    ("db", "auth.User"),
    ("db", "accounts.Member"),
    ("cached_db", "auth.User"),
    ("cache", "auth.User"),
    ("file", "auth.User"),
    ("signed_cookies", "auth.User"),
]


class Outcome(NamedTuple):
    """Every visible result of one request."""

    user: Any
    #: Of the cookie in the answer.
    cookie: str
    under_the_old_key: dict[str, Any] | None
    under_the_new_key: dict[str, Any] | None
    rows: int
    signals: list[tuple[str, Any]]
    last_login_set: bool


class Case(NamedTuple):
    """What a visitor comes with."""

    #: Changes the data of a session after a login; None for no session.
    change: Callable[[dict[str, Any]], object] | None
    #: What the visitor's cookie is, if not the session's key.
    cookie: str | None = None
    #: Done to the user when the session is there.
    then: Callable[[Any], object] = lambda user: None
    #: Whether the session was made with another secret, which is a fallback now.
    rotated: bool = False


def keep(data: dict[str, Any]) -> None:
    data["cart"] = [3, 4]


def without_user(data: dict[str, Any]) -> None:
    data.clear()
    data["cart"] = [3, 4]


def deactivate(user: Any) -> None:
    user.is_active = False
    user.save()


CASES = {
    "no session": Case(None),
    "a cookie for nothing": Case(None, cookie="abcdefgh" * 4),
    "a broken cookie": Case(None, cookie="../../x"),
    "an anonymous session": Case(without_user),
    "an empty session": Case(dict.clear),
    "logged in": Case(keep),
    "a wrong hash": Case(lambda data: data.update({auth.HASH_SESSION_KEY: "0" * 64})),
    "no hash": Case(lambda data: data.pop(auth.HASH_SESSION_KEY)),
    "an empty hash": Case(lambda data: data.update({auth.HASH_SESSION_KEY: ""})),
    "a fallback secret": Case(keep, rotated=True),
    "an unknown backend": Case(lambda data: data.update({auth.BACKEND_SESSION_KEY: "no.Such"})),
    "no backend": Case(lambda data: data.pop(auth.BACKEND_SESSION_KEY)),
    "a deleted user": Case(keep, then=lambda user: user.delete()),
    "an inactive user": Case(keep, then=deactivate),
    "a changed password": Case(keep, then=lambda user: (user.set_password("new"), user.save())),
}


class World:
    """The database and the session store, put back to the same state before each run."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.engine = import_module(self.setting("SESSION_ENGINE"))
        self.model = auth.get_user_model()
        self.anna, self.ben = (self._user(name) for name in ("anna", "ben"))
        self.data: dict[str, Any] = {}
        self.key: str | None = None
        if case.change is not None:
            with override_settings(
                SECRET_KEY="old" if case.rotated else self.setting("SECRET_KEY")
            ):
                self._make_session(case.change)

    @staticmethod
    def setting(name: str) -> Any:
        from django.conf import settings

        return getattr(settings, name)

    def _user(self, name: str) -> Any:
        user = self.model(**{self.model.USERNAME_FIELD: f"{name}@example.com"})
        user.set_password(name)
        user.save()
        return user

    def _make_session(self, change: Callable[[dict[str, Any]], object]) -> None:
        request = HttpRequest()
        request.session = session = self.engine.SessionStore()
        auth.login(request, self.anna, MODEL_BACKEND)
        self.data = dict(session.items())
        change(self.data)
        session._session_cache = self.data
        session.save()
        self.key = session.session_key

    @property
    def by_cookie(self) -> bool:
        return self.engine.__name__.endswith("signed_cookies")

    @property
    def cookie(self) -> str | None:
        return self.case.cookie or self.key

    def reset(self) -> None:
        Session.objects.all().delete()
        cache.clear()
        for file in Path(self.setting("SESSION_FILE_PATH")).glob(f"{NAME}*"):
            file.unlink()
        if self.key is not None and not self.by_cookie:
            store = self.engine.SessionStore(self.key)
            store._session_cache = dict(self.data)
            store.save(must_create=True)
        for user in (self.anna, self.ben):
            user.last_login = LONG_AGO
            user.is_active = True
            user.save()
        self.case.then(self.model.objects.get(**{self.model.USERNAME_FIELD: "anna@example.com"}))

    def stored(self, key: str | None) -> dict[str, Any] | None:
        if key is None or not (self.by_cookie or self._exists(key)):
            return None
        return dict(self.engine.SessionStore(key).load())

    def _exists(self, key: str) -> bool:
        try:
            return bool(self.engine.SessionStore().exists(key))
        except SuspiciousOperation:
            return False

    def run(self, runner: "Runner", action: str) -> Outcome:
        """Let a visitor do one thing, and return the outcome."""
        self.reset()
        told: list[tuple[str, Any]] = []
        with self.hearing(told):
            answer = runner(self, action)
        set_to = answer.cookies.get(NAME)
        key = set_to.value if set_to else None
        if set_to is None:
            cookie = "untouched"
        elif set_to["max-age"] == 0 or "1970" in set_to["expires"]:
            cookie, key = "deleted", None
        else:
            cookie = "of the same key" if key == self.cookie and not self.by_cookie else "new"
        seen = self.model.objects.filter(last_login__gt=LONG_AGO)
        return Outcome(
            user=answer.user.pk,
            cookie=cookie,
            under_the_old_key=self.stored(self.cookie),
            under_the_new_key=self.stored(key),
            rows=Session.objects.count(),
            signals=told,
            last_login_set=seen.exists(),
        )

    @contextmanager
    def hearing(self, told: list[tuple[str, Any]]) -> Iterator[None]:
        def hear(*, signal: Any, request: HttpRequest, user: Any, **kwargs: object) -> None:
            [name] = [
                n for n in ("user_logged_in", "user_logged_out") if getattr(signals, n) is signal
            ]
            if user is None:
                return  # Django tells of a logout of nobody, too
            assert isinstance(request, HttpRequest)
            assert request.get_full_path() == "/room/?a=1"
            assert request.META["HTTP_USER_AGENT"] == "a browser"
            assert isinstance(request.session.session_key, str | None)
            name = "logged in" if signal is signals.user_logged_in else "logged out"
            told.append((name, user.pk))

        signals.user_logged_in.connect(hear)
        signals.user_logged_out.connect(hear)
        try:
            yield
        finally:
            signals.user_logged_in.disconnect(hear)
            signals.user_logged_out.disconnect(hear)


class Answer(NamedTuple):
    cookies: Any
    user: Any


Runner = Callable[[World, str], Answer]


# What is done: by Django's functions in both colours, and by ours.


def do_sync(world: World, action: str, request: HttpRequest) -> Any:
    request.user.is_authenticated  # noqa: B018 - looks the user up, as our middleware does
    if action == "login":
        auth.login(request, world.anna, MODEL_BACKEND)
    elif action == "login of another":
        auth.login(request, world.ben, MODEL_BACKEND)
    elif action == "logout":
        auth.logout(request)
    return request.user


async def do_async(world: World, action: str, request: HttpRequest) -> Any:
    user = await request.auser()
    if action == "login":
        await auth.alogin(request, world.anna, MODEL_BACKEND)
        return request.user
    if action == "login of another":
        await auth.alogin(request, world.ben, MODEL_BACKEND)
        return request.user
    if action == "logout":
        await auth.alogout(request)
        return request.user
    return user


async def do_ours(world: World, action: str, scope: Scope) -> Any:
    if action == "login":
        await login(scope, world.anna, MODEL_BACKEND)
    elif action == "login of another":
        await login(scope, world.ben, MODEL_BACKEND)
    elif action == "logout":
        await logout(scope)
    else:
        assert await get_user(scope) == scope["user"]
    return scope["user"]


# The surroundings in which it is done.


def fake_request(world: World) -> HttpRequest:
    request = RequestFactory().get("/room/?a=1", headers={"user-agent": "a browser"})
    if world.cookie is not None:
        request.COOKIES[NAME] = world.cookie
    return request


def django_sync(world: World, action: str) -> Answer:
    found = []

    def view(request: HttpRequest) -> HttpResponse:
        found.append(do_sync(world, action, request))
        return HttpResponse()

    stack: Any = SessionMiddleware(AuthenticationMiddleware(view))
    response = stack(fake_request(world))
    return Answer(response.cookies, found[0])


def django_async(world: World, action: str) -> Answer:
    found = []

    async def view(request: HttpRequest) -> HttpResponse:
        found.append(await do_async(world, action, request))
        return HttpResponse()

    stack = SessionMiddleware(AuthenticationMiddleware(view))
    assert iscoroutinefunction(stack)
    response = async_to_sync(stack)(fake_request(world))
    return Answer(response.cookies, found[0])


def bare(world: World, action: str) -> Answer:
    """Our functions on a session of Django's."""
    found = []

    def view(request: HttpRequest) -> HttpResponse:
        scope = scope_of(world, "http")
        scope["session"] = request.session
        scope["user"] = async_to_sync(get_user)(scope)
        found.append(async_to_sync(do_ours)(world, action, scope))
        return HttpResponse()

    stack: Any = SessionMiddleware(view)
    response = stack(fake_request(world))
    return Answer(response.cookies, found[0])


def scope_of(world: World, kind: str) -> Scope:
    headers = [(b"user-agent", b"a browser")]
    if world.cookie is not None:
        headers.append((b"cookie", f"{NAME}={world.cookie}".encode()))
    return {
        "type": kind,
        "path": "/room/",
        "query_string": b"a=1",
        "headers": headers,
        **({"method": "GET"} if kind == "http" else {}),
    }


def serve(application: Any, scope: Scope, stack: Any = AuthMiddlewareStack) -> list[Message]:
    """Open a connection, and return the messages to it until the application ends."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async_to_sync(stack(application))(scope, receive, send)
    return sent


def cookies_in(sent: list[Message]) -> SimpleCookie:
    """Return the cookies in the headers of the first message."""
    cookies: SimpleCookie = SimpleCookie()
    for name, value in sent[0].get("headers", ()):
        if name.lower() == b"set-cookie":
            cookies.load(value.decode())
    return cookies


def ours(kind: str) -> Runner:
    def run(world: World, action: str) -> Answer:
        found: list[Any] = []

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            if kind == "websocket":
                await receive()
            found.append(await do_ours(world, action, scope))
            if kind == "websocket":
                await send({"type": "websocket.accept"})
            else:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body"})

        sent = serve(application, scope_of(world, kind))
        return Answer(cookies_in(sent), found[0])

    return run


RUNNERS: dict[str, Runner] = {
    "Django's in async": django_async,
    "ours bare": bare,
    "ours over HTTP": ours("http"),
    "ours over a WebSocket": ours("websocket"),
}


@pytest.fixture(params=GROUND, ids="-".join)
def ground(request: pytest.FixtureRequest, settings: Any) -> None:
    engine, settings.AUTH_USER_MODEL = request.param
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SECRET_KEY_FALLBACKS = ["old"]


ACTIONS = ["look", "login", "login of another", "logout"]
# Nobody can log in who is not there.
IMPOSSIBLE = {("a deleted user", "login")}


@pytest.mark.usefixtures("ground")
@pytest.mark.parametrize(
    ("case", "action"), [pair for pair in product(CASES, ACTIONS) if pair not in IMPOSSIBLE]
)
def test_ours_does_what_django_does(case: str, action: str) -> None:
    world = World(CASES[case])
    expected = world.run(django_sync, action)
    for name, runner in RUNNERS.items():
        found = world.run(runner, action)
        keeps_key = case == "a fallback secret" and action in {"look", "login"}
        if name == "ours over a WebSocket" and keeps_key:
            expected = with_key_kept(expected, world)
        assert found == expected, name


def with_key_kept(outcome: Outcome, world: World) -> Outcome:
    """Return the outcome for a session of a fallback secret that gets a new hash, but no new key.

    In a cookie, key and content are the same, and no key leads to nothing.
    """
    if world.by_cookie:
        return outcome
    return outcome._replace(cookie="of the same key", under_the_old_key=outcome.under_the_new_key)


#: What a server says of itself: the second one sends no headers with a handshake.
SERVERS: list[Scope] = [{"version": "3.0", "spec_version": "2.4"}, {"version": "3.0"}]
DENIAL: Scope = {"websocket.http.response": {}}


@pytest.mark.usefixtures("ground")
@pytest.mark.parametrize("asgi", SERVERS, ids=["with headers", "without headers"])
@pytest.mark.parametrize("extensions", [DENIAL, {}], ids=["with denial", "without denial"])
@pytest.mark.parametrize("ending", ["accept", "close", "deny", "fail", "nothing"])
def test_no_handshake_loses_a_session_of_a_fallback_secret(
    ending: str, extensions: Scope, asgi: Scope
) -> None:
    """However the handshake ends, the browser may come again with the same cookie."""
    world = World(CASES["a fallback secret"])
    world.reset()

    class Door(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            assert self.scope["user"] == world.anna
            if ending == "accept":
                await self.accept()
            elif ending == "close":
                await self.close()
            elif ending == "deny":
                await self.deny(status=403)
            elif ending == "fail":
                raise LookupError
            raise StopConsumer

    scope = {**scope_of(world, "websocket"), "asgi": asgi, "extensions": extensions}
    with suppress(LookupError):
        sent = serve(Door.as_asgi(), {**scope, "subprotocols": []})
        set_to = cookies_in(sent).get(NAME) if sent else None
        assert set_to is None or world.by_cookie or set_to.value == world.key
    stored = world.stored(world.key)
    assert stored is not None
    assert stored.keys() == world.data.keys()
    assert stored["cart"] == [3, 4]
    assert django_sync(world, "look").user == world.anna


class Banning(ModelBackend):
    """A backend that looks users up in one way only: Django's other one would let them in."""

    def get_user(self, user_id: Any) -> None:
        return None


class Native(BaseBackend):
    """A backend that looks users up without a thread, and in no other way."""

    async def aget_user(self, user_id: Any) -> Any:
        return await auth.get_user_model().objects.aget(pk=user_id)


class TestSeveralBackends:
    """The backend of a session decides about it, whatever other backends there are."""

    @pytest.fixture(autouse=True)
    def _backends(self, settings: Any) -> None:
        settings.AUTHENTICATION_BACKENDS = [
            MODEL_BACKEND,
            f"{__name__}.Banning",
            f"{__name__}.Native",
        ]

    def world_of(self, backend: type) -> World:
        path = f"{__name__}.{backend.__name__}"
        return World(Case(lambda data: data.update({auth.BACKEND_SESSION_KEY: path})))

    @pytest.mark.parametrize("action", ACTIONS)
    def test_a_synchronous_backend_decides_about_its_sessions(self, action: str) -> None:
        world = self.world_of(Banning)
        expected = world.run(django_sync, action)
        assert expected.user is None or action.startswith("login")
        for name in ("ours bare", "ours over HTTP", "ours over a WebSocket"):
            assert world.run(RUNNERS[name], action) == expected, name

    def test_an_asynchronous_backend_decides_about_its_sessions(self) -> None:
        world = self.world_of(Native)
        expected = world.run(django_async, "look")
        assert expected.user == world.anna.pk
        for name in ("ours bare", "ours over HTTP", "ours over a WebSocket"):
            assert world.run(RUNNERS[name], "look") == expected, name

    def test_djangos_own_finds_its_users(self) -> None:
        world = World(CASES["logged in"])
        for name, runner in RUNNERS.items():
            assert world.run(runner, "look").user == world.anna.pk, name


@pytest.mark.parametrize("spelling", ["without await", "with await"])
def test_a_cache_in_the_database_is_read(spelling: str, settings: Any) -> None:
    """The engine takes a forbidden query for a missing session, whose cookie would be deleted."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "comparison_cache",
        }
    }
    call_command("createcachetable", verbosity=0)
    world = World(CASES["an anonymous session"])
    world.reset()
    found = []

    class Reader(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            session = self.scope["session"]
            if spelling == "without await":
                found.append(session.get("cart"))
            else:
                found.append(await session.aget("cart"))
            await self.accept()
            raise StopConsumer

    scope = {**scope_of(world, "websocket"), "subprotocols": []}
    # Without a lookup of the user, which would load the session first.
    sent = serve(Reader.as_asgi(), scope, SessionMiddlewareStack)
    assert [message["type"] for message in sent] == ["websocket.accept"]
    assert found == [[3, 4]]
    assert not cookies_in(sent)
    assert world.stored(world.key) == world.data


class Protection(NamedTuple):
    """What can be seen of the protection against CSRF after a request."""

    #: The cookie's attributes, or None if it was not set.
    cookie: dict[str, str] | None
    is_secret_new: bool
    where: str


class TestCsrf:
    """A login changes the secret: an attacker may have planted or seen the old one."""

    SECRET = "a" * 32

    @pytest.fixture(autouse=True, params=["cookie", "session"])
    def where(self, request: pytest.FixtureRequest, settings: Any) -> str:
        where: str = request.param
        settings.MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
        settings.CSRF_USE_SESSIONS = where == "session"
        settings.CSRF_COOKIE_SAMESITE = "Strict"
        return where

    def world(self, where: str, case: str) -> World:
        change = CASES[case].change

        def with_secret(data: dict[str, Any]) -> None:
            assert change is not None
            change(data)
            data[CSRF_SESSION_KEY] = self.SECRET

        return World(Case(with_secret) if where == "session" and change else CASES[case])

    def look(self, world: World, where: str, cookies: Any) -> Protection:
        """Return the secret after the request."""
        morsel = cookies.get("csrftoken")
        attributes = None
        if morsel is not None:
            attributes = {name: str(value) for name, value in morsel.items() if name != "expires"}
        if where == "cookie":
            return Protection(attributes, bool(morsel) and morsel.value != self.SECRET, where)
        key = cookies[NAME].value if NAME in cookies else world.key
        secret = (world.stored(key) or {}).get(CSRF_SESSION_KEY)
        return Protection(attributes, secret != self.SECRET, where)

    def with_cookie(self, world: World, scope: Scope) -> Scope:
        cookies = {"csrftoken": self.SECRET} | ({NAME: world.cookie} if world.cookie else {})
        line = "; ".join(f"{name}={value}" for name, value in cookies.items())
        return {**scope, "headers": [(b"cookie", line.encode())]}

    @pytest.mark.parametrize("case", ["no session", "an anonymous session", "logged in"])
    @pytest.mark.parametrize("action", ACTIONS)
    def test_ours_protects_as_django_does(self, where: str, case: str, action: str) -> None:
        world = self.world(where, case)

        def view(request: HttpRequest) -> HttpResponse:
            do_sync(world, action, request)
            return HttpResponse()

        world.reset()
        stack: Any = SessionMiddleware(CsrfViewMiddleware(AuthenticationMiddleware(view)))
        request = fake_request(world)
        request.COOKIES["csrftoken"] = self.SECRET
        expected = self.look(world, where, stack(request).cookies)
        assert expected.is_secret_new or not action.startswith("login")

        for kind, answer in (
            ("http", "http.response.start"),
            ("websocket", "websocket.accept"),
        ):
            world.reset()

            async def application(
                scope: Scope, receive: Receive, send: Send, answer: str = answer
            ) -> None:
                await receive()
                await do_ours(world, action, scope)
                await send({"type": answer, "status": 200, "headers": []})

            sent = serve(application, self.with_cookie(world, scope_of(world, kind)))
            assert self.look(world, where, cookies_in(sent)) == expected, kind

    def test_a_site_without_protection_gets_no_cookie(self, settings: Any) -> None:
        settings.MIDDLEWARE = []
        settings.CSRF_USE_SESSIONS = False
        world = World(CASES["logged in"])
        world.reset()
        assert ours("websocket")(world, "login").cookies.keys() == {NAME}


class TestTheComparison:
    """The comparison notices what a copy of Django's code could lack."""

    @pytest.mark.parametrize("runner", [bare, ours("http"), ours("websocket")])
    def test_it_notices_a_session_that_is_lost(
        self, runner: Runner, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without the fallback secrets, as Channels 4.3 has it."""
        settings.SECRET_KEY_FALLBACKS = ["old"]
        world = World(CASES["a fallback secret"])
        expected = world.run(django_sync, "look")
        assert expected.user == world.anna.pk
        assert expected.cookie == "new"
        monkeypatch.setattr(
            auth.get_user_model(), "get_session_auth_fallback_hash", lambda user: []
        )
        found = world.run(runner, "look")
        assert found != expected
        assert (found.user, found.cookie, found.rows) == (None, "deleted", 0)

    @pytest.mark.parametrize("runner", [bare, ours("http"), ours("websocket")])
    def test_it_notices_a_key_that_is_kept(
        self, runner: Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = World(CASES["an anonymous session"])
        expected = world.run(django_sync, "login")
        assert expected.under_the_old_key is None
        monkeypatch.setattr(SessionBase, "cycle_key", lambda session: None)
        found = world.run(runner, "login")
        assert found != expected
        assert found.cookie == "of the same key"

    def test_it_notices_a_signal_that_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world = World(CASES["logged in"])
        expected = world.run(django_sync, "logout")
        assert expected.signals == [("logged out", world.anna.pk)]
        monkeypatch.setattr(auth, "logout", lambda request: request.session.flush())
        assert world.run(ours("websocket"), "logout")._replace(user=None) == expected._replace(
            signals=[]
        )
