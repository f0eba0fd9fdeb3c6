import asyncio
import inspect
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from itertools import product
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from channels_auth.sessions import (
    CookieMiddleware,
    InstanceSessionWrapper,
    SessionMiddleware,
    SessionMiddlewareInstance,
    SessionMiddlewareStack,
)
from channels_core.consumer import AsyncConsumer
from channels_core.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels_core.layers import BaseChannelLayer
from channels_core.routing import ProtocolTypeRouter
from channels_core.typing import Message, Receive, Scope, Send
from layers import default_layer
from servers import DENIAL, Server, cookies_of, http, websocket

pytestmark = pytest.mark.django_db(transaction=True)

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]

Use = Callable[[Any], None]


@pytest.fixture(params=ENGINES)
def engine(request: Any, settings: Any) -> str:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    caches["default"].clear()
    return str(request.param)


def store() -> Any:
    from django.conf import settings

    return import_module(settings.SESSION_ENGINE).SessionStore


async def stored(**data: Any) -> str:
    """Return the key of a new session, as an HTTP request leaves it."""
    session = store()()
    await session.aupdate(data)
    await session.asave()
    return str(session.session_key)


async def now_stored(key: str | None) -> dict[str, Any]:
    """Return the data that the next HTTP request finds."""
    return dict(await store()(key).aitems())


def key_in(message: Message) -> str:
    """Return the session key in the cookie of a message."""
    return cookies_of(message)["sessionid"].split(";")[0].partition("=")[2].strip('"')


def vary(message: Message) -> list[bytes]:
    return [value for name, value in message["headers"] if name.lower() == b"vary"]


def ignore(session: Any) -> None:
    pass


def put(session: Any) -> None:
    session["a"] = 1


