import asyncio
import io
import json
import logging
from typing import IO, Any

import pytest
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path, re_path

from channels_core.applications import as_asgi3
from channels_core.routing import ProtocolTypeRouter, URLRouter
from channels_core.typing import Receive, Scope, Send
from channels_http.handlers import AsgiHandler, AsgiRequest
from clients import SECONDS, Client
from site_urls import Counting, Held, ended

HOST = (b"host", b"testserver")


# Any: a type checker expects views in routes.
async def consumer(scope: Scope, receive: Receive, send: Send) -> Any:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"from a consumer"})


HANDLER: Any = AsgiHandler  # the class, as programs of Channels 2 have it in routes
INNER = URLRouter([path("live/", consumer), re_path(r"", AsgiHandler())])
SITE = ProtocolTypeRouter(
    {"http": URLRouter([path("live/", consumer), path("inner/", INNER), re_path(r"", HANDLER)])}
)


def client(address: str, method: str = "GET", application: Any = SITE, **scope: Any) -> Client:
    scope["headers"] = [HOST, *scope.get("headers", ())]
    return Client(application, method, path=address, **scope)


async def fetch(
    address: str, *body: bytes, **options: Any
) -> tuple[int, dict[bytes, bytes], bytes]:
    one = client(address, **options)
    one.request(*body)
    return await one.whole()


class TestSite:
    """Django's whole site, behind a route that takes what others have left."""

    async def test_a_consumer_before_it(self) -> None:
        assert (await fetch("/live/"))[2] == b"from a consumer"

    async def test_a_view(self) -> None:
        status, headers, body = await fetch("/plain/", method="POST")
        assert (status, body) == (200, b"POST /plain/ /plain/")
        assert headers[b"Content-Type"] == b"text/html; charset=utf-8"

    async def test_an_async_view(self) -> None:
        assert (await fetch("/in_loop/"))[2] == b"in MainThread"

    async def test_no_such_view(self) -> None:
        status, _, body = await fetch("/nowhere/")
        assert status == 404
        assert b"Not Found" in body

    async def test_a_view_that_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.CRITICAL, "django.request"):
            status, _, body = await fetch("/fails/")
        assert status == 500
        assert b"Server Error" in body

    async def test_the_page_about_a_failure_under_debug(self) -> None:
        with override_settings(DEBUG=True):
            status, _, body = await fetch("/fails/")
        assert status == 500
        assert b"this view fails" in body

    async def test_sessions(self) -> None:
        _, headers, body = await fetch("/visits/")
        assert json.loads(body) == {"visits": 1}
        cookie = headers[b"Set-Cookie"].partition(b";")[0]
        _, _, body = await fetch("/visits/", headers=[(b"cookie", cookie)])
        assert json.loads(body) == {"visits": 2}

    async def test_files(self) -> None:
        one = client("/file/")
        one.request()
        await one.end()
        start, *parts = one.sent
        assert b"".join(part.get("body", b"") for part in parts) == b"of a file " * 100
        headers = dict(start["headers"])
        assert headers[b"Content-Type"] == b"text/plain"
        assert headers[b"Content-Length"] == b"1000"

    async def test_streams(self) -> None:
        one = client("/stream/")
        one.request()
        await one.end()
        _, *parts = one.sent
        assert [part.get("body") for part in parts] == [b"part 0\n", b"part 1\n", b"part 2\n", None]

    async def test_streams_of_synchronous_code_part_by_part(self) -> None:
        one = client("/endless/")
        one.request()
        _, *parts = await one.messages(4)
        assert [part["body"] for part in parts] == [b"0\n", b"1\n", b"2\n"]
        one.leave()
        await one.end()
        await asyncio.wait_for(asyncio.to_thread(ended.wait), SECONDS)

    async def test_uploads(self) -> None:
        parts = [
            b'--limit\r\nContent-Disposition: form-data; name="title"\r\n\r\na cat\r\n',
            b'--limit\r\nContent-Disposition: form-data; name="photo"; filename="cat.png"\r\n\r\n',
            *[b"meow" * 1024] * 1024,
            b"\r\n--limit--\r\n",
        ]
        length = str(sum(map(len, parts))).encode()
        kind = b"multipart/form-data; boundary=limit"
        headers = [(b"content-type", kind), (b"content-length", length)]
        _, _, body = await fetch("/upload/", *parts, method="POST", headers=headers)
        assert json.loads(body) == {"files": {"photo": 4 * 1024**2}, "fields": {"title": "a cat"}}

    async def test_a_query_that_cannot_be_read(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.CRITICAL, "django.request"):
            status, _, _ = await fetch("/plain/", query_string=b"\xff")
        assert status == 400

    @pytest.mark.parametrize("address", ["/shop/plain/", "/shop/"])
    async def test_below_a_root_path(self, address: str) -> None:
        status, _, body = await fetch(address, root_path="/shop")
        if address == "/shop/plain/":
            assert body == b"GET /plain/ /shop/plain/"
        else:
            assert status == 404

    async def test_inside_another_router_it_routes_the_whole_path(self) -> None:
        assert (await fetch("/inner/live/"))[2] == b"from a consumer"
        assert (await fetch("/inner/plain/"))[0] == 404

    async def test_middleware_is_loaded_once(self) -> None:
        await fetch("/plain/")
        loaded = Counting.loaded
        _, headers, _ = await fetch("/plain/")
        calls = int(headers[b"X-Calls"])
        _, headers, _ = await fetch("/visits/")
        assert int(headers[b"X-Calls"]) == calls + 1
        assert Counting.loaded == loaded

    async def test_and_again_when_a_setting_has_changed(self) -> None:
        with override_settings(MIDDLEWARE=[]):
            _, headers, _ = await fetch("/plain/")
        assert b"X-Calls" not in headers
        _, headers, _ = await fetch("/plain/")
        assert headers[b"X-Calls"] == b"1"


