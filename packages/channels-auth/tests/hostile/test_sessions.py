"""Whoever keeps an old session key gets nothing by it: not after a logout, however it is timed."""

import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import alogout, get_user, login, logout, update_session_auth_hash
from django.contrib.auth.models import User
from django.contrib.sessions.backends import file
from django.contrib.sessions.backends.base import UpdateError
from django.core.cache import caches
from django.db import connections
from django.http import HttpRequest
from django.test import override_settings
from django.utils import timezone

import unconditional_sessions
from channels_auth import _ended_sessions, auth
from channels_auth._ended_sessions import _record
from channels_auth._sessions.engine import SessionGone, record_headers_sent, session_class
from channels_auth.apps import set_up
from channels_auth.auth import AuthMiddlewareStack
from channels_core.typing import Receive, Scope, Send
from http_logins import MODEL_BACKEND, http_session, logged_in_request, session_cookies
from servers import Server, cookies_of, websocket

pytestmark = pytest.mark.django_db(transaction=True)

DJANGOS = "django.contrib.sessions.backends"

#: For each engine, its module, and the cache.
ENGINES = {
    "db": (f"{DJANGOS}.db", "dummy.DummyCache"),
    "cached_db": (f"{DJANGOS}.cached_db", "locmem.LocMemCache"),
    "cache": (f"{DJANGOS}.cache", "locmem.LocMemCache"),
    "cache over files": (f"{DJANGOS}.cache", "filebased.FileBasedCache"),
    "file": (f"{DJANGOS}.file", "dummy.DummyCache"),
    "another package's": ("unconditional_sessions", "dummy.DummyCache"),
}

#: The methods that `save` and `asave` call between the look at the stored session and the write.
EXPIRY = ("get_expiry_age", "aget_expiry_age")
IN_BETWEEN = {
    "cached_db": EXPIRY,
    "cache": EXPIRY,
    "cache over files": EXPIRY,
    "file": ("encode", "encode"),
    "another package's": ("encode", "encode"),
}


@pytest.fixture
def engine(request: Any, settings: Any, tmp_path: Path) -> Iterator[str]:
    module, cache = ENGINES[request.param]
    settings.SESSION_ENGINE, settings.SESSION_FILE_PATH = module, str(tmp_path)
    settings.CACHES = {
        "default": {
            "BACKEND": f"django.core.cache.backends.{cache}",
            "LOCATION": str(tmp_path / "cache"),
        }
    }
    _forget_folder()
    _ended_sessions._kept.clear()
    _ended_sessions._reported.clear()
    set_up()
    yield request.param
    _forget_folder()
    unconditional_sessions.STORE.clear()
    caches["default"].clear()


def _forget_folder() -> None:
    # Django's engine reads SESSION_FILE_PATH once.
    with suppress(AttributeError):
        del file.SessionStore._storage_path  # type: ignore[attr-defined] # not in the stubs


@pytest.fixture
def anna() -> User:
    return User.objects.create(username="anna")


def changed_by_a_socket(key: str | None) -> Any:
    """Return the session of an open connection, with a change that is not saved."""
    session: Any = session_class()(key)
    session["count"] = 1
    record_headers_sent(session)
    return session


def saves(session: Any, colour: str) -> None:
    (session.save if colour == "save" else async_to_sync(session.asave))()


def meanwhile(session: Any, method: str, function: Callable[[], object]) -> None:
    """Call a function in another thread at the first call of a method of a session."""
    original, calls = getattr(session, method), [function]

    def run() -> None:
        try:
            calls.pop()()
        finally:
            connections.close_all()

    def call(*args: Any, **kwargs: Any) -> Any:
        if calls:
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
        return original(*args, **kwargs)

    async def acall(*args: Any, **kwargs: Any) -> Any:
        return await call(*args, **kwargs)

    setattr(session, method, acall if method == "aget_expiry_age" else call)


def user_of(key: str | None) -> Any:
    """Return the user whom the next request with this cookie has."""
    request = HttpRequest()
    request.session = http_session(key)
    return get_user(request)


def by_a_view(request: HttpRequest) -> None:
    logout(request)


def by_an_async_view(request: HttpRequest) -> None:
    async_to_sync(alogout)(request)


def by_a_plain_flush(request: HttpRequest) -> None:
    request.session.flush()


def by_a_deletion(request: HttpRequest) -> None:
    http_session().delete(request.session.session_key)


def by_an_async_deletion(request: HttpRequest) -> None:
    async_to_sync(http_session().adelete)(request.session.session_key)


def by_another_socket(request: HttpRequest) -> None:
    session_class()(request.session.session_key).flush()


def by_another_async_socket(request: HttpRequest) -> None:
    async_to_sync(session_class()(request.session.session_key).aflush)()


def by_a_new_key(request: HttpRequest) -> None:
    session_class()(request.session.session_key).cycle_key()