def answering(use: Use = ignore, status: int = 200, headers: Any = ()) -> Any:
    """Return an application that answers a request, in a session stack."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(use)(scope["session"])
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b""})

    return SessionMiddlewareStack(application)


async def respond(key: str | None = None, use: Use = ignore, **kwargs: Any) -> Message:
    cookies = {"sessionid": key} if key is not None else {}
    return await Server(answering(use, **kwargs), http(cookies)).request()


def without_time(text: str) -> list[str]:
    return [part for part in text.split("; ") if not part.startswith(("expires", "sessionid"))]


USES: dict[str, Use] = {
    "nothing": ignore,
    "reads": lambda session: session.get("a"),
    "writes": put,
    "clears": lambda session: session.clear(),
    "flushes": lambda session: session.flush(),
    "cycles": lambda session: session.cycle_key(),
    "expires at close": lambda session: session.set_expiry(0),
    "expires soon": lambda session: session.set_expiry(300),
}

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "every request": {"SESSION_SAVE_EVERY_REQUEST": True},
    "at close": {"SESSION_EXPIRE_AT_BROWSER_CLOSE": True},
    "attributes": {
        "SESSION_COOKIE_DOMAIN": "example.com",
        "SESSION_COOKIE_PATH": "/a/",
        "SESSION_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": False,
        "SESSION_COOKIE_SAMESITE": "Strict",
        "SESSION_COOKIE_AGE": 99,
    },
    "no samesite": {"SESSION_COOKIE_SAMESITE": False},
    "samesite none": {"SESSION_COOKIE_SAMESITE": "None"},
}


#: Whether this release of Django varies on each cookie that it sets.
ALWAYS_VARIES = "need_vary_cookie" in inspect.getsource(DjangoSessionMiddleware)


class TestAsDjangoDoes:
    @pytest.mark.parametrize("use", list(USES))
    async def test_the_response_is_the_same(self, engine: str, use: str) -> None:
        for cookie, status in product(["none", "good", "broken"], [200, 404, 500]):
            await self.compare(use, cookie, status)

    @pytest.mark.parametrize("name", list(SETTINGS))
    async def test_the_response_is_the_same_with_other_settings(
        self, settings: Any, name: str
    ) -> None:
        for setting, value in SETTINGS[name].items():
            setattr(settings, setting, value)
        for use in USES:
            await self.compare(use, "good", 200)

    async def compare(self, use: str, cookie: str, status: int) -> None:
        keys = [{"none": None, "good": await stored(b=2), "broken": "x"}[cookie] for _ in range(2)]

        def through_django() -> HttpResponse:
            def view(request: HttpRequest) -> HttpResponse:
                USES[use](request.session)
                return HttpResponse(status=status)

            request = HttpRequest()
            if keys[0] is not None:
                request.COOKIES["sessionid"] = keys[0]
            response = DjangoSessionMiddleware(view)(request)
            assert isinstance(response, HttpResponse)
            return response

        theirs = await sync_to_async(through_django)()
        ours = await respond(keys[1], USES[use], status=status)

        their_cookie = theirs.cookies.get("sessionid")
        our_cookie = cookies_of(ours).get("sessionid")
        assert (our_cookie is None) == (their_cookie is None)
        if our_cookie is not None and their_cookie is not None:
            assert without_time(our_cookie) == without_time(their_cookie.OutputString())
            assert await now_stored(key_in(ours)) == await now_stored(their_cookie.value)
        # Django 5.2.0 leaves it out if it sets a cookie for a session that nothing has looked at.
        if "Vary" in theirs or our_cookie is None or ALWAYS_VARIES:
            assert vary(ours) == ([theirs["Vary"].encode()] if "Vary" in theirs else [])
        assert await now_stored(keys[1]) == await now_stored(keys[0])


class TestResponses:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ([], [b"Cookie"]),
            ([b"Accept"], [b"Accept, Cookie"]),
            ([b"Accept, COOKIE"], [b"Accept, COOKIE"]),
            ([b"Accept", b"Origin"], [b"Accept, Origin, Cookie"]),
            ([b"*"], [b"*"]),
        ],
    )
    async def test_caches_keep_responses_apart(
        self, before: list[bytes], after: list[bytes]
    ) -> None:
        headers = [(b"Vary", value) for value in before]
        assert vary(await respond(None, put, headers=headers)) == after

    async def test_an_untouched_session_leaves_no_trace(self) -> None:
        message = await respond(await stored(a=1))
        assert message["headers"] == []

    async def test_the_programs_own_message_is_not_changed(self) -> None:
        start: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            scope["session"]["a"] = 1
            await send(start)
            await send({"type": "http.response.body"})

        message = await Server(SessionMiddlewareStack(application), http()).request()
        assert "sessionid" in cookies_of(message)
        assert start == {"type": "http.response.start", "status": 200, "headers": []}

    async def test_a_session_that_was_deleted_meanwhile_is_a_clear_error(
        self, engine: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        key = await stored(a=1)

        def use(session: Any) -> None:
            session["b"] = 2
            store()(key).delete()

        router = ProtocolTypeRouter({"http": answering(use)})
        if engine == "signed_cookies":
            # It is in the cookie, and cannot be deleted.
            assert (await Server(router, http({"sessionid": key})).request())["status"] == 200
            return
        with pytest.raises(SuspiciousOperation, match="session was deleted before") as caught:
            await respond(key, use)
        assert isinstance(caught.value, SessionInterrupted)
        assert not caplog.records
        # The outermost application answers it.
        key = await stored(a=1)
        message = await Server(router, http({"sessionid": key})).request()
        assert message["status"] == 400
        assert "session was deleted before the request completed" in caplog.text
        assert await now_stored(key) == {}

    async def test_a_program_may_catch_the_error(self) -> None:
        key = await stored(a=1)
        caught = []

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await scope["session"].aset("b", 2)
            await store()(key).adelete()
            try:
                await send({"type": "http.response.start", "status": 200})
            except SessionInterrupted as error:
                caught.append(error)
                await scope["session"].aflush()
                await send({"type": "http.response.start", "status": 409})
            await send({"type": "http.response.body"})

        server = Server(SessionMiddlewareStack(application), http({"sessionid": key}))
        message = await server.request()
        assert (message["status"], len(caught)) == (409, 1)
        assert 'sessionid=""' in cookies_of(message)["sessionid"]

    async def test_an_error_after_the_headers_reaches_the_server(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await scope["channels_auth.session"].save_session()

        def gone(self: Any, must_create: bool = False) -> None:
            raise UpdateError

        monkeypatch.setattr(store(), "save", gone)
        with pytest.raises(SessionInterrupted):
            await Server(SessionMiddlewareStack(application), http()).request()

    async def test_a_change_after_the_headers_is_saved_at_the_end(self) -> None:
        key = await stored(a=1)

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await scope["session"].aset("b", 2)
            await send({"type": "http.response.body"})

        await Server(SessionMiddlewareStack(application), http({"sessionid": key})).request()
        assert await now_stored(key) == {"a": 1, "b": 2}

    async def test_a_change_to_a_deleted_session_is_an_error(self) -> None:
        key = await stored(a=1)

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await scope["session"].aset("b", 2)
            await store()(key).adelete()
            await send({"type": "http.response.body"})

        server = Server(SessionMiddlewareStack(application), http({"sessionid": key}))
        with pytest.raises(SessionInterrupted):
            await server.request()

    @pytest.mark.parametrize("late", [False, True])
    async def test_no_change_of_a_failed_request_is_kept(self, late: bool) -> None:
        key = await stored(a=1)

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            if late:
                await send({"type": "http.response.start", "status": 200})
            await scope["session"].aset("b", 2)
            raise LookupError("the program's own")

        server = Server(SessionMiddlewareStack(application), http({"sessionid": key}))
        with pytest.raises(LookupError):
            await server.request()
        assert await now_stored(key) == {"a": 1}

    async def test_no_change_after_a_failed_response_is_kept(self) -> None:
        key = await stored(a=1)

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 503})
            await scope["session"].aset("b", 2)
            await send({"type": "http.response.body"})

        await Server(SessionMiddlewareStack(application), http({"sessionid": key})).request()
        assert await now_stored(key) == {"a": 1}


class Chatty(AsyncWebsocketConsumer):
    """Changes its session as a frame says, in one of the two ways of sessions."""

    async def connect(self) -> None:
        for name in self.scope["query_string"].decode().split():
            self.scope["session"][name] = "connect"
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        name, _, value = (text_data or "").partition("=")
        session = self.scope["session"]
        if name == "fail":
            session[value] = "failed"
            raise LookupError("the program's own")
        if value:
            await session.aset(name, value)
        await self.send(str(await session.aget(name)))

    async def disconnect(self, code: int) -> None:
        if "bye" in self.scope["query_string"].decode():
            self.scope["session"]["bye"] = code


class SyncChatty(WebsocketConsumer):
    def connect(self) -> None:
        for name in self.scope["query_string"].decode().split():
            self.scope["session"][name] = "connect"
        self.accept()

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        name, _, value = (text_data or "").partition("=")
        session = self.scope["session"]
        if name == "fail":
            session[value] = "failed"
            raise LookupError("the program's own")
        if value:
            session[name] = value
        self.send(str(session.get(name)))

    def disconnect(self, code: int) -> None:
        if "bye" in self.scope["query_string"].decode():
            self.scope["session"]["bye"] = code


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """The same program, without a consumer."""
    await receive()
    for name in scope["query_string"].decode().split():
        await scope["session"].aset(name, "connect")
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        name, _, value = message["text"].partition("=")
        if name == "fail":
            await scope["session"].aset(value, "failed")
            raise LookupError("the program's own")
        if value:
            await scope["session"].aset(name, value)
        await send({"type": "websocket.send", "text": str(await scope["session"].aget(name))})
    if "bye" in scope["query_string"].decode():
        await scope["session"].aset("bye", message["code"])


PROGRAMS = {"async": Chatty, "sync": SyncChatty, "raw": raw}


@pytest.fixture(params=list(PROGRAMS))
def program(request: Any) -> Any:
    return SessionMiddlewareStack(PROGRAMS[request.param])


def chat(program: Any, key: str | None = None, changes: str = "", **extra: Any) -> Server:
    cookies = {"sessionid": key} if key is not None else {}
    return Server(program, websocket(cookies, query_string=changes.encode(), **extra))


class TestWebSockets:
    async def test_a_change_before_the_accept_is_sent_with_it(
        self, engine: str, program: Any
    ) -> None:
        server = chat(program, None, "one two")
        accepted = await server.connect()
        assert accepted["type"] == "websocket.accept"
        assert await now_stored(key_in(accepted)) == {"one": "connect", "two": "connect"}
        await server.leave()

    async def test_nothing_is_logged_about_it(
        self, engine: str, program: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = chat(program, None, "one")
        await server.connect()
        await server.leave()
        assert not caplog.records

    async def test_an_accept_without_a_cookie_is_unchanged(self) -> None:
        class Plain(AsyncConsumer):
            async def websocket_connect(self, message: Message) -> None:
                self.scope["session"].get("a")
                await self.send(accept)

        accept: dict[str, Any] = {"type": "websocket.accept", "subprotocol": None}
        server = Server(SessionMiddlewareStack(Plain.as_asgi()), websocket())
        assert await server.connect() is accept

    async def test_an_accept_gets_no_vary(self, program: Any) -> None:
        server = chat(program, None, "one")
        assert [name for name, _ in (await server.connect())["headers"]] == [b"Set-Cookie"]
        await server.leave()

    async def test_a_later_change_is_saved_after_the_handler(self, program: Any) -> None:
        key = await stored(a="1")
        server = chat(program, key)
        assert not (await server.connect()).get("headers")
        for value in ("2", "3"):
            assert await server.ask(f"a={value}") == value
            assert await server.ask("b") == "None"  # by then the handler before has ended
            assert await now_stored(key) == {"a": value}
        await server.leave()

    async def test_a_last_change_is_saved_at_the_end(self, program: Any) -> None:
        key = await stored(a="1")
        server = chat(program, key, "bye")
        await server.connect()
        await server.leave(1001)
        assert await now_stored(key) == {"a": "1", "bye": 1001}

    async def test_other_requests_changes_are_kept(self, program: Any) -> None:
        key = await stored(a="1", b="1")
        tabs = [chat(program, key) for _ in range(2)]
        for tab in tabs:
            await tab.connect()
        # Both have read the session, and neither sees the changes of the other.
        assert [await tab.ask("a") for tab in tabs] == ["1", "1"]
        request = store()(key)
        await request.aset("cart", "tea")
        await request.asave()
        await tabs[0].ask("a=2")
        await tabs[1].ask("b=2")
        for tab in tabs:
            await tab.leave()
        assert await now_stored(key) == {"a": "2", "b": "2", "cart": "tea"}

    async def test_a_handler_that_fails_loses_nothing(self, program: Any) -> None:
        key = await stored(a="1")
        server = chat(program, key)
        await server.connect()
        await server.text("fail=b")
        with pytest.raises(LookupError):
            await server.end()
        assert await now_stored(key) == {"a": "1", "b": "failed"}

    async def test_an_unused_session_is_neither_loaded_nor_saved(
        self, program: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = await stored(a="1")
        for name in ("load", "aload", "save", "asave"):
            monkeypatch.setattr(store(), name, never)
        server = chat(program, key)
        await server.connect()
        await server.leave()

    async def test_a_refusal_carries_the_cookie_as_well(self) -> None:
        class Refusing(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                self.scope["session"]["tries"] = 1
                await self.deny(403, headers=[("x", "y")])

        server = Server(SessionMiddlewareStack(Refusing), websocket(extensions=DENIAL))
        start = await server.connect()
        assert start["status"] == 403
        assert (b"x", b"y") in start["headers"]
        assert vary(start) == [b"Cookie"]
        assert await now_stored(key_in(start)) == {"tries": 1}
        await server.receive()
        await server.leave()

    async def test_a_refusal_with_a_server_error_carries_no_cookie(self) -> None:
        class Refusing(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                self.scope["session"]["tries"] = 1
                await self.deny(503)

        server = Server(SessionMiddlewareStack(Refusing), websocket(extensions=DENIAL))
        assert not cookies_of(await server.connect())
        await server.receive()
        await server.leave()
        assert await Session.objects.acount() == 0

    async def test_a_refusal_without_headers_saves_a_known_session(self) -> None:
        class Refusing(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                await self.scope["session"].aset("tries", 1)
                await self.close()

        key = await stored(a=1)
        server = chat(SessionMiddlewareStack(Refusing), key)
        assert await server.connect() == {"type": "websocket.close"}
        await server.leave()
        assert await now_stored(key) == {"a": 1, "tries": 1}

    async def test_an_emptied_session_deletes_the_cookie(self) -> None:
        class Leaving(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                await self.scope["session"].aflush()
                await self.accept()

        key = await stored(a=1)
        server = chat(SessionMiddlewareStack(Leaving), key)
        assert 'sessionid=""' in cookies_of(await server.connect())["sessionid"]
        assert await now_stored(key) == {}
        await server.leave()

    async def test_a_session_that_is_emptied_later_is_deleted(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Leaving(AsyncWebsocketConsumer):
            async def receive(self, *args: Any, **kwargs: Any) -> None:
                await self.scope["session"].aflush()
                await self.send("gone")

        key = await stored(a=1)
        server = chat(SessionMiddlewareStack(Leaving), key)
        await server.connect()
        assert await server.ask("go") == "gone"
        await server.leave()
        assert await Session.objects.acount() == 0
        assert not caplog.records

    async def test_explicit_saves_work(self) -> None:
        class Saving(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                session = self.scope["session"]
                await session.aset("a", 1)
                await session.asave()
                await self.accept()

            async def receive(self, *args: Any, **kwargs: Any) -> None:
                session = self.scope["session"]
                await session.aset("b", 2)
                await session.asave()
                await self.send(str(session.modified))

        server = chat(SessionMiddlewareStack(Saving))
        key = key_in(await server.connect())
        assert await server.ask("go") == "False"
        assert await now_stored(key) == {"a": 1, "b": 2}
        await server.leave()

    @pytest.mark.parametrize("colour", ["async", "sync"])
    async def test_a_layer_message_may_change_the_session(self, colour: str) -> None:
        key = await stored(a="1")

        class AsyncPoked(Chatty):
            async def poke(self, message: Message) -> None:
                await self.scope["session"].aset("poked", True)

            async def follow(self, message: Message) -> None:
                followed.set()

        class SyncPoked(SyncChatty):
            def poke(self, message: Message) -> None:
                self.scope["session"]["poked"] = True

            def follow(self, message: Message) -> None:
                loop.call_soon_threadsafe(followed.set)

        loop, followed = asyncio.get_running_loop(), asyncio.Event()
        with default_layer(OneChannel()) as layer:
            poked = AsyncPoked if colour == "async" else SyncPoked
            server = chat(SessionMiddlewareStack(poked), key)
            await server.connect()
            for kind in ("poke", "follow"):
                await layer.messages.put({"type": kind})
            await followed.wait()  # its handler begins after the save
            assert await now_stored(key) == {"a": "1", "poked": True}
            await server.leave()

    @pytest.mark.django_db(transaction=False)
    def test_under_an_outer_async_to_sync_it_is_all_in_one_transaction(self, program: Any) -> None:
        """As in a Django TestCase."""
        key = async_to_sync(stored)(a="1")

        async def talk() -> None:
            server = chat(program, key)
            await server.connect()
            await server.ask("a=2")
            await server.leave()

        async_to_sync(talk)()
        assert dict(store()(key).items()) == {"a": "2"}


class TestDeletedMeanwhile:
    async def test_a_deletion_before_the_accept_refuses_the_handshake(
        self, engine: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Late(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                await self.scope["session"].aset("b", 2)
                await store()(key).adelete()
                await self.accept()
                await self.send("to nobody")

        key = await stored(a=1)
        server = chat(SessionMiddlewareStack(Late), key)
        answer = await server.connect()
        if engine == "signed_cookies":
            assert answer["type"] == "websocket.accept"
            await server.receive()
        else:
            assert answer == {
                "type": "websocket.close",
                "code": 4401,
                "reason": "The session has ended",
            }
            assert "session was deleted before the request completed" in caplog.text
        await server.leave()
        assert await server.nothing()

    async def test_a_later_deletion_closes_the_connection(self, program: Any) -> None:
        key = await stored(a="1")
        server = chat(program, key)
        await server.connect()
        assert await server.ask("a") == "1"
        await store()(key).adelete()
        assert await server.ask("a=2") == "2"
        closed = await server.receive()
        assert (closed["type"], closed["code"]) == ("websocket.close", 4401)
        await server.text("a")  # crosses the close
        await server.leave(4401)
        assert await server.nothing()
        assert await now_stored(key) == {}

    @pytest.mark.parametrize("colour", ["async", "sync"])
    async def test_an_explicit_save_ends_the_connection_in_the_same_way(
        self, colour: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        class AsyncSaving(Chatty):
            async def receive(self, *args: Any, **kwargs: Any) -> None:
                await self.scope["session"].aset("b", 2)
                await self.scope["session"].asave()

        class SyncSaving(SyncChatty):
            def receive(self, *args: Any, **kwargs: Any) -> None:
                self.scope["session"]["b"] = 2
                self.scope["session"].save()

        key = await stored(a="1")
        saving = AsyncSaving if colour == "async" else SyncSaving
        server = chat(SessionMiddlewareStack(saving), key, "one")
        await server.connect()
        await store()(key).adelete()
        await server.text("go")
        await server.end()
        closed = await server.receive()
        assert (closed["type"], closed["code"]) == ("websocket.close", 4401)
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    async def test_over_http_there_is_no_traceback(self, caplog: pytest.LogCaptureFixture) -> None:
        key = await stored(a="1")
        await respond_with_interrupted_consumer(key)
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    async def test_a_deletion_at_the_end_sends_nothing(
        self, program: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        key = await stored(a="1")
        server = chat(program, key, "bye")
        await server.connect()
        await store()(key).adelete()
        await server.leave()
        assert await Session.objects.acount() == 0
        assert "session was deleted before the request completed" in caplog.text


class TestServersWithoutHeaders:
    """Daphne drops the headers of an accepted handshake, and announces an older version."""

    OLD = {"version": "3.0"}

    async def test_a_new_session_is_stored_with_a_warning(
        self, program: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = chat(program, None, "one", asgi=self.OLD)
        assert not (await server.connect()).get("headers")
        assert await Session.objects.acount() == 1
        await server.leave()
        [record] = caplog.records
        assert "this server sends no headers with a handshake" in record.getMessage()

    async def test_a_session_that_the_browser_knows_is_changed(
        self, program: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        key = await stored(a="1")
        server = chat(program, key, "one", asgi=self.OLD)
        await server.connect()
        assert await now_stored(key) == {"a": "1", "one": "connect"}
        await server.leave()
        assert not caplog.records

    async def test_a_deleted_session_refuses_the_handshake(self) -> None:
        class Late(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                await self.scope["session"].aset("b", 2)
                await store()(key).adelete()
                await self.accept()

        key = await stored(a=1)
        server = chat(SessionMiddlewareStack(Late), key, asgi=self.OLD)
        assert (await server.connect())["code"] == 4401
        await server.leave()
        assert await server.nothing()

    @pytest.mark.parametrize("version", ["2.1", "2.3", "2.4", "2.5"])
    async def test_newer_servers_send_headers(self, program: Any, version: str) -> None:
        server = chat(program, None, "one", asgi={"version": "3.0", "spec_version": version})
        assert cookies_of(await server.connect())
        await server.leave()


class TestWhatTheBrowserCannotLearn:
    @pytest.mark.parametrize("cookie", [None, "of a session that there is not"])
    async def test_a_session_that_begins_late_is_stored_with_a_warning(
        self, program: Any, cookie: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = chat(program, cookie)
        await server.connect()
        assert await server.ask("a=1") == "1"
        assert await server.ask("b=1") == "1"
        await server.leave()
        [record] = [each for each in caplog.records if each.levelno == logging.WARNING]
        assert "a key that the browser does not receive" in record.getMessage()
        assert "change the session before that" in record.getMessage()
        assert await Session.objects.acount() == 1

    async def test_a_session_in_the_cookie_cannot_be_stored(
        self, program: Any, settings: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
        server = chat(program, await stored(a="1"))
        await server.connect()
        assert await server.ask("a=2") == "2"
        assert await server.ask("a") == "2"
        await server.leave()
        [record] = caplog.records
        assert "SESSION_ENGINE keeps sessions in the cookie" in record.getMessage()


class TestHostileCookies:
    BROKEN = ("", "x", "a" * 8, "a" * 5000, "../../etc/passwd", "a\x00b" * 4, "é" * 32, "' --" * 4)

    async def test_a_broken_key_gives_no_session(self, engine: str, program: Any) -> None:
        for key in self.BROKEN:
            server = chat(program, key)
            assert (await server.connect())["type"] == "websocket.accept"
            assert await server.ask("a") == "None"
            await server.leave()

    async def test_a_new_session_never_adopts_the_key(self, engine: str) -> None:
        for key in self.BROKEN:
            message = await respond(key, put)
            assert key_in(message) != key
            assert await now_stored(key_in(message)) == {"a": 1}

    async def test_a_tampered_signature_gives_no_session(self, settings: Any, program: Any) -> None:
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
        key = await stored(a="1")
        server = chat(program, key[:-1] + ("A" if key[-1] != "A" else "B"))
        await server.connect()
        assert await server.ask("a") == "None"
        await server.leave()

    @given(key=st.text(alphabet=st.characters(max_codepoint=255), max_size=60))
    @hypothesis_settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
    )
    async def test_nothing_that_a_client_sends_is_an_error(self, key: str) -> None:
        message = await respond(key.replace(";", ""), lambda session: session.get("a"))
        assert message["status"] == 200


class TestTheShape:
    async def test_inside_another_one_it_does_nothing(self) -> None:
        sessions = []

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            sessions.append(scope["session"])
            scope["session"]["a"] = 1
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body"})

        async def between(scope: Scope, receive: Receive, send: Send) -> None:
            sessions.append(scope["session"])
            await SessionMiddlewareStack(application)(scope, receive, send)

        message = await Server(SessionMiddlewareStack(between), http()).request()
        assert sessions[0] is sessions[1]
        assert len(cookies_of(message)) == 1
        assert await Session.objects.acount() == 1

    async def test_a_session_that_a_test_put_there_stays(self) -> None:
        session = store()()

        async def application(scope: Scope, receive: Receive, send: Send) -> Any:
            return scope["session"]

        stack = SessionMiddlewareStack(application)
        assert await stack({**http(), "session": session}, never, never) is session

    async def test_it_needs_cookies(self) -> None:
        with pytest.raises(ValueError, match="needs to run inside of CookieMiddleware"):
            await SessionMiddleware(raw)(http(), never, never)

    async def test_scopes_without_a_client_pass(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> Any:
            return dict(scope)

        stack = SessionMiddlewareStack(application)
        assert await stack({"type": "lifespan"}, never, never) == {"type": "lifespan"}

    @pytest.mark.parametrize("name", ["cookie_response_message_types", "save_message_types"])
    async def test_a_subclass_may_name_other_messages(self, name: str) -> None:
        class Quiet(SessionMiddleware): ...

        setattr(Quiet, name, ["http.response.start"])

        server = chat(CookieMiddleware(Quiet(Chatty)), None, "one")
        assert not cookies_of(await server.connect())
        await server.leave()
        assert await Session.objects.acount() == 1  # complained of, and not lost

    async def test_a_program_may_save_by_itself(self) -> None:
        key = await stored(a=1)
        scope = {**http(), "cookies": {"sessionid": key}}
        wrapper = InstanceSessionWrapper(scope, never)
        await wrapper.resolve_session()
        await wrapper.scope["session"].aset("b", 2)
        await wrapper.save_session()
        assert await now_stored(key) == {"a": 1, "b": 2}
        await store()(key).adelete()
        with pytest.raises(SessionInterrupted):
            await wrapper.save_session()

    async def test_an_open_connection_keeps_of_its_scope_what_the_log_needs(self) -> None:
        wrappers = []

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            wrappers.append(scope["channels_auth.session"])
            assert wrappers[0].scope is scope
            await Chatty.as_asgi()(scope, receive, send)
            # The program's own is as it was.
            assert scope["cookies"] == {}

        server = chat(SessionMiddlewareStack(application), client=("127.0.0.1", 50000))
        await server.connect()
        kept = {"type": "websocket", "path": "/a/", "client": ("127.0.0.1", 50000)}
        assert wrappers[0].scope == kept
        await server.leave()

    async def test_cookies_that_are_set_in_turns_are_together(self) -> None:
        wrapper = InstanceSessionWrapper({**http(), "cookies": {}}, never)
        wrapper.cookies["first"] = "1"
        wrapper.cookies["second"] = "2"
        assert {*wrapper.cookies} == {"first", "second"}

    @pytest.mark.parametrize("nested", [False, True])
    async def test_the_two_step_form(self, nested: bool) -> None:
        def two_step(scope: Scope) -> Any:
            if nested:
                scope = {**scope, "session": store()()}
            scope = {**scope, "cookies": {}}
            return SessionMiddlewareInstance(scope, SessionMiddleware(Chatty))

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await two_step(scope)(receive, send)

        server = chat(application, None, "one")
        assert bool(cookies_of(await server.connect())) is not nested
        await server.leave()

    async def test_a_subclass_may_prepare_the_session(self) -> None:
        prepared = []

        class Preparing(SessionMiddlewareInstance):
            async def resolve_session(self) -> None:
                prepared.append(self.scope["path"])

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            instance = Preparing({**scope, "cookies": {}}, SessionMiddleware(Chatty))
            await instance(receive, send)
            # It may read the scope at any time.
            assert instance.scope["cookies"] == {}

        server = chat(application)
        await server.connect()
        assert prepared == ["/a/"]
        await server.leave()

    @pytest.mark.parametrize(
        ("server_module", "sets_cookie"), [("uvicorn.protocols", True), ("granian.asgi", False)]
    )
    async def test_middleware_in_two_steps_learns_of_the_server_in_the_second(
        self, server_module: str, sets_cookie: bool
    ) -> None:
        """The decision whether headers reach the browser needs `send`."""

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            stack: Any = SessionMiddlewareStack(Chatty)
            scope = {**scope, "asgi": {"spec_version": "2.3"}, "client": ("127.0.0.1", 1)}
            out = send  # under a name that the search through closures ignores

            def relay(message: Message) -> Any:
                return out(message)

            relay.__module__ = server_module
            # In a task of its own: that of the test is known to send headers.
            await asyncio.create_task(stack(scope)(receive, relay))

        server = chat(application, None, "one")
        assert bool(cookies_of(await server.connect())) is sets_cookie
        await server.leave()

    def test_scopes_without_a_client_pass_in_two_steps(self) -> None:
        stack: Any = SessionMiddlewareStack(lambda scope: scope)
        assert stack({"type": "lifespan"}) == {"type": "lifespan"}

    async def test_the_two_step_form_saves_from_a_thread(self) -> None:
        key = await stored(a=1)
        scope = {**http(), "cookies": {"sessionid": key}}
        instance = SessionMiddlewareInstance(scope, SessionMiddleware(raw))
        await instance.scope["session"].aset("b", 2)
        await sync_to_async(instance.save_session)()
        assert await now_stored(key) == {"a": 1, "b": 2}


async def never(*args: Any) -> Any:
    raise NotImplementedError


async def respond_with_interrupted_consumer(key: str) -> None:
    class Answering(AsyncConsumer):
        async def http_request(self, message: Message) -> None:
            await self.scope["session"].aset("b", 2)
            await store()(key).adelete()
            await self.send({"type": "http.response.start", "status": 200, "headers": []})

    router = ProtocolTypeRouter({"http": SessionMiddlewareStack(Answering)})
    server = Server(router, http({"sessionid": key}))
    assert (await server.request())["status"] == 400


class OneChannel(BaseChannelLayer):
    """A layer with one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def new_channel(self, prefix: str = "specific.") -> str:
        return f"{prefix}one"

    async def receive(self, channel: str) -> dict[str, Any]:
        return await self.messages.get()


