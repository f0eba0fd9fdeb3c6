import asyncio
import gc
import json
import logging
import weakref
from functools import wraps
from types import ModuleType
from typing import Any

import pytest
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    PermissionDenied,
    SuspiciousOperation,
)
from django.http import Http404

from channels_core.consumer import AsyncConsumer
from channels_core.exceptions import (
    ConnectionStateError,
    RequestAborted,
    RouteNotFound,
    StopConsumer,
)
from channels_core.routing import ProtocolTypeRouter
from channels_core.typing import Message
from channels_http.generic.http import AsyncHttpConsumer
from clients import Client, LocalLayer, ask, recording, until


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
        assert b"/a/" in client.sent[1]["body"]
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

    async def test_to_stop_before_a_response_is_500(self, caplog: pytest.LogCaptureFixture) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise StopConsumer

        assert (await ask(recording(handle)))[0] == 500
        assert "Program stopped without a response to GET" in caplog.text

    async def test_what_somebody_else_has_cancelled_is_an_error(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            task = asyncio.ensure_future(asyncio.Event().wait())
            task.cancel()
            await task

        client = Client(recording(handle))
        client.request()
        with pytest.raises(RuntimeError, match="Program awaited something that was cancelled"):
            await client.end()
        assert client.sent[0]["status"] == 500

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
            (DisallowedHost("another host"), 400, b"Bad Request"),
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

        client = Client(recording(handle), bare=True)
        client.request()
        with pytest.raises(RouteNotFound):
            await client.end()
        assert not client.sent

    @pytest.mark.parametrize("body", [b"", b"a"])
    @pytest.mark.parametrize("waits", [False, True])
    async def test_to_return_without_a_response_is_500(
        self, waits: bool, body: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def handle(self: Any, body: bytes) -> None:
            if waits:
                await asyncio.sleep(0)

        status, _, _ = await ask(recording(handle), body)
        assert status == 500
        [message] = caplog.messages
        assert "Program returned from handle without a response to GET '/a/'" in message


class TestWithoutTheOutermostRouter:
    """As tests drive a consumer: what fails comes out, and nothing is sent for it."""

    @pytest.mark.parametrize("error", [LookupError("a fault"), Http404("a refusal")])
    async def test_an_exception_comes_out(self, error: Exception) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise error

        client = Client(recording(handle), bare=True)
        client.request()
        with pytest.raises(type(error)) as raised:
            await client.end()
        assert raised.value is error
        assert not client.sent

    @pytest.mark.parametrize("waits", [False, True])
    @pytest.mark.parametrize("body", [b"", b"ab"])
    async def test_to_return_without_a_response_sends_none(
        self, waits: bool, body: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def handle(self: Any, body: bytes) -> None:
            if waits:
                await asyncio.sleep(0)

        client = Client(recording(handle), bare=True)
        client.request(body)
        await client.end()
        assert not client.sent
        [message] = caplog.messages
        assert "Program returned from handle without a response" in message

    async def test_our_own_limits_are_answered_all_the_same(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise NotImplementedError

        program = recording(handle, max_body_size=1)
        assert (await ask(program, b"ab", bare=True))[0] == 413


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

    async def test_a_server_may_say_so_when_the_headers_are_sent(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers()
            client.fault = None
            await self.send_body(b"")

        program = recording(handle)
        client = Client(program)
        client.fault = BrokenPipeError()
        client.request()
        await client.end()
        assert (client.sent, program.ends) == ([], ["end"])

    async def test_nothing_is_sent_to_a_client_that_has_left(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await self.send_response(200, b"a")

        program = recording(handle)
        client = Client(program)
        client.request()
        await until(lambda: client.asked == 2, client.changed)
        client.leave()
        await client.end()
        assert (client.sent, program.ends) == ([], ["end"])

    async def test_no_body_follows_if_it_leaves_while_the_headers_are_sent(self) -> None:
        go = asyncio.Event()

        class Slow(Client):
            async def _send(self, message: Message) -> None:
                await super()._send(message)
                await go.wait()

        async def handle(self: Any, body: bytes) -> None:
            sending = asyncio.ensure_future(self.send_response(200, b"a"))
            with pytest.raises(RequestAborted):
                async for _ in self.stream_body():
                    pass
            go.set()
            await sending

        program = recording(handle, buffers_body=False)
        client = Slow(program, "POST")
        client.request(b"a", more=True)
        await client.messages(1)
        client.leave()
        await client.end()
        assert [message["type"] for message in client.sent] == ["http.response.start"]

    async def test_a_response_goes_through_an_overridden_send(self) -> None:
        class Overridden(AsyncHttpConsumer):
            async def handle(self, body: bytes) -> None:
                await self.send_response(200, b"a")

            async def send(self, message: Message) -> None:
                sent.append(message["type"])
                await super().send(message)

        sent: list[str] = []
        client = Client(Overridden)
        client.request()
        assert (await client.whole())[2] == b"a"
        assert sent == ["http.response.start", "http.response.body"]

    @pytest.mark.parametrize("waits", [False, True])
    async def test_a_time_out_of_the_programs_own_is_not_taken_for_it(self, waits: bool) -> None:
        async def handle(self: Any, body: bytes) -> None:
            if waits:
                await asyncio.sleep(0)
            raise TimeoutError("of a database")

        client = Client(recording(handle))
        client.request()
        with pytest.raises(TimeoutError, match="of a database"):
            await client.end()
        assert client.sent[0]["status"] == 500

    async def test_what_follows_a_whole_response_goes_on(self) -> None:
        """Servers say the same when a response is complete, whoever has left."""
        go = asyncio.Event()
        done: list[str] = []

        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, b"a")
            await go.wait()
            await asyncio.sleep(0)
            done.append("done")

        program = recording(handle)
        client = Client(program)
        client.request()
        await client.messages(2)
        client.leave()
        await until(lambda: client.asked == 2, client.changed)
        await asyncio.sleep(0)
        go.set()
        await client.end()
        assert (done, program.ends) == (["done"], ["end"])

    @pytest.mark.parametrize("error", [None, LookupError("the program's own")])
    async def test_a_handler_may_keep_the_cancellation_to_itself(
        self, error: Exception | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def handle(self: Any, body: bytes) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if error is not None:
                    raise error from None

        program = recording(handle)
        client = Client(program)
        client.request()
        await until(lambda: client.asked == 2, client.changed)
        client.leave()
        if error is None:
            await client.end()
        else:
            with pytest.raises(LookupError):
                await client.end()
        # Nobody is there to be answered, and nothing is wrong but the error itself.
        assert (client.sent, program.ends) == ([], ["end"])
        assert len(caplog.records) == (error is not None)

    async def test_it_ends_a_wait_for_the_layer(self, layer: LocalLayer) -> None:
        async def group_add(group: str, channel: str) -> None:
            layer.groups[group] = {channel}
            await asyncio.Event().wait()

        layer.group_add = group_add  # type: ignore[method-assign] # one that hangs
        client = Client(LongPoll)
        client.request()
        await until(lambda: client.asked == 2, client.changed)
        client.leave()
        await client.end()
        assert not client.sent
        assert layer.groups == {"chat": set()}

    async def test_a_server_may_cancel_it_instead(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)

        program = recording(handle)
        client = Client(program)
        client.request()
        await until(lambda: client.asked == 2, client.changed)
        client.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.task
        assert (client.sent, program.ends) == ([], ["end"])

    async def test_a_stream_that_never_waits_gives_way(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers()
            while True:
                await self.send_body(b"x", more_body=True)

        program = recording(handle)
        client = Client(program)
        client.request()
        client.leave()
        await client.end()
        assert program.ends == ["end"]


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
        assert (status, headers) == (200, {b"Content-Type": b"application/json"})
        assert json.loads(body) == {"type": "chat.message", "text": "hi"}
        assert layer.groups == {"chat": set()}

    async def test_a_handler_of_a_message_is_cancelled_too(self, layer: LocalLayer) -> None:
        cancelled = asyncio.Event()

        class Stream(LongPoll):
            async def chat_message(self, event: Any) -> None:
                await self.send_body(b"first", more_body=True)
                try:
                    await asyncio.Event().wait()
                finally:
                    cancelled.set()

        client = Client(Stream)
        client.request()
        await client.messages(2)
        await layer.group_send("chat", {"type": "chat.message"})
        await client.messages(3)
        client.leave()
        await client.end()
        assert cancelled.is_set()
        assert layer.groups == {"chat": set()}

    async def test_a_message_that_comes_as_the_client_leaves(self, layer: LocalLayer) -> None:
        class Stream(LongPoll):
            async def chat_message(self, event: Any) -> None:
                await asyncio.Event().wait()

        client = Client(Stream)
        client.request()
        await client.messages(2)
        await layer.group_send("chat", {"type": "chat.message"})
        client.leave()
        await client.end()

    async def test_the_rest_of_a_body_is_not_handled_again(self, layer: LocalLayer) -> None:
        class Hasty(LongPoll, buffers_body=False):
            handled: list[bytes] = []

            async def handle(self, body: bytes) -> None:
                self.handled.append(body)
                await super().handle(body)

            async def chat_message(self, event: Any) -> None:
                with pytest.raises(ConnectionStateError, match="not kept after handle"):
                    await anext(self.stream_body())
                await self.send_body(b"answered")

        client = Client(Hasty, "POST")
        client.request(b"a", b"b", b"c")
        await client.messages(2)
        await until(lambda: client.asked == 4, client.changed)
        await layer.group_send("chat", {"type": "chat.message"})
        assert (await client.whole())[2] == b"answered"
        assert Hasty.handled == [b""]

    async def test_a_last_word_need_not_be_the_last(self, layer: LocalLayer) -> None:
        class Patient(LongPoll, response_timeout=0):
            async def http_response_timeout(self, message: Any) -> None:
                await self.send_body(b"still here,", more_body=True)

        client = Client(Patient)
        client.request()
        await client.messages(3)
        await layer.group_send("chat", {"type": "chat.message"})
        assert (await client.whole())[2].startswith(b"still here,")

    async def test_a_client_that_leaves_ends_it(self, layer: LocalLayer) -> None:
        client = Client(LongPoll)
        client.request()
        await client.messages(2)
        client.leave()
        await client.end()
        assert layer.groups == {"chat": set()}

    async def test_a_time_ends_it(self, layer: LocalLayer) -> None:
        class Impatient(LongPoll, response_timeout=0):
            pass

        assert await ask(Impatient) == (200, {b"Content-Type": b"application/json"}, b"")

    async def test_a_program_may_have_a_last_word(self, layer: LocalLayer) -> None:
        class Polite(LongPoll, response_timeout=0):
            async def http_response_timeout(self, message: Any) -> None:
                await self.send_body(b"nothing new")

        assert (await ask(Polite))[2] == b"nothing new"

    async def test_a_message_that_comes_in_time_is_answered(self, layer: LocalLayer) -> None:
        class Patient(LongPoll, response_timeout=1000):
            pass

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
            # Without a `handle` of its own, `get` answers HTTP.
            handle = AsyncHttpConsumer.handle

            async def get(self, body: bytes) -> None:
                await LongPoll.handle(self, body)

        client = Client(Careless)
        client.request()
        await client.messages(2)
        await layer.group_send("chat", {"type": kind})
        await layer.group_send("chat", {"type": "chat.message"})
        assert (await client.whole())[0] == 200


class TestPrograms:
    """What programs for the existing Channels do with these classes."""

    async def test_messages_may_be_sent_as_they_are(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send({"type": "http.response.start", "status": 200, "headers": []})
            await self.send({"type": "http.response.body", "body": b"a", "more_body": True})
            await self.send({"type": "http.response.body", "body": b"b"})

        assert await ask(recording(handle)) == (200, {}, b"ab")

    async def test_a_program_may_look_at_all_that_is_sent(self) -> None:
        seen: list[str] = []

        async def send(self: Any, message: Any) -> None:
            seen.append(message["type"])
            await AsyncHttpConsumer.send(self, message)

        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers()
            await self.send_body(b"a", more_body=True)
            await self.send_body(b"b")

        program = recording(handle, send=send)
        assert (await ask(program))[2] == b"ab"
        assert seen == ["http.response.start", "http.response.body", "http.response.body"]

    async def test_what_it_adds_to_the_headers_is_in_each_response(self) -> None:
        async def send_headers(self: Any, *, status: int = 200, headers: Any = None) -> None:
            fields = [*(headers or ()), (b"Access-Control-Allow-Origin", b"*")]
            await AsyncHttpConsumer.send_headers(self, status=status, headers=fields)

        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(201, b"a", headers=[(b"X-A", b"b")])

        answer = await ask(recording(handle, send_headers=send_headers))
        expected = {b"X-A": b"b", b"Access-Control-Allow-Origin": b"*"}
        assert answer == (201, expected, b"a")

    async def test_its_headers_may_take_further_keywords(self) -> None:
        async def send_headers(self: Any, *, stamp: bytes, headers: Any, **kwargs: Any) -> None:
            fields = [*headers, (b"Stamp", stamp)]
            await AsyncHttpConsumer.send_headers(self, headers=fields, **kwargs)

        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(201, b"a", stamp=b"b")

        answer = await ask(recording(handle, send_headers=send_headers))
        assert answer == (201, {b"Stamp": b"b"}, b"a")

    async def test_others_take_none(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            with pytest.raises(TypeError, match="stamp"):
                await self.send_response(201, b"a", stamp=b"b")
            await self.send_response(201, b"a")

        assert (await ask(recording(handle)))[0] == 201

    async def test_it_may_collect_the_body_itself(self) -> None:
        class Collecting(AsyncHttpConsumer):
            async def http_request(self, message: Any) -> None:
                self.body.append(message["body"])
                if not message.get("more_body"):
                    await self.handle(b"|".join(self.body))
                    raise StopConsumer

            async def handle(self, body: bytes) -> None:
                await self.send_response(200, body)

        assert (await ask(Collecting, b"a", b"b"))[2] == b"a|b"

    async def test_messages_may_have_the_names_of_methods(self, layer: LocalLayer) -> None:
        class Named(LongPoll):
            async def delete(self, event: Any) -> None:
                await self.send_body(b"deleted")

        client = Client(Named)
        client.request()
        await client.messages(2)
        await layer.group_send("chat", {"type": "delete"})
        assert (await client.whole())[2] == b"deleted"

    @pytest.mark.parametrize("name", ["put", "get"])
    async def test_whatever_their_parameters_are(self, layer: LocalLayer, name: str) -> None:
        async def put(self: Any, body: Any) -> None:
            await self.send_body(body["type"].encode())

        @wraps(put)
        async def get(self: Any, *args: Any) -> None:
            await put(self, *args)

        methods = {"put": put, "get": get}
        # A class has no signature that Python could tell.
        client = Client(type("Named", (LongPoll,), {**methods, "options": dict}))
        client.request()
        await client.messages(2)
        await layer.group_send("chat", {"type": name})
        assert (await client.whole())[2] == name.encode()

    async def test_it_may_take_over_the_end(self) -> None:
        class Noting(AsyncHttpConsumer):
            ends: list[str] = []

            async def handle(self, body: bytes) -> None:
                await self.send_headers(flush=True)

            async def http_disconnect(self, message: Any) -> None:
                self.ends.append("http.disconnect")

            async def disconnect(self) -> None:
                self.ends.append("disconnect")

        client = Client(Noting)
        client.request()
        await client.messages(2)
        client.leave()
        await client.end()
        assert Noting.ends == ["http.disconnect", "disconnect"]


class Greeting(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        await self.send_response(200, b"hello")


class TestReplacedMethods:
    """Tests and tracers replace methods that a plain request would otherwise not pass."""

    @pytest.mark.parametrize("where", ["class", "base", "instance"])
    @pytest.mark.parametrize("name", ["dispatch", "http_request"])
    async def test_each_is_called(
        self, where: str, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Program(Greeting):
            pass

        consumer = Program()
        places: dict[str, Any] = {"class": Program, "base": AsyncHttpConsumer, "instance": consumer}
        original = getattr(places[where], name)

        async def replaced(*args: Any) -> None:
            calls.append(args[-1]["type"])
            await original(*args)

        calls: list[str] = []
        monkeypatch.setattr(places[where], name, replaced)
        assert await ask(consumer) == (200, {}, b"hello")
        assert calls == ["http.request"]

    async def test_the_dispatch_of_all_consumers_is_called(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = AsyncConsumer.dispatch

        async def replaced(self: Any, message: Any) -> None:
            calls.append(message["type"])
            await original(self, message)

        calls: list[str] = []
        monkeypatch.setattr(AsyncConsumer, "dispatch", replaced)
        assert await ask(Greeting) == (200, {}, b"hello")
        assert calls == ["http.request"]

    async def test_the_dispatch_of_a_base_that_stands_behind_is_called(self) -> None:
        class Counting(AsyncConsumer):
            async def dispatch(self, message: Any) -> None:
                calls.append(message["type"])
                await super().dispatch(message)

        class Program(Greeting, Counting):
            pass

        calls: list[str] = []
        assert await ask(Program) == (200, {}, b"hello")
        assert calls == ["http.request"]

    async def test_a_class_that_looks_up_its_attributes_itself_is_asked(self) -> None:
        class Program(Greeting):
            def __getattribute__(self, name: str) -> Any:
                asked.append(name)
                return super().__getattribute__(name)

        asked: list[str] = []
        assert await ask(Program) == (200, {}, b"hello")
        assert {"dispatch", "http_request", "handle"} <= set(asked)

    @pytest.mark.parametrize("name", ["send_headers", "send_body"])
    async def test_those_that_send_are_called(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = getattr(AsyncHttpConsumer, name)

        async def replaced(*args: Any, **kwargs: Any) -> None:
            calls.append(name)
            await original(*args, **kwargs)

        calls: list[str] = []
        monkeypatch.setattr(AsyncHttpConsumer, name, replaced)
        assert await ask(Greeting) == (200, {}, b"hello")
        assert calls == [name]


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
        assert await ask(self.Shelf, method="HEAD") == (200, {}, b"")

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


async def test_a_response_that_is_sent_at_once_needs_no_further_task() -> None:
    class Program(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_response(200, b"a")

    coroutines: list[Any] = []

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        coroutines.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    client = Client(Program)
    client.request()
    loop = asyncio.get_running_loop()
    loop.set_task_factory(make)
    try:
        await asyncio.wait([client.task])
    finally:
        loop.set_task_factory(None)
    assert await client.whole() == (200, {}, b"a")
    assert coroutines == []


@pytest.mark.parametrize("error", [None, StopConsumer, Http404])
@pytest.mark.parametrize("waits", [False, True])
async def test_a_request_that_has_ended_leaves_nothing_to_the_garbage_collector(
    waits: bool, error: type[Exception] | None, layer: LocalLayer
) -> None:
    seen: list[weakref.ref[AsyncHttpConsumer]] = []

    class Program(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            seen.append(weakref.ref(self))
            if waits:
                await asyncio.sleep(0)
            if error is not None:
                raise error
            await self.send_response(200, b"a")

    client = Client(Program)
    gc.disable()
    try:
        client.request()
        await client.end()
        del client
        await asyncio.sleep(0)  # The event loop has let go of what it ran last.
        [consumer] = seen
        assert consumer() is None
    finally:
        gc.enable()


class TestAStoppingServer:
    async def test_a_held_response_ends_as_if_it_had_been_open_long_enough(self) -> None:
        polls: list[Any] = []

        class Poll(AsyncHttpConsumer):
            async def handle(self, body: bytes) -> None:
                await self.send_headers(flush=True)
                polls.append(self)

            async def http_response_timeout(self, message: Any) -> None:
                await self.send_body(b"nothing")

        client = Client(Poll)
        client.request()
        # It reads again once `handle` has returned.
        await until(lambda: client.asked == 2, client.changed)
        polls[0]._channels_connection.drain()
        await client.end()
        assert client.sent[-1]["body"] == b"nothing"

    async def test_what_runs_ends_first(self) -> None:
        go = asyncio.Event()

        class Slow(AsyncHttpConsumer):
            async def handle(self, body: bytes) -> None:
                await self.send_headers()
                await self.send_body(b"part", more_body=True)
                self._channels_connection.drain()
                await go.wait()
                await self.send_body(b"more", more_body=True)

        client = Client(Slow)
        client.request()
        await until(lambda: len(client.sent) == 2, client.changed)
        go.set()
        await client.end()
        assert [message["body"] for message in client.sent[1:]] == [b"part", b"more", b""]

    async def test_what_is_cut_short_is_no_failure_of_its_own(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Endless(AsyncHttpConsumer):
            async def handle(self, body: bytes) -> None:
                await self.send_headers()
                await self.send_body(b"part", more_body=True)
                self._channels_connection.drain()
                asyncio.get_running_loop().call_soon(self._channels_connection.cut)
                await asyncio.Event().wait()

        client = Client(Endless)
        client.request()
        await client.end()
        assert [message["body"] for message in client.sent[1:]] == [b"part"]
        assert caplog.records == []
