"""The code that the documentation shows, run."""

import ast
import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Any

import channels
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.auth import AuthMiddlewareStack
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from channels.sessions import SessionMiddlewareStack
from channels.worker import Worker
from django.contrib.auth import alogin, authenticate, get_user_model, login
from django.contrib.auth.models import AnonymousUser, Permission
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models.signals import post_save
from django.test import RequestFactory
from django.urls import path

import channels_auth
import channels_core
import channels_http
import channels_layers_memory
import channels_layers_redis
import channels_testing
from chat.models import Message
from docs.snippets import (
    connections,
    database,
    from_django,
    groups,
    http_requests,
    jobs,
    logged_in,
    long_polls,
    origins,
    routes,
    site_routes,
    visits,
)
from processes import SECONDS
from served import ROOT

DOCS = ROOT / "docs"
#: Shown from a mark to the next.
MARKED = {
    "http_requests.complete",
    "logged_in.take_over",
    "django_tasks.report",
    "load_test.answer_time",
    "load_test.main",
    "load_test.measure",
    "load_test.resident",
    "logins.check",
    "routes.close_pool",
    "routes.open_pool",
    "site_routes.health",
}
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)


class Client:
    """The server's side of one WebSocket."""

    def __init__(self, application: Any, **scope: Any) -> None:
        defaults = {"type": "websocket", "path": "/", "query_string": b"", "headers": []}
        self.link = ApplicationCommunicator(
            application, {**defaults, "subprotocols": [], "extensions": {}, **scope}
        )

    async def connect(self) -> dict[str, Any]:
        await self.link.send_input({"type": "websocket.connect"})
        return await self.receive()

    async def send(self, text: str) -> None:
        await self.link.send_input({"type": "websocket.receive", "text": text})

    async def receive(self) -> dict[str, Any]:
        return dict(await self.link.receive_output(timeout=SECONDS))

    async def receive_json(self) -> Any:
        return json.loads((await self.receive())["text"])

    async def leave(self, code: int = 1000, reason: str = "") -> None:
        message = {"type": "websocket.disconnect", "code": code, "reason": reason}
        await self.link.send_input(message)
        await self.link.wait(timeout=SECONDS)