class TestLeaving:
    async def test_before_the_body_is_there(self) -> None:
        one = client("/plain/")
        one.request(b"half", more=True)
        one.leave()
        await one.end()
        assert one.sent == []

    async def test_while_an_async_view_waits(self) -> None:
        Held.entered, Held.cancelled = asyncio.Event(), asyncio.Event()
        one = client("/held/")
        one.request()
        await asyncio.wait_for(Held.entered.wait(), SECONDS)
        one.leave()
        await one.end()
        assert Held.cancelled.is_set()
        assert one.sent == []


class TestCalls:
    """The generations of ASGI."""

    async def test_in_two_steps(self) -> None:
        def application(scope: Scope) -> Any:
            return AsgiHandler(scope)

        assert (await fetch("/plain/", application=application))[0] == 200
        assert (await fetch("/plain/", application=AsgiHandler))[0] == 200

    async def test_in_one(self) -> None:
        handler = AsgiHandler()
        assert handler.scope is None
        assert (await fetch("/plain/", application=handler))[0] == 200

    async def test_as_consumers_are_given_to_routes(self) -> None:
        assert (await fetch("/plain/", application=AsgiHandler.as_asgi()))[0] == 200

    async def test_in_one_with_names_as_daphne_calls(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await AsgiHandler()(scope=scope, receive=receive, send=send)

        assert (await fetch("/plain/", application=application))[0] == 200

    async def test_where_a_tool_that_watches_requests_replaced_the_call(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As Sentry's does for channels 3 and newer: with a method that takes what ASGI 3 has."""
        original = AsgiHandler.__call__

        async def watched(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["path"])
            await original(self, scope, receive, send)

        seen: list[str] = []
        monkeypatch.setattr(AsgiHandler, "__call__", watched)
        assert (await fetch("/plain/", application=AsgiHandler()))[0] == 200
        assert (await fetch("/plain/", application=AsgiHandler))[0] == 200
        assert seen == ["/plain/", "/plain/"]

    async def test_many_at_once(self) -> None:
        handler = AsgiHandler()
        answers = await asyncio.gather(
            *(fetch(f"/{name}/", application=handler) for name in ("plain", "in_loop") * 5)
        )
        assert [body[:3] for _, _, body in answers] == [b"GET", b"in "] * 5

    @pytest.mark.parametrize("application", [AsgiHandler, AsgiHandler()])
    async def test_other_connections(self, application: Any) -> None:
        one = client("/plain/", application=application, type="websocket")
        with pytest.raises(ValueError, match="'http' for Django's views, got 'websocket'"):
            await one.end()


class TestSubclasses:
    """What programs written for 2.1 override."""

    async def test_handle(self) -> None:
        class Handler(AsgiHandler):
            async def handle(self, body: IO[bytes]) -> None:
                seen.append(body.read())
                body.seek(0)
                await super().handle(body)

        seen: list[bytes] = []
        status, _, _ = await fetch("/upload/", b"a", b"b", method="POST", application=Handler)
        assert (status, seen) == (200, [b"ab"])

    async def test_call(self) -> None:
        class Handler(AsgiHandler):
            async def __call__(self, receive: Receive, send: Send) -> None:  # type: ignore[override] # as in 2.1
                seen.append(self.scope["path"])
                await super().__call__(receive, send)

        seen: list[str] = []
        assert (await fetch("/plain/", application=Handler))[0] == 200
        assert seen == ["/plain/"]

    async def test_load_middleware(self) -> None:
        class Handler(AsgiHandler):
            def load_middleware(self) -> None:  # type: ignore[override] # as in 2.1
                loaded.append(self.scope)
                super().load_middleware()

        loaded: list[Any] = []
        one = client("/plain/", application=Handler)
        one.request()
        assert (await one.whole())[0] == 200
        assert loaded == [one.scope]

    async def test_request_class(self) -> None:
        class Request(AsgiRequest):
            def __init__(self, scope: Scope, body: Any) -> None:
                super().__init__({**scope, "method": "PUT"}, body)

        class Handler(AsgiHandler):
            request_class = Request

        assert (await fetch("/plain/", application=Handler))[2].startswith(b"PUT")

    async def test_the_middleware_is_that_of_the_class(self) -> None:
        class Handler(AsgiHandler):
            pass

        _, headers, _ = await fetch("/plain/", application=Handler)
        assert headers[b"X-Calls"] == b"1"


class TestChunks:
    async def test_large_responses_are_cut(self) -> None:
        one = client("/large/")
        one.request()
        await one.end()
        _, first, second = one.sent
        assert len(first["body"]) == len(second["body"]) == AsgiHandler.chunk_size == 512 * 1024
        assert first["more_body"]
        assert not second["more_body"]

    def test_as_a_function(self) -> None:
        class Handler(AsgiHandler):
            chunk_size = 2

        assert list(Handler.chunk_bytes(b"abc")) == [(b"ab", False), (b"c", True)]
        messages = list(Handler.encode_response(HttpResponse(b"abc", status=201)))
        assert [message["type"] for message in messages] == [
            "http.response.start",
            *["http.response.body"] * 2,
        ]
        assert messages[0]["status"] == 201
        assert messages[1]["body"] == b"ab"


class TestRequest:
    SCOPE: Scope = {
        "type": "http",
        "method": "post",
        "path": "/a/",
        "query_string": b"page=2",
        "headers": [
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"cookie", b"theme=dark"),
        ],
    }

    @pytest.mark.parametrize("body", [b"title=cat", io.BytesIO(b"title=cat")])
    def test_it_is_djangos(self, body: Any) -> None:
        request = AsgiRequest(self.SCOPE, body)
        assert request.method == "POST"
        assert request.body_receive_timeout == 60
        assert request.GET.dict() == {"page": "2"}
        assert request.POST.dict() == {"title": "cat"}
        assert request.FILES == {}
        assert request.COOKIES == {"theme": "dark"}

    def test_post_can_be_set(self) -> None:
        request: Any = AsgiRequest(self.SCOPE, b"")
        request.POST = {"title": "dog"}
        assert request.POST == {"title": "dog"}


def test_a_route_takes_the_class() -> None:
    assert callable(as_asgi3(AsgiHandler))
