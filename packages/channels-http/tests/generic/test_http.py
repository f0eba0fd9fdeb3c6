import asyncio
import json
import logging
from types import ModuleType
from typing import Any

import pytest
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404

from channels_core.exceptions import ConnectionStateError, RouteNotFound, StopConsumer
from channels_core.routing import ProtocolTypeRouter
from channels_http.generic.http import AsyncHttpConsumer
from clients import Client, LocalLayer, ask, recording


class TestWholeResponses:
    async def test_one(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(201, b"<" + body + b">", headers=[(b"X-A", b"b")])

        program = recording(handle)
        status, headers, body = await ask(program, b"ab", b"", b"c")
        assert (status, headers, body) == (201, {b"x-a": b"b", b"content-length": b"5"}, b"<abc>")
        assert program.ends == ["end"]

    @pytest.mark.parametrize("headers", [{"X-A": "ä"}, [("X-A", "ä")], {b"X-A": b"\xe4"}])
    async def test_headers_may_be_written_in_any_way(self, headers: Any) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, "ä", headers=headers)

        assert await ask(recording(handle)) == (
            200,
            {b"x-a": b"\xe4", b"content-length": b"2"},
            "ä".encode(),
        )

    async def test_a_length_that_is_given_stays(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, b"a", headers={"Content-Length": "1"})

        client = Client(recording(handle))
        client.request()
        await client.end()
        assert client.sent[0]["headers"] == [(b"content-length", b"1")]

    async def test_without_a_body_there_is_no_length(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(204, b"")

        assert await ask(recording(handle)) == (204, {}, b"")

    async def test_head_gets_what_get_would_without_the_body(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, b"abc")

        answer = await ask(recording(handle), method="HEAD")
        assert answer == (200, {b"content-length": b"3"}, b"")

    async def test_a_second_one_is_a_clear_error(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, b"a")
            await self.send_response(200, b"b")

        client = Client(recording(handle))
        client.request()
        with pytest.raises(ConnectionStateError, match="A second response"):
            await client.end()
        assert len(client.sent) == 2

    @pytest.mark.parametrize(
        ("send", "error", "words"),
        [
            (lambda self: self.send_body(b"a"), ConnectionStateError, "before send_headers"),
            (lambda self: self.send_response(200, {"a": 1}), TypeError, "bytes or str, not dict"),
            (lambda self: self.send_response(200, 1), AssertionError, "bytes or str, not int"),
            (lambda self: self.send_response("200", b""), ValueError, "HTTP status is an int"),
            (
                lambda self: self.send_headers(headers={"a": "b\r\nc: d"}),
                ValueError,
                "must not contain CR",
            ),
        ],
    )
    async def test_what_cannot_be_sent_is_a_clear_error(
        self, send: Any, error: type[Exception], words: str
    ) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await send(self)

        client = Client(recording(handle))
        client.request()
        with pytest.raises(error, match=words):
            await client.end()
        assert client.sent[0]["status"] == 500


class TestStreams:
    async def test_parts_go_out_as_they_come(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers(headers={"Content-Type": "text/plain"})
            await self.send_body(b"a", more_body=True)
            await self.send_body(bytearray(b"b"), more_body=True)
            await self.send_body(b"c")

        answer = await ask(recording(handle))
        assert answer == (200, {b"content-type": b"text/plain"}, b"abc")

    async def test_headers_go_out_at_once_when_asked(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers(status=202, flush=True)
            await self.send_body(b"")

        client = Client(recording(handle))
        client.request()
        await client.end()
        assert [message.get("more_body") for message in client.sent] == [None, True, False]

    async def test_a_part_after_the_end_is_a_clear_error(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers()
            await self.send_body(b"a")
            await self.send_body(b"b")

        client = Client(recording(handle))
        client.request()
        with pytest.raises(ConnectionStateError, match="after the response had ended"):
            await client.end()


class TestFailures:
    async def test_before_the_headers_the_client_gets_500(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise LookupError("the program's own")

        program = recording(handle)
        client = Client(program)
        client.request()
        with pytest.raises(LookupError):
            await client.end()
        assert client.sent[0]["status"] == 500
        assert client.sent[1]["body"] == b"Server Error (500)"
        assert program.ends == ["end"]
        assert [record.levelname for record in caplog.records] == ["ERROR"]

    async def test_with_debug_it_gets_djangos_page(self, settings: Any) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise LookupError("the program's own")

        settings.DEBUG = True
        settings.ROOT_URLCONF = ModuleType("urls", "")
        settings.ROOT_URLCONF.urlpatterns = []
        client = Client(recording(handle), headers=[(b"accept", b"text/html")])
        client.request()
        with pytest.raises(LookupError):
            await client.end()
        assert b"the program&#x27;s own" in client.sent[1]["body"]
        assert dict(client.sent[0]["headers"])[b"content-type"].startswith(b"text/html")

    async def test_that_page_may_fail_too(
        self, settings: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise LookupError("the program's own")

        settings.DEBUG = True
        settings.ROOT_URLCONF = "no_such_urls"
        client = Client(recording(handle))
        client.request()
        with pytest.raises(LookupError):
            await client.end()
        assert client.sent[1]["body"] == b"Server Error (500)"
        assert "could not be made" in caplog.text

    async def test_after_them_the_response_is_cut_short(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers()
            await self.send_body(b"a", more_body=True)
            raise LookupError("the program's own")

        client = Client(recording(handle))
        client.request()
        with pytest.raises(LookupError):
            await client.end()
        assert [message.get("more_body") for message in client.sent] == [None, True]

    async def test_after_it_an_error_is_only_told_to_the_log(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, b"a")
            raise LookupError("the program's own")

        client = Client(recording(handle))
        client.request()
        with pytest.raises(LookupError):
            await client.end()
        assert len(client.sent) == 2
        assert [record.levelname for record in caplog.records] == ["ERROR"]

    async def test_to_stop_in_a_response_cuts_it_short(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers()
            raise StopConsumer

        client = Client(recording(handle))
        client.request()
        with pytest.raises(ConnectionStateError, match="has ended in its response"):
            await client.end()

    @pytest.mark.parametrize(
        ("error", "status", "phrase"),
        [
            (Http404("no such room"), 404, b"Not Found"),
            (PermissionDenied("not yours"), 403, b"Forbidden"),
            (BadRequest("no number"), 400, b"Bad Request"),
            (SuspiciousOperation("a host that is none"), 400, b"Bad Request"),
        ],
    )
    async def test_django_s_own_are_answered_as_its_views_answer_them(
        self, error: Exception, status: int, phrase: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise error

        program = recording(handle)
        assert (await ask(program))[0::2] == (status, phrase)
        assert program.ends == ["end"]
        [record] = caplog.records
        assert (record.levelname, record.exc_info) == ("WARNING", None)
        assert str(error) in record.getMessage()

    async def test_too_late_they_cut_the_response_short(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers()
            raise Http404

        client = Client(recording(handle))
        client.request()
        with pytest.raises(Http404):
            await client.end()
        assert len(client.sent) == 1

    async def test_a_path_without_a_route_is_the_routers_to_answer(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise RouteNotFound("no such path")

        client = Client(recording(handle))
        client.request()
        with pytest.raises(RouteNotFound):
            await client.end()
        assert not client.sent

    async def test_to_return_without_a_response_is_500(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def handle(self: Any, body: bytes) -> None:
            pass

        status, _, _ = await ask(recording(handle))
        assert status == 500
        [message] = caplog.messages
        assert "Program.handle returned without a response to GET '/a/'" in message


class TestTheClientLeaves:
    async def test_a_handler_that_waits_is_cancelled(self) -> None:
        cancelled = []

        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers()
            await self.send_body(b"a", more_body=True)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        program = recording(handle)
        client = Client(program)
        client.request()
        await client.messages(2)
        client.leave()
        await client.end()
        assert cancelled == [True]
        assert program.ends == ["end"]
        assert len(client.sent) == 2

    async def test_a_handler_has_cleaned_up_before_disconnect_is_called(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers(flush=True)
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                self.ends.append("cleaned up")

        program = recording(handle)
        client = Client(program)
        client.request()
        await client.messages(2)
        client.leave()
        await client.end()
        assert program.ends == ["cleaned up", "end"]

    async def test_before_the_body_is_there_nothing_is_handled(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise NotImplementedError

        program = recording(handle)
        client = Client(program)
        client.request(b"a", more=True)
        client.leave()
        await client.end()
        assert client.sent == []
        assert program.ends == ["end"]

    async def test_even_before_the_request(self) -> None:
        client = Client(recording(None))
        client.leave()
        await client.end()
        assert client.sent == []

    async def test_after_the_response_it_is_not_news(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, b"")

        program = recording(handle)
        client = Client(program)
        client.request()
        client.leave()
        await client.end()
        assert program.ends == ["end"]

    async def test_a_server_may_say_so_when_something_is_sent(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            for part in (b"a", b"b"):
                await self.send_body(part, more_body=True) if self.started else None
            await self.send_response(200, b"")

        program = recording(handle, started=False)
        client = Client(program)
        client.fault = BrokenPipeError()
        client.request()
        await client.end()
        assert program.ends == ["end"]

    async def test_a_time_out_of_the_programs_own_is_not_taken_for_it(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise TimeoutError("of a database")

        client = Client(recording(handle))
        client.request()
        with pytest.raises(TimeoutError, match="of a database"):
            await client.end()
        assert client.sent[0]["status"] == 500


class LongPoll(AsyncHttpConsumer):
    """As documentation has shown it for years."""

    groups = ["chat"]

    async def handle(self, body: bytes) -> None:
        await self.send_headers(headers=[(b"Content-Type", b"application/json")])
        await self.send_body(b"", more_body=True)

    async def chat_message(self, event: Any) -> None:
        await self.send_body(json.dumps(event).encode("utf-8"))


class TestLongPolling:
    async def test_a_message_of_the_layer_answers(self, layer: LocalLayer) -> None:
        client = Client(LongPoll)
        client.request()
        await client.messages(2)
        assert len(layer.groups["chat"]) == 1
        await layer.group_send("chat", {"type": "chat.message", "text": "hi"})
        status, headers, body = await client.whole()
        assert (status, headers) == (200, {b"content-type": b"application/json"})
        assert json.loads(body) == {"type": "chat.message", "text": "hi"}
        assert layer.groups == {"chat": set()}

    async def test_a_client_that_leaves_ends_it(self, layer: LocalLayer) -> None:
        client = Client(LongPoll)
        client.request()
        await client.messages(2)
        client.leave()
        await client.end()
        assert layer.groups == {"chat": set()}

    async def test_a_time_ends_it(self, layer: LocalLayer) -> None:
        class Impatient(LongPoll):
            response_timeout = 0

        assert await ask(Impatient) == (200, {b"content-type": b"application/json"}, b"")

    async def test_a_program_may_have_a_last_word(self, layer: LocalLayer) -> None:
        class Polite(LongPoll):
            response_timeout = 0

            async def http_response_timeout(self, message: Any) -> None:
                await self.send_body(b"nothing new")

        assert (await ask(Polite))[2] == b"nothing new"

    async def test_a_message_that_comes_in_time_is_answered(self, layer: LocalLayer) -> None:
        class Patient(LongPoll):
            response_timeout = 1000

        client = Client(Patient)
        client.request()
        await client.messages(2)
        await layer.group_send("chat", {"type": "chat.message"})
        assert (await client.whole())[2] == b'{"type": "chat.message"}'

    @pytest.mark.parametrize("kind", ["get", "post", "handle", "send.response", "disconnect"])
    async def test_messages_reach_nothing_that_answers_http(
        self, layer: LocalLayer, kind: str
    ) -> None:
        class Careless(LongPoll):
            async def get(self, body: bytes) -> None:
                raise NotImplementedError

        client = Client(Careless)
        client.request()
        await client.messages(2)
        await layer.group_send("chat", {"type": kind})
        await layer.group_send("chat", {"type": "chat.message"})
        assert (await client.whole())[0] == 200


class TestMethods:
    class Shelf(AsyncHttpConsumer):
        async def get(self, body: bytes) -> None:
            await self.send_response(200, b"got")

        async def post(self, body: bytes) -> None:
            await self.send_response(201, body)

    async def test_each_has_its_method(self) -> None:
        assert (await ask(self.Shelf))[2] == b"got"
        assert (await ask(self.Shelf, b"new", method="POST"))[::2] == (201, b"new")

    async def test_head_is_get_without_the_body(self) -> None:
        assert await ask(self.Shelf, method="HEAD") == (200, {b"content-length": b"3"}, b"")

    @pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("DELETE", 405), ("X", 405)])
    async def test_others_are_told_what_there_is(self, method: str, status: int) -> None:
        answer = await ask(self.Shelf, method=method)
        assert answer[0] == status
        assert answer[1][b"allow"] == b"GET, HEAD, OPTIONS, POST"

    async def test_head_and_options_may_have_their_own(self) -> None:
        class Own(AsyncHttpConsumer):
            async def head(self, body: bytes) -> None:
                await self.send_response(204, b"")

            async def options(self, body: bytes) -> None:
                await self.send_response(204, b"")

        assert (await ask(Own, method="HEAD"))[0] == 204
        assert (await ask(Own, method="OPTIONS"))[0] == 204
        assert (await ask(Own))[1][b"allow"] == b"HEAD, OPTIONS"

    async def test_a_consumer_with_none_is_told_so(self) -> None:
        client = Client(AsyncHttpConsumer)
        client.request()
        with pytest.raises(NotImplementedError, match="must provide a handle"):
            await client.end()


async def test_it_stands_in_a_router(caplog: pytest.LogCaptureFixture) -> None:
    application = ProtocolTypeRouter({"http": TestMethods.Shelf.as_asgi()})
    with caplog.at_level(logging.DEBUG):
        assert (await ask(application))[2] == b"got"


async def test_options_of_the_constructor() -> None:
    class Greeting(AsyncHttpConsumer):
        def __init__(self, word: str) -> None:
            self.word = word

        async def handle(self, body: bytes) -> None:
            await self.send_response(200, self.word.encode())

    assert (await ask(Greeting.as_asgi(word="hello")))[2] == b"hello"