class Request:
    """The server's side of one HTTP request."""

    def __init__(self, application: Any, address: str = "/", **scope: Any) -> None:
        self.path, _, query = address.partition("?")
        scope = {"method": "GET", "query_string": query.encode(), **scope}
        scope["headers"] = [(b"host", b"testserver"), *scope.get("headers", ())]
        self.link = ApplicationCommunicator(
            application, {"type": "http", "path": self.path, **scope}
        )

    async def send(self, *parts: bytes, more: bool = False) -> None:
        """Send the body, or the beginning of it."""
        for number, part in enumerate(parts or (b"",), 1):
            more_body = more or number < len(parts)
            message = {"type": "http.request", "body": part, "more_body": more_body}
            await self.link.send_input(message)

    async def begin(self) -> tuple[int, dict[bytes, bytes]]:
        """Return status and headers."""
        start = await self.link.receive_output(timeout=SECONDS)
        assert start["type"] == "http.response.start"
        return start["status"], dict(start["headers"])

    async def part(self) -> bytes:
        """Return the next part of the response's body."""
        self.last = await self.link.receive_output(timeout=SECONDS)
        assert self.last["type"] == "http.response.body"
        return bytes(self.last.get("body", b""))

    async def event(self) -> dict[str, str]:
        """Return the fields of the next event of a stream."""
        while True:
            lines = (await self.part()).decode().splitlines()
            fields = dict(line.split(": ", 1) for line in lines if line and line[0] != ":")
            if fields:
                return fields

    async def whole(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """Return status, headers and body when the application has ended."""
        status, headers = await self.begin()
        body = await self.part()
        while self.last.get("more_body"):
            body += await self.part()
        await self.link.wait(timeout=SECONDS)
        return status, headers, body

    async def leave(self) -> None:
        await self.link.send_input({"type": "http.disconnect"})
        await self.link.wait(timeout=SECONDS)


@asynccontextmanager
async def connected(application: Any, **scope: Any) -> AsyncIterator[Client]:
    client = Client(application, **scope)
    assert (await client.connect())["type"] == "websocket.accept"
    yield client
    await client.leave()


class TestConnections:
    async def test_echo(self, capsys: pytest.CaptureFixture[str]) -> None:
        client = Client(connections.Echo.as_asgi())
        await client.connect()
        await client.send("hello")
        assert await client.receive() == {"type": "websocket.send", "text": "hello"}
        await client.leave(1001, "bye")
        assert capsys.readouterr().out == "1 frames, closed with 1001 bye\n"

    async def test_sync_echo(self) -> None:
        async with connected(connections.SyncEcho.as_asgi()) as client:
            await client.send("hello")
            assert await client.receive() == {"type": "websocket.send", "text": "hello"}

    async def test_denial_with_a_response(self) -> None:
        client = Client(connections.Members.as_asgi(), extensions={"websocket.http.response": {}})
        answer = await client.connect()
        assert answer["type"] == "websocket.http.response.start"
        assert answer["status"] == 401
        assert (b"www-authenticate", b"Key") in answer["headers"]
        assert (await client.receive())["body"] == b"Bring ?key= along."

    async def test_denial_where_the_server_has_no_response(self) -> None:
        answer = await Client(connections.Members.as_asgi()).connect()
        assert answer["type"] == "websocket.close"

    async def test_members_come_in(self) -> None:
        async with connected(connections.Members.as_asgi(), query_string=b"key=sesame"):
            pass

    async def test_denial_by_an_exception(self) -> None:
        class Full(connections.Room):
            capacity = 0

        async with connected(connections.Room.as_asgi()):
            pass
        client = Client(Full.as_asgi(), extensions={"websocket.http.response": {}})
        assert (await client.connect())["status"] == 503
        assert (await client.receive())["body"] == b"The room is full."

    async def test_subprotocols(self) -> None:
        client = Client(connections.Versioned.as_asgi(), subprotocols=["chat.v1", "chat.v2"])
        assert (await client.connect())["subprotocol"] == "chat.v2"
        await client.leave()
        refused = await Client(connections.Versioned.as_asgi(), subprotocols=["x"]).connect()
        assert (refused["type"], refused["code"]) == ("websocket.close", 4406)

    async def test_json_encoder(self) -> None:
        async with connected(connections.Clock.as_asgi()) as client:
            await client.send("[1]")
            answer = await client.receive_json()
            assert answer["asked"] == [1]
            assert re.match(r"\d{4}-\d\d-\d\dT", answer["now"])

    async def test_a_hook_for_bad_frames(self) -> None:
        async with connected(connections.Patient.as_asgi()) as client:
            for frame, code in (("{", 1007), ("NaN", 1007), (f'"{"a" * 5000}"', 1009)):
                await client.send(frame)
                assert (await client.receive_json())["code"] == code

    async def test_a_hook_for_exceptions(self, caplog: pytest.LogCaptureFixture) -> None:
        client = Client(connections.Reporting.as_asgi(), path="/divide/")
        await client.connect()
        await client.send("0")
        with pytest.raises(ZeroDivisionError):
            await client.link.wait(timeout=SECONDS)
        assert connections.Reporting.failures == ["/divide/: ZeroDivisionError"]
        [record] = [r for r in caplog.records if r.name == "django.channels.consumer"]
        assert "/divide/" in record.getMessage()


class TestGroups:
    async def test_groups_of_the_class(self) -> None:
        async with connected(groups.News.as_asgi()) as client:
            await layer().group_send("news", {"type": "news.item", "text": "open"})
            assert (await client.receive())["text"] == "open"

    async def test_groups_by_the_scope(self) -> None:
        router = URLRouter([path("ward/<int:number>/", groups.Ward.as_asgi())])
        async with connected(router, path="/ward/7/") as client:
            await layer().group_send("ward.7", {"type": "ward.call", "text": "bed 3"})
            assert (await client.receive())["text"] == "bed 3"

    async def test_moving_between_groups(self) -> None:
        async with connected(groups.Switch.as_asgi()) as client:
            await layer().group_send("station.1", {"type": "station.plays", "title": "one"})
            assert (await client.receive())["text"] == "one"
            await client.send("2")
            assert (await client.receive())["text"] == "listening to station.2"
            await layer().group_send("station.1", {"type": "station.plays", "title": "one"})
            await layer().group_send("station.2", {"type": "station.plays", "title": "two"})
            assert (await client.receive())["text"] == "two"


class TestRoutes:
    @pytest.mark.parametrize(
        ("address", "found"),
        [
            ("/leagues/north/games/7/", "() [('game', 7), ('league', 'north')]"),
            ("/leagues/north/table/", "() [('full', True), ('league', 'north')]"),
            ("/clubs/rowing/", "('rowing',) []"),
        ],
    )
    async def test_nested_routers(self, address: str, found: str) -> None:
        async with connected(routes.application, path=address) as client:
            assert (await client.receive())["text"] == found

    async def test_an_unknown_path(self) -> None:
        client = Client(routes.application, path="/nowhere/")
        assert (await client.connect())["type"] == "websocket.close"
        await client.link.wait(timeout=SECONDS)

    async def test_lifespan(self) -> None:
        client = Client(routes.application, type="lifespan")
        for step, pools in (("startup", ["a pool of connections"]), ("shutdown", [])):
            await client.link.send_input({"type": f"lifespan.{step}"})
            assert await client.receive() == {"type": f"lifespan.{step}.complete"}
            assert routes.pools == pools
        await client.link.wait(timeout=SECONDS)

    async def test_channel_names(self) -> None:
        client = Client(routes.channels, type="channel", channel="thumbnails")
        await client.link.send_input({"type": "thumbnail.make", "path": "cat.png"})
        await client.link.send_input({"type": "no.such.handler", "path": "cat.png"})
        with pytest.raises(ValueError, match=r"no\.such\.handler"):
            await client.link.wait(timeout=SECONDS)
        assert routes.Thumbnails.done == ["cat.png"]


class TestViews:
    @pytest.fixture(autouse=True)
    def urls(self, settings: Any) -> None:
        settings.ROOT_URLCONF = site_routes.__name__
        settings.STATIC_URL = "/static/"

    async def fetch(self, application: Any, address: str, **scope: Any) -> tuple[int, bytes]:
        status, _, body = await fetch(application, address, **scope)
        return status, body

    async def test_an_application_and_all_views_behind_it(self) -> None:
        from docs.snippets import served_files

        for application in (site_routes.application, served_files.application):
            assert await self.fetch(application, "/health/") == (200, b"up")
            assert await self.fetch(application, "/about/") == (200, b"This page is at /about/")
            assert (await self.fetch(application, "/nowhere/"))[0] == 404

    async def test_below_a_folder(self) -> None:
        answer = await self.fetch(site_routes.application, "/shop/about/", root_path="/shop")
        assert answer == (200, b"This page is at /shop/about/")

    async def test_static_files(self, settings: Any, tmp_path: Path) -> None:
        (tmp_path / "style.css").write_text("body {}")
        settings.STATICFILES_DIRS = [tmp_path]
        from docs.snippets import served_files

        answer = await self.fetch(served_files.application, "/static/style.css")
        assert answer == (200, b"body {}")


async def fetch(
    application: Any, address: str, *parts: bytes, **scope: Any
) -> tuple[int, dict[bytes, bytes], bytes]:
    request = Request(application, address, **scope)
    await request.send(*parts)
    return await request.whole()


class TestHttpRequests:
    site = staticmethod(http_requests.application)

    async def test_notes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_requests.Notes, "notes", [])
        status, headers, body = await fetch(self.site, "/notes/", b"mi", b"lk", method="POST")
        assert (status, json.loads(body)) == (201, ["milk"])
        assert headers[b"Content-Type"] == b"application/json"
        assert (await fetch(self.site, "/notes/"))[2] == b'["milk"]'
        assert (await fetch(self.site, "/notes/", method="HEAD"))[2] == b""
        status, headers, _ = await fetch(self.site, "/notes/", method="DELETE")
        assert (status, headers[b"allow"]) == (405, b"GET, HEAD, OPTIONS, POST")

    async def test_a_large_note(self, settings: Any) -> None:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 5
        assert (await fetch(self.site, "/notes/", b"123", b"456", method="POST"))[0] == 413

    async def test_an_upload(self, settings: Any) -> None:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 5
        status, _, body = await fetch(self.site, "/upload/", b"1234", b"5678", method="PUT")
        assert (status, body) == (201, sha256(b"12345678").hexdigest().encode())

    async def test_words_as_they_come(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        status, _, body = await fetch(self.site, "/answer/", b"hello", method="POST")
        assert (status, body) == (200, b"You said: hello ")
        assert "3 words to pay for" in caplog.messages

    async def test_no_words_for_a_client_that_has_left(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def endless(prompt: str) -> AsyncIterator[str]:
            try:
                yield prompt
                await asyncio.Event().wait()
            finally:
                closed.append(prompt)

        closed: list[str] = []
        monkeypatch.setattr(http_requests, "complete", endless)
        caplog.set_level("INFO")
        request = Request(self.site, "/answer/", method="POST")
        await request.send(b"hello")
        await request.begin()
        assert (await request.part(), await request.part()) == (b"", b"hello")
        await request.leave()
        assert closed == ["hello"]
        assert "1 words to pay for" in caplog.messages

    async def test_requests_without_a_consumer(self, settings: Any) -> None:
        settings.ROOT_URLCONF = site_routes.__name__
        assert (await fetch(self.site, "/about/"))[2] == b"This page is at /about/"


class TestLongPolls:
    async def test_the_next_message(self) -> None:
        request = Request(long_polls.NextMessage.as_asgi())
        await request.send()
        await request.begin()
        assert await request.part() == b""
        await layer().group_send("chat", {"type": "chat.message", "text": "hello"})
        assert json.loads(await request.part()) == {"type": "chat.message", "text": "hello"}
        await request.link.wait(timeout=SECONDS)

    @pytest.mark.django_db(transaction=True)
    def test_messages_of_a_room(self) -> None:
        async_to_sync(self.follow)()

    async def follow(self) -> None:
        async def poll(after: object) -> Request:
            request = Request(router, f"/rooms/tea/?after={after}")
            await request.send()
            status, headers = await request.begin()
            assert (status, headers[b"Content-Type"]) == (200, b"application/json")
            return request

        async def say(message: Message) -> None:
            event = {"type": "chat.message", "message": message.as_json()}
            await layer().group_send("chat.tea", event)

        router = URLRouter([path("rooms/<slug:room>/", long_polls.NewMessages.as_asgi())])
        first = await Message.objects.acreate(room="tea", author="Anna", text="Milk?")
        for nothing in ("", 0, "x", "9" * 20, "-1"):
            assert json.loads(await (await poll(nothing)).part()) == [first.as_json()]
        request = await poll(first.pk)
        second = await Message.objects.acreate(room="tea", author="Ben", text="Yes")
        await say(first)  # It has that one.
        await say(second)
        assert json.loads(await request.part()) == [second.as_json()]
        await request.link.wait(timeout=SECONDS)

    async def test_nothing_new(self) -> None:
        class Impatient(long_polls.NewMessages, response_timeout=0):
            def groups(self) -> list[str]:
                return ["chat.tea"]

            async def get(self, body: bytes) -> None:
                await self.send_headers()

        assert (await fetch(Impatient.as_asgi(), "/"))[2] == b"[]"


@pytest.fixture
def events() -> ModuleType:
    from docs.snippets import events

    return events


class TestEvents:
    async def test_prices(self, events: ModuleType) -> None:
        request = Request(events.application, "/prices/")
        await request.send()
        status, headers = await request.begin()
        assert (status, headers[b"content-type"]) == (200, b"text/event-stream; charset=utf-8")
        assert b"access-control-allow-origin" not in headers
        await request.part()
        await layer().group_send("prices", {"type": "price.changed", "item": "tea", "price": 3})
        assert await request.event() == {"event": "price", "data": '{"item": "tea", "price": 3}'}
        await request.leave()
        assert (await fetch(events.application, "/prices/", method="POST"))[0] == 405

    async def test_prices_for_other_sites(self, events: ModuleType) -> None:
        status, headers, _ = await fetch(events.PublicPrices.as_asgi(), "/", method="HEAD")
        assert (status, headers[b"Access-Control-Allow-Origin"]) == (200, b"*")

    async def test_only_members_have_the_feed(self, events: ModuleType) -> None:
        assert (await fetch(events.application, "/rooms/tea/feed/"))[0] == 401

    def test_what_was_missed(self, events: ModuleType, anna: Any) -> None:
        async_to_sync(self.follow)(events, anna)

    async def follow(self, events: ModuleType, anna: Any) -> None:
        async def say(message: Message) -> None:
            event = {"type": "chat.message", "message": message.as_json()}
            await layer().group_send("chat.tea", event)

        by_ticket = URLRouter([path("rooms/<slug:room>/", events.by_ticket)])
        address = f"/rooms/tea/?ticket={events.Tickets().make(anna)}"
        one, two, three = [
            await Message.objects.acreate(room="tea", author="Anna", text=text)
            for text in ("Milk?", "Sugar?", "Tea?")
        ]
        header = (b"last-event-id", str(one.pk).encode())
        request = Request(by_ticket, address, headers=[header])
        await request.send()
        assert (await request.begin())[0] == 200
        assert await request.event() == {"id": str(two.pk), "data": json.dumps(two.as_json())}
        assert (await request.event())["id"] == str(three.pk)
        four = await Message.objects.acreate(room="tea", author="Anna", text="Cake?")
        await say(three)  # It has that one.
        await say(four)
        assert (await request.event())["id"] == str(four.pk)
        await request.leave()
        # A page that reconnects has the id in the address.
        request = Request(by_ticket, f"{address}&after={three.pk}")
        await request.send()
        await request.begin()
        assert (await request.event())["id"] == str(four.pk)
        await request.leave()
        # A new browser, and one with an invalid id.
        for headers in ([], [(b"last-event-id", b"9" * 20)], [(b"last-event-id", b"x")]):
            request = Request(by_ticket, address, headers=headers)
            await request.send()
            await request.begin()
            await request.part()
            await say(four)
            assert (await request.event())["id"] == str(four.pk)
            await request.leave()
        assert (await fetch(by_ticket, "/rooms/tea/?ticket=x"))[0] == 401


class TestDevelopmentServer:
    def test_the_table_of_limits_is_true(self) -> None:
        from channels.management.commands.runserver import Command

        parser = Command().create_parser("manage.py", "runserver")
        page = (DOCS / "topics" / "development-server.md").read_text()
        told = dict(re.findall(r"(?m)^\| `(--[\w-]+)` \| (-?\w+)", page))
        assert len(told) == 10
        for option, default in told.items():
            # argparse has no public way to list the options of a parser.
            [action] = [each for each in parser._actions if option in each.option_strings]
            if default.isdigit() and action.default is not None:
                assert action.default == int(default)

    def test_their_defaults_are_those_of_the_server(self) -> None:
        from daphne.server import Server

        parameters = inspect.signature(Server).parameters
        page = (DOCS / "topics" / "development-server.md").read_text()
        rows = re.findall(r"(?m)^\| `--([\w-]+)` \| (\w+(?: MiB)?) ", page)
        for option, default in rows:
            shown = {"none": None, "1 MiB": 2**20}
            value = shown[default] if default in shown else int(default)
            assert parameters[option.replace("-", "_")].default == value


class TestWorkers:
    async def test_what_the_worker_did_comes_back(self) -> None:
        worker = Worker(jobs.application, ["thumbnails"], layer())
        running = asyncio.create_task(worker.arun())
        async with connected(jobs.application, path="/ws/album/") as client:
            for picture in ("cat.png", "dog.png"):
                await client.send(json.dumps({"picture": picture}))
                assert await client.receive_json() == {"ready": f"small-{picture}"}
        worker.stop()
        await running

    def test_the_table_of_options_is_true(self) -> None:
        from channels.management.commands.runworker import Command

        parser = Command().create_parser("manage.py", "runworker")
        page = (DOCS / "topics" / "workers.md").read_text()
        told = dict(re.findall(r"(?m)^\| `(--[\w-]+)` \| (\w+) \|", page))
        # argparse has no public way to list the options of a parser.
        defaults = {each.option_strings[0]: each.default for each in parser._actions[-6:]}
        assert told == {option: str(value or "off") for option, value in defaults.items()}


class TestOrigins:
    @pytest.mark.parametrize(
        ("application", "origin", "allowed"),
        [
            (origins.application, "http://testserver", True),
            (origins.application, "http://example.com", False),
            (origins.partners, "http://EXAMPLE.com:8080", True),
            (origins.partners, "http://www.example.com", False),
            (origins.partners, "https://example.org", True),
            (origins.partners, "https://www.example.org", True),
            (origins.partners, "https://example.net:443", True),
            (origins.partners, "http://example.net", False),
            (origins.partners, "https://example.net:8443", False),
            (origins.partners, "http://localhost:3000", True),
            (origins.partners, "http://localhost", False),
            (origins.partners, "http://localhost:99999", False),
            (origins.partners, "null", False),
            (origins.partners, "", False),
        ],
    )
    async def test_accepted_visitors(self, application: Any, origin: str, allowed: bool) -> None:
        headers = [(b"origin", origin.encode())]
        client = Client(application, path="/clubs/rowing/", headers=headers)
        answer = await client.connect()
        assert answer["type"] == ("websocket.accept" if allowed else "websocket.close")
        if allowed:
            await client.leave()


@pytest.fixture
def access() -> ModuleType:
    from docs.snippets import access

    return access


@pytest.fixture
def anna(transactional_db: None, access: ModuleType) -> Iterator[Any]:
    """Create a user, and the table for the model of the page about tokens."""
    with connection.schema_editor() as editor:
        editor.create_model(access.Token)
    try:
        yield get_user_model().objects.create_user("anna", password="x")
    finally:
        access.Token.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.delete_model(access.Token)


class TestAccess:
    @pytest.mark.parametrize(
        ("address", "stranger", "member", "viewer"),
        [
            ("/lobby/", True, True, True),
            ("/members/", False, True, True),
            ("/staff/reports/", False, False, True),
        ],
    )
    def test_guards(
        self,
        access: ModuleType,
        anna: Any,
        address: str,
        stranger: bool,
        member: bool,
        viewer: bool,
    ) -> None:
        async def is_let_in(user: Any) -> bool:
            origin = (b"origin", b"http://testserver")
            client = Client(access.application, path=address, headers=[origin], user=user)
            answer = await client.connect()
            await client.leave()
            return bool(answer["type"] == "websocket.accept")

        assert async_to_sync(is_let_in)(AnonymousUser()) is stranger
        assert async_to_sync(is_let_in)(anna) is member
        anna = get_user_model().objects.get()
        anna.user_permissions.add(Permission.objects.get(codename="view_user"))
        anna = get_user_model().objects.get()
        assert async_to_sync(is_let_in)(anna) is viewer

    def test_keys(self, access: ModuleType, anna: Any) -> None:
        access.Token.objects.create(key="0123abcd", user=anna)

        async def greeting(key: str) -> Any:
            headers = [(b"authorization", f"Token {key}".encode())]
            client = Client(access.for_programs, path="/members/", headers=headers)
            answer = await client.connect()
            if answer["type"] == "websocket.accept":
                answer = await client.receive()
            await client.leave()
            return answer.get("text", answer.get("code"))

        assert async_to_sync(greeting)("0123abcd") == "Hello, anna"
        assert async_to_sync(greeting)("0123abce") == 4401
        anna.is_active = False
        anna.save()
        assert async_to_sync(greeting)("0123abcd") == 4401

    def test_tickets(self, access: ModuleType, anna: Any) -> None:
        ticket = access.Tickets().make(anna)
        assert re.fullmatch(r"[\w.-]+", ticket)

        async def greeting(subprotocols: list[str], *frames: str) -> Any:
            client = Client(access.for_browsers, path="/members/", subprotocols=subprotocols)
            accepted = await client.connect()
            for frame in frames:
                await client.send(frame)
            answer = await client.receive()
            await client.leave()
            return accepted["subprotocol"], answer.get("text", answer.get("code"))

        greet = async_to_sync(greeting)
        assert greet(["ticket", ticket]) == ("ticket", "Hello, anna")
        assert greet([], json.dumps({"ticket": ticket})) == (None, "Hello, anna")
        assert greet([], json.dumps({"ticket": f"{ticket}x"})) == (None, 4401)


class TestFromDjango:
    async def test_a_view(self, rf: RequestFactory) -> None:
        async with connected(groups.News.as_asgi()) as client:
            call = sync_to_async(from_django.announce, thread_sensitive=False)
            assert (await call(rf.get("/"))).status_code == 204
            assert (await client.receive())["text"] == "The shop is open."

    async def test_a_layer_of_any_kind(self) -> None:
        async with connected(groups.News.as_asgi()) as client:
            await sync_to_async(from_django.announce_elsewhere)(layer())
            assert (await client.receive())["text"] == "The shop is open."

    @pytest.mark.django_db(transaction=True)
    def test_a_signal(self) -> None:
        channel = async_to_sync(layer().new_channel)()
        layer().group_add_sync("chat.tea", channel)
        post_save.connect(from_django.message_saved, sender=Message)
        try:
            with transaction.atomic():
                Message.objects.create(room="tea", author="Anna", text="rolled back")
                transaction.set_rollback(True)
            with transaction.atomic():
                Message.objects.create(room="tea", author="Anna", text="committed")
        finally:
            post_save.disconnect(from_django.message_saved, sender=Message)
        event = async_to_sync(layer().receive)(channel)
        assert event["type"] == "chat.message"
        assert event["message"]["text"] == "committed"


@pytest.mark.django_db
class TestDatabase:
    """As in Django's TestCase: everything in the transaction of the test's thread."""

    @pytest.mark.parametrize("counter", [database.Counter, database.SyncCounter])
    def test_counting(self, counter: Any) -> None:
        Message.objects.create(room="tea", author="Anna", text="Milk?")

        async def ask() -> None:
            async with connected(counter.as_asgi()) as client:
                await client.send('{"room": "tea"}')
                assert await client.receive_json() == {"number": 1}

        async_to_sync(ask)()

    def test_moving(self) -> None:
        Message.objects.create(room="tea", author="Anna", text="Milk?")

        async def ask() -> None:
            async with connected(database.Mover.as_asgi()) as client:
                await client.send('{"old": "tea", "new": "coffee"}')
                assert await client.receive_json() == {"moved": 1}

        async_to_sync(ask)()
        assert Message.objects.get().room == "coffee"


class TestVisits:
    async def test_a_cart(self, settings: Any) -> None:
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
        client = Client(visits.application)
        accepted = await client.connect()
        [(_, cookie)] = accepted["headers"]
        await client.send('"tea"')
        assert await client.receive_json() == ["tea"]
        await client.leave()
        # The next request of the same browser.
        client = Client(visits.application, headers=[(b"cookie", cookie.split(b";")[0])])
        await client.connect()
        await client.send('"milk"')
        assert await client.receive_json() == ["tea", "milk"]
        await client.leave()

    async def test_a_theme(self) -> None:
        theme = SessionMiddlewareStack(visits.ThemeConsumer)
        client = Client(theme)
        [(name, cookie)] = (await client.connect())["headers"]
        assert (name, cookie.split(b";")[0]) == (b"Set-Cookie", b"theme=dark")
        await client.leave()
        client = Client(theme, headers=[(b"cookie", b"theme=light")])
        assert not (await client.connect()).get("headers")
        await client.leave()


class TestLoggedIn:
    """WebSockets that end with the login."""

    @pytest.fixture(autouse=True)
    def engine(self, settings: Any) -> None:
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"

    def visit(self, run: Any) -> None:
        """Let a member connect, do something, and check that the WebSocket closes."""

        async def visit() -> None:
            headers = [(b"host", b"testserver"), (b"origin", b"http://testserver")]
            headers.append((b"cookie", f"sessionid={request.session.session_key}".encode()))
            client = Client(logged_in.application, path="/inbox/", headers=headers)
            assert (await client.connect())["type"] == "websocket.accept"
            assert (await client.receive())["text"] == "The inbox of anna"
            await run(request)
            codes.append((await client.receive())["code"])
            await client.leave()

        codes: list[int] = []
        request = RequestFactory().post("/")
        request.session = import_module("django.contrib.sessions.backends.cache").SessionStore()
        request.user = get_user_model().objects.create_user("anna")
        login(request, request.user)
        request.session.save()
        async_to_sync(visit)()
        [self.code] = codes

    @pytest.mark.django_db(transaction=True)
    def test_a_view(self) -> None:
        self.visit(sync_to_async(logged_in.leave_everywhere))
        assert self.code == 4401

    @pytest.mark.django_db(transaction=True)
    async def test_a_permission_that_is_taken_away(self) -> None:
        anna = await get_user_model().objects.acreate(username="anna", is_superuser=True)
        request = RequestFactory().post("/")
        request.session = import_module("django.contrib.sessions.backends.cache").SessionStore()
        await alogin(request, anna)
        await request.session.asave()
        cookie = (b"cookie", f"sessionid={request.session.session_key}".encode())
        client = Client(AuthMiddlewareStack(logged_in.Announcements.as_asgi()), headers=[cookie])
        await client.connect()
        await client.send("tea")
        assert (await client.receive())["text"] == "Announced: tea"
        await get_user_model().objects.aupdate(is_superuser=False)
        await client.send("more tea")
        assert (await client.receive())["code"] == 4403
        await client.leave()

    @pytest.mark.django_db(transaction=True)
    def test_one_session(self) -> None:
        async def take_over(request: Any) -> None:
            await logged_in.take_over(request.user, "another session")
            await logged_in.take_over(request.user, request.session.session_key)

        self.visit(take_over)
        assert self.code == 4000

    @pytest.mark.django_db(transaction=True)
    def test_many_users(self) -> None:
        def suspend(request: Any) -> None:
            logged_in.suspend(["anna", "ben"])

        self.visit(sync_to_async(suspend))
        assert self.code == 4401
        assert not get_user_model().objects.get().is_active


@pytest.fixture
def logins(transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    from docs.snippets import logins

    # No count of attempts begins anew during a test.
    monkeypatch.setattr(logins, "time", lambda: 1e9)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a quick one
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    get_user_model().objects.create_user("kiosk", password="sesame")
    cache.clear()
    return logins


class TestLogins:
    @staticmethod
    def client(module: ModuleType, address: str, key: str | None = None) -> Client:
        headers = [(b"origin", b"http://testserver")]
        if key:
            headers.append((b"cookie", f"sessionid={key}".encode()))
        return Client(module.application, path=address, headers=headers)

    async def greeting(self, module: ModuleType, key: str | None) -> str:
        client = self.client(module, "/greeting/", key)
        await client.connect()
        text = str((await client.receive())["text"])
        await client.leave()
        return text

    def test_logging_in_with_the_handshake(self, logins: ModuleType) -> None:
        async_to_sync(self.enter_by_a_code)(logins)

    async def enter_by_a_code(self, logins: ModuleType) -> None:
        client = self.client(logins, "/kiosk/sesame/")
        [cookie] = [value for name, value in (await client.connect())["headers"] if name != b"vary"]
        await client.leave()
        key = cookie.decode().partition("=")[2].partition(";")[0]
        assert await self.greeting(logins, key) == "Hello, kiosk"
        assert await self.greeting(logins, None) == "Hello, stranger"
        refused = self.client(logins, "/kiosk/open/")
        assert (await refused.connect())["type"] == "websocket.close"
        await refused.leave()

    async def answer(self, module: ModuleType, asked: dict[str, str]) -> Any:
        client = self.client(module, "/account/")
        await client.connect()
        await client.send(json.dumps(asked))
        answer = await client.receive_json()
        await client.leave()
        return answer

    def test_a_token_and_a_logout(self, logins: ModuleType, rf: RequestFactory) -> None:
        async_to_sync(self.log_in_and_out)(logins, rf)

    async def log_in_and_out(self, logins: ModuleType, rf: RequestFactory) -> None:
        asked = {"do": "log in", "name": "kiosk", "password": "open"}
        assert await self.answer(logins, asked) == {"token": None}
        token = (await self.answer(logins, {**asked, "password": "sesame"}))["token"]
        exchange: Any = sync_to_async(SessionMiddleware(logins.exchange))
        response = await exchange(rf.post("/exchange/", {"token": token}))
        assert json.loads(response.content) == {"name": "kiosk"}
        key = response.cookies["sessionid"].value
        assert await self.greeting(logins, key) == "Hello, kiosk"
        again = await exchange(rf.post("/exchange/", {"token": token}))
        assert again.status_code == 400
        assert "was used" in json.loads(again.content)["problem"]
        # Failures count, whoever connects; then the right password does not help either.
        for _ in range(logins.ATTEMPTS):
            assert await self.answer(logins, {**asked, "name": "nobody"}) == {"token": None}
        assert (await self.answer(logins, {**asked, "password": "sesame"})) == {"token": None}
        leaving = self.client(logins, "/account/", key)
        await leaving.connect()
        await leaving.send(json.dumps({"do": "log out"}))
        assert (await leaving.receive())["type"] == "websocket.close"
        await leaving.leave()
        assert await self.greeting(logins, key) == "Hello, stranger"

    def test_an_address_over_its_limit_locks_no_account(self, logins: ModuleType) -> None:
        stranger = {"client": ["192.0.2.1", 1]}
        for name in ["nobody"] * logins.ATTEMPTS + ["kiosk"] * (logins.ATTEMPTS + 1):
            assert logins.check(stranger, name, "open") is None
        assert logins.check(stranger, "kiosk", "sesame") is None
        assert logins.check({"client": ["192.0.2.2", 1]}, "kiosk", "sesame")

    @pytest.mark.parametrize(
        ("name", "password"), [("\ud800", "open"), ("kiosk", "\ud800"), ("kio\0sk", "open")]
    )
    def test_text_that_no_database_takes(
        self, logins: ModuleType, name: str, password: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(logins, "authenticate")  # so a call would fail
        asked = {"do": "log in", "name": name, "password": password}
        assert async_to_sync(self.answer)(logins, asked) == {"token": None}

    def test_a_count_that_the_cache_has_dropped(
        self, logins: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def authenticate_without_counts(**given: Any) -> Any:
            cache.clear()
            return authenticate(**given)

        monkeypatch.setattr(logins, "authenticate", authenticate_without_counts)
        assert logins.check({"client": ["192.0.2.1", 1]}, "kiosk", "sesame")


class TestPages:
    def test_every_snippet_is_run_here(self) -> None:
        imported = {
            alias.name if node.module == "docs.snippets" else str(node.module).rpartition(".")[2]
            for here in Path(__file__).parent.glob("test_docs*.py")
            for node in ast.walk(ast.parse(here.read_text()))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("docs.snippets")
            for alias in node.names
        }
        assert imported == {snippet.stem for snippet in (DOCS / "snippets").glob("*.py")}

    def test_every_part_of_a_snippet_is_shown(self) -> None:
        text = "".join(page.read_text() for page in PAGES)
        shown = re.findall(r"snippets/(\w+)\.py\n:pyobject: (\w+)\n", text)
        written = [
            (snippet.stem, node.name)
            for snippet in (DOCS / "snippets").glob("*.py")
            for node in ast.parse(snippet.read_text()).body
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and f"{snippet.stem}.{node.name}" not in MARKED
        ]
        assert sorted(shown) == sorted(written)

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
    def test_code_in_a_page_is_valid_python(self, page: Path) -> None:
        for block in re.findall(
            r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL
        ):
            ast.parse(block)

    def test_the_table_of_aliases_is_true(self) -> None:
        text = (DOCS / "reference" / "packages.md").read_text()
        rows = re.findall(r"(?m)^\| `(channels\.[\w.]+)` \| `(channels_[\w.]+)`", text)
        # These two are not aliases: one is the package's own, one has two owners.
        owned = {"channels.apps", "channels.layers"}
        assert {alias for alias, _ in rows} | owned == public_modules(channels)
        for alias, owner in rows:
            if alias not in owned:
                assert import_module(alias) is import_module(owner)

    @pytest.mark.parametrize(
        "package",
        [
            channels_auth,
            channels_core,
            channels_http,
            channels_layers_memory,
            channels_layers_redis,
            channels_testing,
        ],
    )
    def test_the_reference_has_every_public_module(self, package: ModuleType) -> None:
        name = package.__name__.replace("_", "-")
        text = (DOCS / "reference" / f"{name}.md").read_text()
        listed = re.findall(r"automodule:: ([\w.]+)", text)
        assert sorted(listed) == sorted(public_modules(package))


def public_modules(package: ModuleType) -> set[str]:
    """Return the names of a package's modules, except those without content."""
    found = walk_packages(package.__path__, f"{package.__name__}.")
    return {m.name for m in found if not m.ispkg and "._" not in m.name}


def layer() -> Any:
    return get_channel_layer()