@pytest.mark.parametrize("early", [False, True])
async def test_a_database_that_fails_is_one_error(
    early: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def save(*args: Any, **kwargs: Any) -> None:
        saves.append(args)
        raise ConnectionError("the database is gone")

    saves: list[Any] = []
    server = chat(SessionMiddlewareStack(Chatty), await stored(a="1"), "one" if early else "")
    if not early:
        await server.connect()
    monkeypatch.setattr(store(), "save", save)
    if early:
        await server.client.send_input({"type": "websocket.connect"})
    else:
        await server.text("a=2")
    with pytest.raises(RuntimeError, match="could not be saved"):
        await server.end()
    [record] = caplog.records
    kind = "websocket.connect" if early else "websocket.receive"
    assert f"message type '{kind}'" in record.getMessage()
    assert len(saves) == 1


@pytest.mark.parametrize("meanwhile", [False, True])
async def test_a_new_session_is_saved_once_unless_it_is_changed_meanwhile(
    meanwhile: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second save would run in a thread when the response is complete, perhaps after the test."""

    def save(session: Any, must_create: bool = False) -> None:
        if not must_create:
            saves.append(dict(session._session_cache))
        original(session, must_create)
        if meanwhile and not saves[1:]:
            session["a"] = 2

    saves: list[dict[str, Any]] = []
    original = store().save
    monkeypatch.setattr(store(), "save", save)
    started = await respond(use=put)
    assert await now_stored(key_in(started)) == {"a": 2 if meanwhile else 1}
    assert saves == ([{"a": 1}, {"a": 2}] if meanwhile else [{"a": 1}])


async def test_a_new_session_after_the_headers_is_saved_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def save(session: Any, must_create: bool = False) -> None:
        saves.append(must_create)
        original(session, must_create)

    saves: list[bool] = []
    original = store().save
    monkeypatch.setattr(store(), "save", save)
    server = chat(SessionMiddlewareStack(Chatty))
    await server.connect()
    await server.text("a=2")
    await server.text("")
    await server.leave()
    assert saves == [False, True]
    assert "under a key that the browser does not receive" in caplog.text


def test_headers_may_be_an_iterable_that_is_read_once() -> None:
    async def run() -> Message:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            scope["session"].get("a")
            headers = iter([(b"vary", b"Accept-Language")])
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body"})

        return await Server(SessionMiddlewareStack(application), http()).request()

    assert vary(async_to_sync(run)()) == [b"Accept-Language, Cookie"]


async def test_a_failing_save_at_the_end_does_not_hide_the_first_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = await stored(a="1")
    server = chat(SessionMiddlewareStack(raw), key)
    await server.connect()
    assert await server.ask("a") == "1"

    def save(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("the database is gone")

    monkeypatch.setattr(store(), "save", save)
    await server.text("fail=b")
    with pytest.raises(LookupError):
        await server.end()
    assert "The session of '/a/' was not saved" in caplog.text


def test_a_session_with_an_expiry_date_sets_its_cookie(settings: Any) -> None:
    """A datetime is kept as text in the session."""

    def use(session: Any) -> None:
        session.set_expiry(datetime(2100, 1, 1, tzinfo=UTC))

    async def run() -> Message:
        return await respond(None, use)

    cookie = cookies_of(async_to_sync(run)())["sessionid"]
    # To the second: one may pass while the cookie is made.
    assert re.search("expires=(Thu, 31 Dec 2099 23:59:5|Fri, 01 Jan 2100 00:00:0)", cookie)