def by_a_new_key_in_async_code(request: HttpRequest) -> None:
    async_to_sync(session_class()(request.session.session_key).acycle_key)()


#: For each colour, the ways to end a session.
ENDS = {
    "save": (by_a_view, by_a_plain_flush, by_a_deletion, by_another_socket, by_a_new_key),
    "asave": (
        by_an_async_view,
        by_an_async_deletion,
        by_another_async_socket,
        by_a_new_key_in_async_code,
    ),
}


@pytest.mark.parametrize("colour", ENDS)
@pytest.mark.parametrize("engine", IN_BETWEEN, indirect=True)
def test_a_save_does_not_undo_a_logout_that_overlaps(
    engine: str, colour: str, anna: User, record_property: Callable[[str, object], None]
) -> None:
    record_property("inputs", len(ENDS[colour]))
    for end in ENDS[colour]:
        request = logged_in_request(anna)
        key = request.session.session_key
        session = changed_by_a_socket(key)
        meanwhile(session, IN_BETWEEN[engine][colour == "asave"], partial(end, request))
        with pytest.raises(SessionGone):
            saves(session, colour)
        assert not user_of(key).is_authenticated
        assert not http_session().exists(key)


@pytest.mark.parametrize("colour", ["save", "asave"])
@pytest.mark.parametrize("engine", ENGINES, indirect=True)
def test_a_save_after_a_logout_stores_nothing(engine: str, colour: str, anna: User) -> None:
    request = logged_in_request(anna)
    key = request.session.session_key
    session = changed_by_a_socket(key)
    logout(request)
    for _ in range(2):
        with pytest.raises(UpdateError):
            saves(session, colour)
    assert not http_session().exists(key)


@pytest.mark.parametrize("engine", IN_BETWEEN, indirect=True)
def test_a_login_over_another_one_is_final_too(engine: str, anna: User) -> None:
    request = logged_in_request(anna)
    key = request.session.session_key
    session = changed_by_a_socket(key)
    request.COOKIES = session_cookies(request)
    ben = User.objects.create(username="ben")
    meanwhile(session, IN_BETWEEN[engine][0], lambda: login(request, ben, MODEL_BACKEND))
    with pytest.raises(SessionGone):
        session.save()
    assert not user_of(key).is_authenticated


@pytest.mark.parametrize("engine", IN_BETWEEN, indirect=True)
def test_a_save_that_ends_before_the_signal_of_a_login(engine: str, anna: User) -> None:
    """Django deletes the former session, and only some milliseconds later sends its signal."""
    request = logged_in_request(anna)
    key = request.session.session_key
    session = changed_by_a_socket(key)
    meanwhile(session, IN_BETWEEN[engine][0], request.session.flush)
    with pytest.raises(SessionGone):
        session.save()
    login(request, User.objects.create(username="ben"), MODEL_BACKEND)
    assert not user_of(key).is_authenticated


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
def test_a_cookie_that_names_a_live_session_does_not_end_it(engine: str, anna: User) -> None:
    hers = logged_in_request(anna)
    request = logged_in_request()
    request.COOKIES = session_cookies(hers)
    login(request, User.objects.create(username="ben"), MODEL_BACKEND)
    changed_by_a_socket(hers.session.session_key).save()
    assert user_of(hers.session.session_key) == anna


@pytest.mark.parametrize("engine", IN_BETWEEN, indirect=True)
def test_nobody_can_compute_the_mark_of_an_ended_session(engine: str, anna: User) -> None:
    """Whoever has stolen a session could otherwise delete its mark, and so keep the session."""
    request = logged_in_request(anna)
    session = changed_by_a_socket(request.session.session_key)
    with override_settings(SECRET_KEY="a guess"):
        _record(session, session.session_key)
    session.save()
    during_rotation = override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["a guess"])
    with during_rotation, pytest.raises(SessionGone):
        session.save()


