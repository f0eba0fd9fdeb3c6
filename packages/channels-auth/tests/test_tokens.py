import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.urls import path

from channels_auth.guards import login_required
from channels_auth.tokens import (
    FirstMessageToken,
    HeaderToken,
    QueryToken,
    SubprotocolToken,
    TokenAuthMiddleware,
    TokenSource,
)
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.routing import URLRouter
from channels_core.typing import Message, Receive, Scope, Send

# A safety net, for a loaded machine.
SECONDS = 30

SECRET = "s3cr3t-t0k3n"
ANNA: Any = get_user_model()(username="anna")
DENIAL: dict[str, Any] = {"websocket.http.response": {}}
EVERYWHERE = (HeaderToken(), SubprotocolToken(), QueryToken())

CONNECT = {"type": "websocket.connect"}
REFUSED = {"type": "websocket.close", "code": 4401}


def find(token: str, scope: Scope) -> Any:
    return ANNA if token == SECRET else None


class Inside:
    """An application that remembers the scopes it was run with."""

    def __init__(self, **accept: Any) -> None:
        self.scopes: list[Scope] = []
        self.accept = accept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            assert (await receive())["type"] == "websocket.connect"
            await send({"type": "websocket.accept", **self.accept})
            while (frame := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": frame["text"]})
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        return "inside"

    @property
    def user(self) -> Any:
        [scope] = self.scopes
        return scope["user"]


def http(**extra: Any) -> Scope:
    return {"type": "http", "method": "GET", "path": "/", "query_string": b"", **extra}


def websocket(**extra: Any) -> Scope:
    return {"type": "websocket", "path": "/", "query_string": b"", "headers": [], **extra}


def bearing(*tokens: str) -> dict[str, Any]:
    return {"headers": [(b"authorization", f"Bearer {token}".encode()) for token in tokens]}


async def answer(application: Any, scope: Scope) -> list[Message]:
    """Return the messages of an application to a client that leaves after the answer."""
    link = ApplicationCommunicator(application, scope)
    if scope["type"] == "websocket":
        await link.send_input(CONNECT)
        await link.send_input({"type": "websocket.disconnect", "code": 1000})
    await link.wait(SECONDS)
    return [link.output_queue.get_nowait() for _ in range(link.output_queue.qsize())]


class TestUser:
    @pytest.mark.parametrize("make", [http, websocket])
    async def test_a_token_sets_its_user(self, make: Any) -> None:
        inside = Inside()
        await answer(TokenAuthMiddleware(inside, find), make(**bearing(SECRET)))
        assert inside.user is ANNA

    async def test_it_overrides_the_user_of_an_outer_middleware(self) -> None:
        inside = Inside()
        scope = http(user=AnonymousUser(), **bearing(SECRET))
        await answer(TokenAuthMiddleware(inside, find), scope)
        assert inside.user is ANNA
        assert scope["user"] == AnonymousUser()

    async def test_without_a_token_the_user_stays(self) -> None:
        inside = Inside()
        await answer(TokenAuthMiddleware(inside, find), http(user=ANNA))
        assert inside.user is ANNA

    @pytest.mark.parametrize("extra", [{}, {"user": None}])
    async def test_without_a_token_or_user_it_is_anonymous(self, extra: Any) -> None:
        inside = Inside()
        await answer(TokenAuthMiddleware(inside, find), http(**extra))
        assert inside.user == AnonymousUser()

    async def test_without_a_required_token_it_is_refused(self) -> None:
        inside = Inside()
        application = TokenAuthMiddleware(inside, find, required=True)
        assert await answer(application, websocket(user=ANNA)) == [REFUSED]
        start, body = await answer(application, http(user=ANNA))
        assert (start["status"], body["body"]) == (401, b"Unauthorized")
        assert dict(start["headers"])[b"www-authenticate"] == b"Bearer"
        assert not inside.scopes

    async def test_a_guard_inside_sees_the_user(self) -> None:
        application = TokenAuthMiddleware(login_required(Inside()), find)
        assert (await answer(application, websocket()))[0] == REFUSED
        [accept] = await answer(application, websocket(**bearing(SECRET)))
        assert accept["type"] == "websocket.accept"

    async def test_lifespan_passes(self) -> None:
        unused: Any = None
        application = TokenAuthMiddleware(Inside(), find, required=True)
        assert await application({"type": "lifespan"}, unused, unused) == "inside"

    async def test_other_scopes_are_an_error(self) -> None:
        with pytest.raises(ValueError, match="type 'channel' has no client"):
            await answer(TokenAuthMiddleware(Inside(), find), {"type": "channel"})

    async def test_a_router_may_stand_inside_in_a_route(self) -> None:
        inside = Inside()
        inner = TokenAuthMiddleware(URLRouter([path("tea/", inside)]), find)
        router = URLRouter([path("rooms/", inner)])
        await answer(router, websocket(**bearing(SECRET), path="/rooms/tea/"))
        assert inside.user is ANNA


class TestRefusal:
    @pytest.mark.parametrize(
        "extra",
        [
            bearing("wrong"),
            bearing(""),
            bearing(f"{SECRET} {SECRET}"),
            bearing(f"{SECRET}, Bearer {SECRET}"),
            bearing(SECRET, SECRET),
            bearing(SECRET + "\0"),
            bearing(SECRET + "\xe9"),
            {"query_string": b"token="},
            {"query_string": b"token=%FF"},
            {"query_string": b"token=a%20b"},
            {"query_string": f"token={SECRET}&token={SECRET}".encode()},
            {"query_string": b"token=" + b"a" * 4097},
            {"query_string": f"token={SECRET}".encode(), **bearing(SECRET)},
            {"query_string": f"token={SECRET}".encode(), "subprotocols": ["token", SECRET]},
            {"subprotocols": ["token"]},
            {"subprotocols": ["token", SECRET, "token", SECRET]},
            {"subprotocols": ["token", "\udcff"]},
        ],
        ids=repr,
    )
    async def test_invalid_and_repeated_tokens_are_refused(self, extra: Any) -> None:
        inside = Inside()
        application = TokenAuthMiddleware(inside, find, EVERYWHERE)
        assert await answer(application, websocket(user=ANNA, **extra)) == [REFUSED]
        start, _ = await answer(application, http(**extra))
        assert start["status"] == 401
        start, body = await answer(application, websocket(extensions=DENIAL, **extra))
        assert (start["status"], body["body"]) == (401, b"Unauthorized")
        assert dict(start["headers"])[b"www-authenticate"] == b'Bearer error="invalid_token"'
        assert not inside.scopes

    async def test_only_well_formed_tokens_are_looked_up(self) -> None:
        application = TokenAuthMiddleware(Inside(), lambda token, scope: 1 / 0, max_length=3)
        for token in ("", "abcd", "\0"):
            start, _ = await answer(application, http(**bearing(token)))
            assert start["status"] == 401
        with pytest.raises(ZeroDivisionError):
            await answer(application, http(**bearing("abc")))

    async def test_a_single_source_can_be_given(self) -> None:
        inside = Inside()
        application = TokenAuthMiddleware(inside, find, QueryToken())
        await answer(application, http(query_string=f"token={SECRET}".encode()))
        assert inside.user is ANNA

    @pytest.mark.parametrize(
        "source", [HeaderToken("x-key", scheme=None), SubprotocolToken(), QueryToken()]
    )
    async def test_there_is_always_a_challenge(self, source: TokenSource) -> None:
        application = TokenAuthMiddleware(Inside(), find, source, required=True)
        start, _ = await answer(application, http())
        challenges = [value for name, value in start["headers"] if name == b"www-authenticate"]
        assert challenges == [b"Token"]

    async def test_a_guard_inside_sends_the_same_challenges(self) -> None:
        guarded = login_required(Inside(), raise_exception=True)
        sources = (HeaderToken(), HeaderToken(scheme="Key"))
        application = TokenAuthMiddleware(guarded, find, sources)
        start, _ = await answer(TokenAuthMiddleware(application, find), http())
        challenges = [value for name, value in start["headers"] if name == b"www-authenticate"]
        assert challenges == [b"Bearer", b"Key"]

    async def test_each_scheme_has_its_challenge(self) -> None:
        sources = (HeaderToken(scheme="Token"), HeaderToken("x-key", scheme=None), HeaderToken())
        application = TokenAuthMiddleware(Inside(), find, sources)
        start, _ = await answer(application, http(headers=[(b"authorization", b"Token a")]))
        challenges = [value for name, value in start["headers"] if name == b"www-authenticate"]
        assert challenges == [b"Token", b'Bearer error="invalid_token"']

    async def test_a_client_that_has_left_is_no_error(self) -> None:
        async def send(message: Message) -> None:
            raise OSError

        async def receive() -> Message:
            return CONNECT

        application = TokenAuthMiddleware(Inside(), find, required=True)
        await application(websocket(), receive, send)
        await application(http(), receive, send)


class TestScope:
    async def test_the_token_is_removed(self) -> None:
        headers = [(b"sec-websocket-protocol", f"chat, token, {SECRET}".encode())]
        query = f"a=1&token={SECRET}&b=%20".encode()
        places: list[dict[str, Any]] = [
            {"subprotocols": ["chat", "token", SECRET], "headers": headers},
            {"query_string": query},
        ]
        for extra in places:
            inside = Inside()
            scope = websocket(**extra)
            await answer(TokenAuthMiddleware(inside, find, EVERYWHERE), scope)
            assert inside.user is ANNA
            assert SECRET not in repr(inside.scopes)
            assert scope == websocket(**extra)
            [seen] = inside.scopes
            assert seen["query_string"] in (b"", b"a=1&b=%20")
            assert seen.get("subprotocols") in (["chat"], None)

    async def test_the_authenticator_may_add_to_it(self) -> None:
        def authenticate(token: str, scope: Scope) -> Any:
            scope["device"] = "phone"
            return ANNA

        inside = Inside()
        scope = http(**bearing(SECRET))
        await answer(TokenAuthMiddleware(inside, authenticate), scope)
        assert inside.scopes[0]["device"] == "phone"
        assert "device" not in scope

    async def test_a_source_of_a_program(self) -> None:
        class CookieToken(TokenSource):
            def take(self, scope: Scope) -> list[str]:
                return [scope["cookies"].pop("token")]

        inside = Inside()
        application = TokenAuthMiddleware(inside, find, [CookieToken()])
        await answer(application, http(cookies={"token": SECRET}))
        assert inside.user is ANNA


class TestSubprotocol:
    @pytest.mark.parametrize(
        ("offered", "accept", "chosen"),
        [
            (["token", SECRET], {}, "token"),
            (["token", SECRET], {"subprotocol": None}, "token"),
            (["token", SECRET, "chat"], {"subprotocol": "chat"}, "chat"),
            (["token", SECRET, "chat"], {"subprotocol": ""}, "token"),
        ],
    )
    async def test_a_subprotocol_is_always_chosen(
        self, offered: list[str], accept: Any, chosen: str
    ) -> None:
        application = TokenAuthMiddleware(Inside(**accept), find, EVERYWHERE)
        [message] = await answer(application, websocket(subprotocols=offered))
        assert message["subprotocol"] == chosen

    async def test_the_applications_message_is_not_changed(self) -> None:
        accept = {"type": "websocket.accept"}

        async def inside(scope: Scope, receive: Receive, send: Send) -> None:
            await send(accept)
            await send({"type": "websocket.close"})

        application = TokenAuthMiddleware(inside, find, EVERYWHERE)
        scope = websocket(subprotocols=["token", SECRET])
        assert await answer(application, scope) == [
            {"type": "websocket.accept", "subprotocol": "token"},
            {"type": "websocket.close"},
        ]
        assert accept == {"type": "websocket.accept"}

    async def test_no_subprotocol_is_chosen_without_a_token(self) -> None:
        application = TokenAuthMiddleware(Inside(), find, EVERYWHERE)
        for offered in ([], ["chat"]):
            scope = websocket(subprotocols=offered, **bearing(SECRET))
            assert await answer(application, scope) == [{"type": "websocket.accept"}]


class WithMethod:
    def authenticate(self, token: str, scope: Scope) -> Any:
        return find(token, scope)


class WithCoroutineMethod:
    async def authenticate(self, token: str, scope: Scope) -> Any:
        return find(token, scope)


class WithCoroutineCall:
    async def __call__(self, token: str, scope: Scope) -> Any:
        return find(token, scope)


async def find_later(token: str, scope: Scope) -> Any:
    return find(token, scope)


def find_by_hand(token: str, scope: Scope) -> Awaitable[Any]:
    return find_later(token, scope)


class TestAuthenticator:
    @pytest.mark.parametrize(
        "authenticate",
        [
            find,
            find_later,
            partial(find),
            partial(find_later),
            find_by_hand,
            WithMethod(),
            WithCoroutineMethod(),
            WithCoroutineCall(),
        ],
    )
    async def test_it_may_be_of_any_kind(self, authenticate: Any) -> None:
        inside = Inside()
        application = TokenAuthMiddleware(inside, authenticate)
        await answer(application, http(**bearing("wrong")))
        assert not inside.scopes
        await answer(application, http(**bearing(SECRET)))
        assert inside.user is ANNA

    @pytest.mark.django_db(transaction=True)
    async def test_it_may_use_the_database_and_leaves_no_connection_open(self) -> None:
        user = await get_user_model().objects.acreate_user("ben", password="x")
        manager = get_user_model().objects

        def by_thread(token: str, scope: Scope) -> Any:
            return manager.filter(username=token).first()

        async def by_coroutine(token: str, scope: Scope) -> Any:
            return await manager.filter(username=token).afirst()

        async def failing(token: str, scope: Scope) -> Any:
            await by_coroutine(token, scope)
            raise LookupError

        for authenticate in (by_thread, by_coroutine):
            inside = Inside()
            application = TokenAuthMiddleware(inside, authenticate)
            await answer(application, http(**bearing("ben")))
            assert inside.user == user
            assert await is_closed()
        with pytest.raises(LookupError):
            await answer(TokenAuthMiddleware(Inside(), failing), http(**bearing("ben")))
        assert await is_closed()

    async def test_an_anonymous_user_is_refused(self) -> None:
        application = TokenAuthMiddleware(Inside(), lambda token, scope: AnonymousUser())
        assert await answer(application, websocket(**bearing(SECRET))) == [REFUSED]

    @pytest.mark.parametrize("result", [False, (ANNA, SECRET), SECRET])
    async def test_a_result_that_is_not_a_user_is_an_error(self, result: Any) -> None:
        application = TokenAuthMiddleware(Inside(), lambda token, scope: result)
        kind = type(result).__name__
        with pytest.raises(TypeError, match=rf"return a user or None, not builtins\.{kind}$"):
            await answer(application, http(**bearing(SECRET)))

    @pytest.mark.parametrize("wrong", [None, "find", WithMethod, WithCoroutineCall])
    def test_a_non_authenticator_is_refused_at_construction(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match=r"expects a function authenticate\(token, scope\)"):
            TokenAuthMiddleware(Inside(), wrong)

    @pytest.mark.parametrize("wrong", [[HeaderToken], HeaderToken, None, "authorization"])
    def test_a_non_source_is_refused_at_construction(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match=r"instances such as HeaderToken\(\)"):
            TokenAuthMiddleware(Inside(), find, wrong)

    def test_only_one_first_message_source_is_accepted(self) -> None:
        with pytest.raises(ValueError, match="one FirstMessageToken at most"):
            TokenAuthMiddleware(Inside(), find, [FirstMessageToken(), FirstMessageToken()])


async def is_closed() -> bool:
    return await sync_to_async(lambda: connection.connection is None)()


class Waiting:
    """A client of an application that waits for a token in the first frame."""

    def __init__(self, application: Any, **extra: Any) -> None:
        self.link = ApplicationCommunicator(application, websocket(**extra))

    async def connect(self) -> Message:
        await self.link.send_input(CONNECT)
        return await self.receive()

    async def send(self, **frame: Any) -> None:
        await self.link.send_input({"type": "websocket.receive", **frame})

    async def leave(self) -> None:
        await self.link.send_input({"type": "websocket.disconnect", "code": 1000})

    async def receive(self) -> Message:
        message: Message = await self.link.receive_output(SECONDS)
        return message

    async def end(self) -> list[Message]:
        await self.link.wait(SECONDS)
        queue = self.link.output_queue
        return [queue.get_nowait() for _ in range(queue.qsize())]


def waiting(inside: Any, timeout: float = SECONDS, **options: Any) -> TokenAuthMiddleware:
    sources = (*EVERYWHERE, FirstMessageToken(timeout, **options))
    return TokenAuthMiddleware(inside, find, sources, max_length=40)


ACCEPTED = {"type": "websocket.accept", "subprotocol": None}


class TestFirstMessage:
    async def test_the_application_runs_after_the_token(self) -> None:
        inside = Inside()
        client = Waiting(waiting(inside))
        assert await client.connect() == ACCEPTED
        assert not inside.scopes
        for text in (SECRET, "a", "b", "c"):
            await client.send(text=text)
        await client.leave()
        texts = [message["text"] for message in await client.end()]
        assert texts == ["a", "b", "c"]
        assert inside.user is ANNA
        assert SECRET not in repr(inside.scopes)

    async def test_a_consumer_sees_an_ordinary_handshake(self) -> None:
        class Greeting(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                await self.accept()
                await self.send(f"Hello {self.scope['user']}")

        client = Waiting(waiting(Greeting, key="token"))
        await client.connect()
        await client.send(text=f'{{"token": "{SECRET}"}}')
        assert (await client.receive())["text"] == "Hello anna"
        await client.leave()
        await client.end()

    @pytest.mark.parametrize(
        "frame",
        [
            {"text": "wrong"},
            {"text": ""},
            {"text": "a" * 41},
            {"text": "a b"},
            {"bytes": SECRET.encode()},
            {"bytes": SECRET.encode(), "text": None},
            {},
        ],
    )
    async def test_an_invalid_first_frame_closes(self, frame: Any) -> None:
        inside = Inside()
        client = Waiting(waiting(inside), user=ANNA)
        await client.connect()
        await client.send(**frame)
        assert await client.end() == [REFUSED]
        assert not inside.scopes

    async def test_a_missing_first_frame_closes(self, caplog: pytest.LogCaptureFixture) -> None:
        client = Waiting(waiting(Inside(), timeout=0.001))
        assert await client.connect() == ACCEPTED
        assert await client.end() == [REFUSED]
        assert caplog.messages == ["websocket '/' was refused: no token came within 0.001 seconds"]

    async def test_the_client_may_leave_before_the_token(self) -> None:
        inside = Inside()
        client = Waiting(waiting(inside))
        await client.connect()
        await client.leave()
        assert await client.end() == []
        client = Waiting(waiting(inside))
        await client.leave()
        assert await client.end() == []
        assert not inside.scopes

    @pytest.mark.parametrize("sent", [0, 1])
    async def test_the_client_may_leave_before_the_accept(self, sent: int) -> None:
        messages = iter([CONNECT, {"type": "websocket.receive", "text": "wrong"}])
        left = sent

        async def receive() -> Message:
            return next(messages)

        async def send(message: Message) -> None:
            nonlocal left
            if not left:
                raise OSError
            left -= 1

        await waiting(Inside())(websocket(), receive, send)
        assert len(list(messages)) == 1 - sent

    async def test_the_client_may_leave_right_after_the_token(self) -> None:
        inside = Inside()
        client = Waiting(waiting(inside))
        await client.connect()
        await client.send(text=SECRET)
        await client.leave()
        assert await client.end() == []
        assert inside.user is ANNA

    async def test_waiting_can_be_cancelled(self) -> None:
        client = Waiting(waiting(Inside()))
        await client.connect()
        client.link.future.cancel()
        await asyncio.wait([client.link.future])
        assert client.link.future.cancelled()
        assert client.link.output_queue.empty()

    async def test_a_token_elsewhere_needs_no_frame(self) -> None:
        inside = Inside()
        [accept] = await answer(waiting(inside), websocket(**bearing(SECRET)))
        assert accept["type"] == "websocket.accept"
        assert inside.user is ANNA

    async def test_a_bad_token_elsewhere_gets_no_second_chance(self) -> None:
        assert await answer(waiting(Inside()), websocket(**bearing("wrong"))) == [REFUSED]

    async def test_http_has_no_frames(self) -> None:
        inside = Inside()
        await answer(waiting(inside), http())
        assert inside.user == AnonymousUser()

    async def test_a_refusal_is_a_close(self) -> None:
        class Refusing(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                await self.deny(403)

        client = Waiting(waiting(Refusing), extensions=DENIAL)
        await client.connect()
        await client.send(text=SECRET)
        assert await client.receive() == {"type": "websocket.close", "code": 4403, "reason": ""}
        await client.leave()
        assert await client.end() == []


class TestSubprotocolsOfTheFirstMessage:
    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [(["v1", "v2"], "v2"), (["v1"], "v1"), (["v3"], None), ([], None)],
    )
    async def test_the_first_of_ours_is_chosen(
        self, offered: list[str], chosen: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        inside = Inside(subprotocol=chosen)
        client = Waiting(waiting(inside, subprotocols=["v2", "v1"]), subprotocols=offered)
        assert await client.connect() == {"type": "websocket.accept", "subprotocol": chosen}
        await client.send(text=SECRET)
        await client.leave()
        await client.end()
        assert inside.scopes[0]["subprotocols"] == ([chosen] if chosen else [])
        assert not caplog.records

    @pytest.mark.parametrize(
        "accept", [{"subprotocol": "v1"}, {"headers": [(b"set-cookie", b"a=b")]}]
    )
    async def test_a_lost_subprotocol_is_logged_once(
        self, accept: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        application = waiting(Inside(**accept), subprotocols=["v2"])
        for _ in range(2):
            client = Waiting(application, subprotocols=["v1"])
            await client.connect()
            await client.send(text=SECRET)
            await client.leave()
            assert await client.end() == []
        [line] = caplog.messages
        assert line.startswith("An application accepts with headers or a subprotocol")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Capture every line, and see that the secret is in none."""
    caplog.set_level(logging.DEBUG)
    yield caplog
    assert SECRET not in caplog.text
    assert SECRET not in repr([vars(record) for record in caplog.get_records("call")])


def valid(token: str, scope: Scope) -> Any:
    return ANNA


def invalid(token: str, scope: Scope) -> Any:
    return None


def failing(token: str, scope: Scope) -> Any:
    raise LookupError(f"There is no {token}")


async def failing_later(token: str, scope: Scope) -> Any:
    raise LookupError(f"There is no {token}")


def wrong(token: str, scope: Scope) -> Any:
    return token


PLACES: list[dict[str, Any]] = [
    bearing(SECRET),
    bearing(SECRET, SECRET),
    bearing(SECRET + " x"),
    bearing(SECRET + "\xe9"),
    bearing(SECRET * 400),
    {"query_string": f"token={SECRET}".encode()},
    {"query_string": f"token={SECRET}&token={SECRET}".encode()},
    {"query_string": f"token={SECRET}%FF".encode()},
    {"subprotocols": ["token", SECRET]},
    {"subprotocols": ["token", SECRET, "token", SECRET]},
]
AUTHENTICATORS: list[Callable[[str, Scope], Any | Awaitable[Any]]] = [
    valid,
    invalid,
    failing,
    failing_later,
    wrong,
]


class Chatty(AsyncWebsocketConsumer):
    """Makes core warn, with a list of the subprotocols of the client."""

    async def connect(self) -> None:
        await self.accept("other")


@pytest.mark.parametrize("authenticate", AUTHENTICATORS)
class TestLog:
    @pytest.mark.parametrize("place", PLACES, ids=repr)
    async def test_no_token_is_logged(
        self, place: Any, authenticate: Any, log: pytest.LogCaptureFixture
    ) -> None:
        for inside, scope in ((Chatty, websocket(**place)), (Inside(), http(**place))):
            application = TokenAuthMiddleware(inside, authenticate, EVERYWHERE)
            assert SECRET not in repr(vars(application))
            with contextlib.suppress(LookupError, TypeError):
                await answer(application, scope)
        assert all(record.name.startswith("django.channels") for record in log.records)

    @pytest.mark.parametrize(
        "frame",
        [
            {"text": SECRET},
            {"text": SECRET + " "},
            {"text": SECRET * 9},
            {"bytes": SECRET.encode()},
        ],
    )
    @pytest.mark.parametrize("key", [None, "token"])
    async def test_no_token_of_a_frame_is_logged(
        self, frame: Any, key: str | None, authenticate: Any, log: pytest.LogCaptureFixture
    ) -> None:
        sources = [FirstMessageToken(SECONDS, key=key)]
        application = TokenAuthMiddleware(Chatty, authenticate, sources, max_length=40)
        client = Waiting(application)
        await client.connect()
        await client.send(**frame)
        await client.leave()
        with contextlib.suppress(LookupError, TypeError):
            await client.end()
        assert all(record.name.startswith("django.channels") for record in log.records)
