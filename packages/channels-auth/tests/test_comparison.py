"""The same sessions through Django's own stack and through ours, with the same results."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.middleware import SessionMiddleware
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from channels_auth.auth import AuthMiddlewareStack, get_user, login, logout
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
    """All that can be seen of what became of one request."""

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

    #: Changes what a login has put into the session; None for no session at all.
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
        """Let a visitor do one thing, and look at what became of it."""
        self.reset()
        told: list[tuple[str, Any]] = []
        with self.hearing(told):
            answer = runner(self, action)
        set_to = answer.cookies.get(NAME)
        key = set_to.value if set_to else None
        if set_to is None:
            cookie = "untouched"
        elif set_to["max-age"] == 0 or set_to["expires"].startswith("Thu, 01 Jan 1970"):
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
            assert isinstance(request, HttpRequest)
            assert request.get_full_path() == "/room/?a=1"
            assert request.META["HTTP_USER_AGENT"] == "a browser"
            assert isinstance(request.session.session_key, str | None)
            name = "logged in" if signal is signals.user_logged_in else "logged out"
            told.append((name, user and user.pk))

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


# In what it is done.


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


def ours(kind: str) -> Runner:
    def run(world: World, action: str) -> Answer:
        found: list[Any] = []
        sent: list[Message] = []

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            if kind == "websocket":
                await receive()
            found.append(await do_ours(world, action, scope))
            if kind == "websocket":
                await send({"type": "websocket.accept"})
            else:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body"})

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        async_to_sync(AuthMiddlewareStack(application))(scope_of(world, kind), receive, send)
        cookies: SimpleCookie = SimpleCookie()
        for name, value in sent[0].get("headers", ()):
            if name == b"set-cookie":
                cookies.load(value.decode())
        return Answer(cookies, found[0])

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
        assert world.run(runner, action) == expected, name


class TestTheComparison:
    """It has to notice what a copy of Django's code would come to lack."""

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