@pytest.mark.parametrize("engine", ["another package's"], indirect=True)
def test_an_engine_that_cannot_look_for_marks_saves_as_before(
    engine: str, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = logged_in_request(anna)
    monkeypatch.delattr(unconditional_sessions.SessionStore, "exists")
    session = changed_by_a_socket(request.session.session_key)
    session.save()
    logout(request)
    assert unconditional_sessions.STORE == {}


class Numbered(unconditional_sessions.SessionStore):
    """Its keys are numbers, as in a table with such a primary key."""

    parse: Any = int

    def _get_new_session_key(self) -> str:
        return str(secrets.randbelow(10**12) + 10**12)

    def exists(self, session_key: str) -> bool:
        type(self).parse(session_key)
        return super().exists(session_key)

    def save(self, must_create: bool = False) -> None:
        if self.session_key is not None:
            type(self).parse(self.session_key)
        super().save(must_create)


class Identified(Numbered):
    """Its keys are UUIDs; the key of a mark looks like one."""

    parse = uuid.UUID

    def _get_new_session_key(self) -> str:
        return str(uuid.uuid4())


class Undecided(unconditional_sessions.SessionStore):
    """It says of every key that it exists."""

    def _get_new_session_key(self) -> str:
        return secrets.token_hex()

    def exists(self, session_key: str) -> bool:
        return True


@pytest.mark.parametrize("colour", ["save", "asave"])
@pytest.mark.parametrize(("kind", "warnings"), [(Numbered, 1), (Identified, 0), (Undecided, 0)])
@pytest.mark.parametrize("engine", ["another package's"], indirect=True)
def test_an_engine_with_keys_of_its_own_saves_as_before(
    engine: str,
    kind: Any,
    warnings: int,
    colour: str,
    anna: User,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unconditional_sessions, "SessionStore", kind)
    set_up()
    for _ in range(2):
        request = logged_in_request(anna)
        key = request.session.session_key
        session = changed_by_a_socket(key)
        for _ in range(2):
            saves(session, colour)
        assert user_of(key) == anna
        assert http_session(key)["count"] == 1
        logout(request)
        assert key not in unconditional_sessions.STORE
    assert [record.levelname for record in caplog.records] == ["WARNING"] * warnings


@pytest.mark.parametrize("engine", ["file"], indirect=True)
def test_a_logout_does_not_fail_with_its_mark(
    engine: str, anna: User, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("no space")

    for end in (logout, async_to_sync(alogout)):
        request = logged_in_request(anna)
        key = request.session.session_key
        with monkeypatch.context() as patch:
            patch.setattr(file.SessionStore, "save", fail)
            patch.setattr(file.SessionStore, "asave", fail)
            end(request)
        assert not http_session().exists(key)
    [record] = caplog.records
    assert "The session engine django.contrib.sessions.backends.file" in record.getMessage()


ENDS_OF_ANY_COLOUR = [logout, async_to_sync(alogout)]


@pytest.mark.parametrize("end", ENDS_OF_ANY_COLOUR)
@pytest.mark.parametrize("engine", ["file", "another package's"], indirect=True)
def test_old_marks_do_not_pile_up(
    engine: str, end: Any, anna: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stored() -> int:
        return len(list(tmp_path.iterdir())) + len(unconditional_sessions.STORE)

    for _ in range(3):
        end(logged_in_request(anna))
    assert stored() == 3
    later = time.monotonic() + 61
    monkeypatch.setattr(_ended_sessions, "monotonic", lambda: later)
    for left in (2, 2, 3):
        end(logged_in_request(anna))
        assert stored() == left


@pytest.mark.parametrize("engine", ["file"], indirect=True)
def test_clearsessions_removes_the_marks_of_other_processes(
    engine: str, anna: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logout(logged_in_request(anna))
    file.SessionStore.clear_expired()
    assert len(list(tmp_path.iterdir())) == 1
    later = timezone.now() + timedelta(seconds=61)
    monkeypatch.setattr(timezone, "now", lambda: later)
    file.SessionStore.clear_expired()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("engine", ["cache"], indirect=True)
def test_an_anonymous_visitor_ends_the_session_as_well(engine: str) -> None:
    request = logged_in_request(cart=3)
    key = request.session.session_key
    session = changed_by_a_socket(key)
    meanwhile(session, "get_expiry_age", lambda: logout(request))
    with pytest.raises(SessionGone):
        session.save()
    assert not http_session().exists(key)


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
async def test_a_login_does_not_adopt_a_planted_key(engine: str) -> None:
    anna = await User.objects.acreate(username="anna")
    planted = http_session()
    await planted.aset("cart", 3)
    await planted.asave()
    cookies = {"sessionid": planted.session_key}

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await auth.login(scope, anna, MODEL_BACKEND)
        await send({"type": "websocket.accept"})
        await receive()

    server = Server(AuthMiddlewareStack(application), websocket(cookies))
    cookie = cookies_of(await server.connect())["sessionid"]
    await server.leave()
    new = cookie.partition("=")[2].partition(";")[0]
    assert new != planted.session_key
    assert await auth.get_user({"session": http_session(new)}) == anna
    old: Any = await auth.get_user({"session": http_session(planted.session_key)})
    assert not old.is_authenticated


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
def test_a_new_password_ends_the_other_sessions(engine: str, anna: User) -> None:
    anna.set_password("a")
    anna.save()
    here, elsewhere = logged_in_request(anna), logged_in_request(anna)
    former = here.session.session_key
    session = changed_by_a_socket(former)
    anna.set_password("b")
    anna.save()
    update_session_auth_hash(here, anna)
    here.session.save()
    with pytest.raises(UpdateError):
        session.save()
    for key in (former, elsewhere.session.session_key):
        assert not user_of(key).is_authenticated
    assert user_of(here.session.session_key) == anna
