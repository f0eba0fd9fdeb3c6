import asyncio
import datetime
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from channels_core.exceptions import ConnectionStateError
from channels_core.typing import Message, Receive, Scope, Send
from channels_http.generic._sse import connection as sse
from channels_http.generic.sse import AsyncSseConsumer
from clients import Client, LocalLayer, ask, made, turns
from event_streams import LINE, TEXT, parse

HEADERS = {
    b"content-type": b"text/event-stream; charset=utf-8",
    b"cache-control": b"no-store, no-transform",
    b"x-accel-buffering": b"no",
}


class Feed(AsyncSseConsumer):
    """Counts how often it was told of the end."""

    ends: list[str]

    async def disconnect(self) -> None:
        self.ends.append("end")


def feed(connect: Any = AsyncSseConsumer.connect, **members: Any) -> Any:
    """Return a consumer class with this `connect`, and a list of its own of ends."""
    return made(Feed, {"connect": connect, "ends": [], **members})


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


def body(client: Client) -> bytes:
    return b"".join(message["body"] for message in client.sent[1:])


def events(client: Client) -> list[dict[str, str]]:
    """Return what a page has got so far."""
    return list(parse(body(client)))


async def begin(program: Any, **scope: Any) -> Client:
    """Ask for a stream, and wait until it has begun."""
    client = Client(program, **scope)
    client.request()
    await client.messages(2)
    return client


class TestTheResponse:
    async def test_its_headers_go_out_at_once(self) -> None:
        async def connect(self: Any) -> None:
            await wait_for_ever()

        client = await begin(feed(connect))
        start, first = client.sent
        assert start["status"] == 200
        assert dict(start["headers"]) == HEADERS
        assert len(start["headers"]) == len(HEADERS)
        # Servers send the headers with the first part of the body, which is nothing to a page.
        assert first["body"]
        assert first["more_body"]
        assert events(client) == []
        client.leave()
        await client.end()

    async def test_head_gets_the_headers_alone(self) -> None:
        async def connect(self: Any) -> None:
            raise NotImplementedError

        program = feed(connect, keepalive=0)
        assert await ask(program, method="HEAD") == (200, HEADERS, b"")
        assert program.ends == ["end"]

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"])
    async def test_no_other_method_is_answered(self, method: str) -> None:
        async def connect(self: Any) -> None:
            raise NotImplementedError

        program = feed(connect, keepalive=0)
        status, headers, content = await ask(program, b"a=b", method=method)
        assert (status, content) == (405, b"")
        assert headers == {b"allow": b"GET, HEAD", b"content-length": b"0"}
        assert program.ends == ["end"]

    async def test_close_ends_it(self) -> None:
        async def connect(self: Any) -> None:
            await self.send_event("last")
            await self.close()

        program = feed(connect)
        client = await begin(program)
        # The client is there still.
        status, _, _ = await client.whole()
        assert status == 200
        assert events(client) == [{"data": "last"}]
        assert program.ends == ["end"]

    async def test_so_does_a_time(self) -> None:
        client = await begin(feed(response_timeout=0))
        status, _, _ = await client.whole()
        assert status == 200

    async def test_it_goes_on_when_connect_has_returned(self, layer: LocalLayer) -> None:
        program = feed(groups=["news"])
        client = await begin(program)
        await turns()
        assert not client.task.done()
        assert len(layer.groups["news"]) == 1
        client.leave()
        await client.end()
        assert len(client.sent) == 2
        assert layer.groups == {"news": set()}
        assert program.ends == ["end"]


#: What JSON can tell and a page reads back as it was.
JSON = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner | st.none(), max_size=3)
        | st.dictionaries(st.text(max_size=5), inner | st.none() | st.text(max_size=5), max_size=3)
    ),
    max_leaves=5,
)


class TestEvents:
    @given(
        st.lists(
            st.tuples(
                st.none() | TEXT | JSON,
                st.none() | LINE,
                st.none() | LINE | st.integers(),
                st.none() | st.integers(0, 10**9),
            ),
            max_size=4,
        )
    )
    def test_what_is_sent_is_what_a_browser_reads(self, sent: list[Any]) -> None:
        async def connect(self: Any) -> None:
            for data, name, identity, retry in sent:
                await self.send_event(data, event=name, id=identity, retry=retry)
            await self.close()

        async def stream() -> bytes:
            return (await ask(feed(connect)))[2]

        expected = []
        for data, name, identity, retry in sent:
            fields = {
                "data": data,
                "event": name,
                "id": None if identity is None else str(identity),
                "retry": None if retry is None else str(retry),
            }
            if isinstance(data, str):
                fields["data"] = data.replace("\r\n", "\n").replace("\r", "\n")
            expected.append({key: value for key, value in fields.items() if value is not None})
        read: list[dict[str, Any]] = list(parse(asyncio.run(stream())))
        expected = [fields for fields in expected if fields]
        assert len(read) == len(expected)
        for fields, wanted in zip(read, expected, strict=True):
            if not isinstance(wanted.get("data", ""), str):
                assert "\n" not in fields["data"]
                fields["data"] = json.loads(fields["data"])
        assert read == expected

    async def test_text_is_sent_as_it_is_and_the_rest_as_djangos_json(self) -> None:
        async def connect(self: Any) -> None:
            await self.send_event('"text"')
            await self.send_event(
                {
                    "lazy": gettext_lazy("text"),
                    "number": Decimal("1.50"),
                    "day": datetime.date(2026, 1, 2),
                    "id": uuid.UUID(int=7),
                }
            )
            await self.close()

        client = await begin(feed(connect))
        await client.end()
        text, values = events(client)
        assert text == {"data": '"text"'}
        assert json.loads(values["data"]) == {
            "lazy": "text",
            "number": "1.50",
            "day": "2026-01-02",
            "id": str(uuid.UUID(int=7)),
        }

    async def test_an_encoder_may_be_given(self) -> None:
        class Encoder(json.JSONEncoder):
            def default(self, o: object) -> str:
                return "other"

        async def connect(self: Any) -> None:
            await self.send_event([object()])
            await self.close()

        client = await begin(feed(connect, json_encoder=Encoder))
        await client.end()
        assert events(client) == [{"data": '["other"]'}]

    async def test_without_data_the_other_fields_are_sent_alone(self) -> None:
        async def connect(self: Any) -> None:
            await self.send_event(id=7)
            await self.send_event(retry=500)
            await self.send_event(None, id="", retry=0)
            await self.close()

        client = await begin(feed(connect))
        await client.end()
        assert [message["body"] for message in client.sent[2:5]] == [
            b"id: 7\n\n",
            b"retry: 500\n\n",
            b"id: \nretry: 0\n\n",
        ]

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"event": "a\nb"}, ValueError),
            ({"id": "a\rb"}, ValueError),
            ({"id": "a\0"}, ValueError),
            ({"retry": -1}, ValueError),
            ({"retry": "1"}, ValueError),
            ({"data": "\ud800"}, ValueError),
            ({"data": object()}, TypeError),
        ],
    )
    async def test_what_cannot_be_sent_is_not_sent_in_part(
        self, fields: dict[str, Any], error: type[Exception]
    ) -> None:
        async def connect(self: Any) -> None:
            with pytest.raises(error):
                await self.send_event(**{"data": "x", **fields})
            await self.send_event("next")
            await self.close()

        client = await begin(feed(connect))
        await client.end()
        assert events(client) == [{"data": "next"}]

    async def test_there_are_none_before_the_stream_or_after_it(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            with pytest.raises(ConnectionStateError, match="before send_headers"):
                await self.send_event("early")
            await AsyncSseConsumer.handle(self, body)
            await self.close()
            with pytest.raises(ConnectionStateError, match="after the response had ended"):
                await self.send_event("late")

        client = await begin(feed(handle=handle))
        await client.whole()
        assert events(client) == []


class TestLastEventId:
    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ([], ""),
            ([(b"host", b"a")], ""),
            ([(b"last-event-id", b"7")], "7"),
            ([(b"Last-Event-ID", b"7")], "7"),
            ([(b"last-event-id", b"")], ""),
            ([(b"host", b"a"), (b"last-event-id", b"1"), (b"last-event-id", b"2")], "1"),
            # Browsers send UTF-8 (HTML standard, 9.2.4), and others what they like.
            ([(b"last-event-id", "ä€".encode())], "ä€"),
            ([(b"last-event-id", b"\xff7")], "\ufffd7"),
        ],
    )
    async def test_it_is_what_the_browser_says(
        self, headers: list[tuple[bytes, bytes]], expected: str
    ) -> None:
        seen = []

        async def connect(self: Any) -> None:
            seen.append(self.last_event_id)
            await self.close()

        client = await begin(feed(connect), headers=headers)
        await client.end()
        assert seen == [expected]

    async def test_there_need_be_no_headers(self) -> None:
        consumer = AsyncSseConsumer()
        consumer.scope = {"type": "http"}
        assert consumer.last_event_id == ""


class TestMessagesOfTheLayer:
    async def test_they_wait_until_connect_has_returned(self, layer: LocalLayer) -> None:
        go = asyncio.Event()

        async def connect(self: Any) -> None:
            await self.send_event("what was missed")
            await go.wait()
            await self.send_event("the last of it")

        async def chat_message(self: Any, message: Any) -> None:
            await self.send_event(message["text"], id=message["id"])

        program = feed(connect, groups=["chat"], chat_message=chat_message)
        client = await begin(program)
        # In the group already: nothing is lost between the past and the present.
        await layer.group_send("chat", {"type": "chat.message", "text": "one", "id": 1})
        await layer.group_send("chat", {"type": "chat.message", "text": "two", "id": 2})
        await turns()
        assert events(client) == [{"data": "what was missed"}]
        go.set()
        await client.messages(6)
        assert events(client) == [
            {"data": "what was missed"},
            {"data": "the last of it"},
            {"data": "one", "id": "1"},
            {"data": "two", "id": "2"},
        ]
        client.leave()
        await client.end()
        assert layer.groups == {"chat": set()}
        assert program.ends == ["end"]

    async def test_one_may_close_the_stream(self, layer: LocalLayer) -> None:
        async def chat_over(self: Any, message: Any) -> None:
            await self.send_event(event="over")
            await self.close()

        program = feed(groups=["chat"], chat_over=chat_over)
        client = await begin(program)
        await layer.group_send("chat", {"type": "chat.over"})
        await layer.group_send("chat", {"type": "chat.over"})
        await client.whole()
        assert events(client) == [{"event": "over"}]
        assert layer.groups == {"chat": set()}
        assert program.ends == ["end"]

    @pytest.mark.parametrize("kind", ["connect", "close", "send.event", "disconnect", "handle"])
    async def test_they_reach_no_method_of_ours(
        self, kind: str, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        calls = []

        async def connect(self: Any) -> None:
            calls.append("connect")

        async def note(self: Any, message: Any) -> None:
            await self.send_event("note")
            await self.close()

        program = feed(connect, groups=["chat"], note=note)
        client = await begin(program)
        await layer.group_send("chat", {"type": kind})
        await layer.group_send("chat", {"type": "note"})
        await client.whole()
        assert events(client) == [{"data": "note"}]
        assert calls == ["connect"]
        assert "has no handler for message type" in caplog.text


class TestTheEnd:
    async def test_connect_is_cancelled_when_the_client_leaves(self, layer: LocalLayer) -> None:
        cancelled = []

        async def connect(self: Any) -> None:
            try:
                await wait_for_ever()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        program = feed(connect, groups=["chat"])
        client = await begin(program)
        client.leave()
        await client.end()
        assert cancelled == [True]
        assert program.ends == ["end"]
        assert layer.groups == {"chat": set()}
        assert len(client.sent) == 2

    async def test_a_server_may_tell_of_it_when_something_is_sent(self) -> None:
        sent: list[int] = []

        async def connect(self: Any) -> None:
            client.fault = BrokenPipeError()
            for number in range(3):
                await self.send_event(number)
                sent.append(number)

        program = feed(connect)
        client = Client(program)
        client.request()
        client.leave()
        await client.end()
        assert sent == [0, 1, 2]
        assert program.ends == ["end"]

    @pytest.mark.parametrize("where", ["connect", "note"])
    async def test_an_exception_cuts_it_short(
        self, where: str, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fails(self: Any, message: Any = None) -> None:
            await self.send_event("first")
            raise LookupError("the program's own")

        program = feed(groups=["chat"], **{where: fails})
        client = await begin(program)
        await layer.group_send("chat", {"type": "note"})
        with pytest.raises(LookupError):
            await client.end()
        assert client.sent[0]["status"] == 200
        # No end: the browser is to take it for a broken connection.
        assert all(message["more_body"] for message in client.sent[1:])
        assert events(client) == [{"data": "first"}]
        assert program.ends == ["end"]
        assert layer.groups == {"chat": set()}
        assert [record.levelname for record in caplog.records] == ["ERROR"]

    async def test_a_server_that_stops_ends_it(self, layer: LocalLayer) -> None:
        program = feed(groups=["chat"])
        client = await begin(program)
        client.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.task
        assert program.ends == ["end"]
        assert layer.groups == {"chat": set()}


class Timer:
    """One of the event loop's, which goes off when a test says so."""

    def __init__(self, now: float, seconds: float, callback: Callable[[], None]) -> None:
        self.seconds = seconds
        self.due = now + seconds
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Timers(list[Timer]):
    """All that were set for keeping streams alive."""

    now = 0.0

    def running(self) -> list[Timer]:
        return [timer for timer in self if not timer.is_cancelled]

    async def go_off(self) -> None:
        """Let the only one that runs go off."""
        [timer] = self.running()
        self.now = timer.due
        timer.is_cancelled = True
        timer.callback()
        await turns()


@pytest.fixture
async def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    """Take the place of the event loop's timers, and the clock, where streams are kept alive."""
    loop = asyncio.get_running_loop()
    call_later = loop.call_later
    timers = Timers()

    def call(seconds: float, callback: Any, *args: Any) -> Any:
        if getattr(callback, "__module__", None) != sse.__name__:
            return call_later(seconds, callback, *args)
        timers.append(Timer(timers.now, seconds, lambda: callback(*args)))
        return timers[-1]

    monkeypatch.setattr(loop, "call_later", call)
    monkeypatch.setattr(sse, "monotonic", lambda: timers.now)
    return timers


class TestKeepAlive:
    async def test_comments_come_again_and_again(self) -> None:
        client = await begin(feed(keepalive=0))
        await client.messages(10)
        assert all(message["body"] == client.sent[1]["body"] for message in client.sent[1:])
        assert all(message["more_body"] for message in client.sent[1:])
        assert events(client) == []
        client.leave()
        await client.end()
        total = len(client.sent)
        await turns()
        assert len(client.sent) == total

    async def test_they_come_while_connect_waits(self) -> None:
        async def connect(self: Any) -> None:
            await wait_for_ever()

        client = await begin(feed(connect, keepalive=0))
        await client.messages(5)
        client.leave()
        await client.end()

    async def test_they_are_nothing_amid_events(self, layer: LocalLayer) -> None:
        async def note(self: Any, message: Any) -> None:
            await self.send_event(message["text"])

        client = await begin(feed(keepalive=0, groups=["chat"], note=note))
        texts = [f"{number}\nof many" for number in range(20)]
        for text in texts:
            total = len(client.sent)
            await layer.group_send("chat", {"type": "note", "text": text})
            await client.messages(total + 3)
        client.leave()
        await client.end()
        assert events(client) == [{"data": text} for text in texts]

    async def test_the_first_comes_after_the_time(self, timers: Timers) -> None:
        client = await begin(feed(keepalive=7))
        assert [timer.seconds for timer in timers] == [7]
        await timers.go_off()
        assert len(client.sent) == 3
        assert [timer.seconds for timer in timers] == [7, 7]
        await timers.go_off()
        assert len(client.sent) == 4
        client.leave()
        await client.end()
        assert timers.running() == []

    async def test_an_event_is_as_good_as_one(self, timers: Timers, layer: LocalLayer) -> None:
        async def connect(self: Any) -> None:
            await self.send_event("one")

        async def note(self: Any, message: Any) -> None:
            await self.send_event("two")

        client = await begin(feed(connect, keepalive=7, groups=["chat"], note=note))
        await client.messages(3)
        timers.now = 3
        await layer.group_send("chat", {"type": "note"})
        await client.messages(4)
        await turns()
        await timers.go_off()
        assert len(client.sent) == 4
        # Seven seconds after the event, not after the timer.
        await timers.go_off()
        assert timers.now == 10
        assert client.sent[4:] == [client.sent[1]]
        assert len(timers.running()) == 1
        client.leave()
        await client.end()
        assert timers.running() == []

    async def test_there_need_be_none(self, timers: Timers) -> None:
        async def connect(self: Any) -> None:
            await self.send_event("one")
            await self.close()

        client = await begin(feed(connect, keepalive=None))
        await client.whole()
        assert timers == []

    async def test_none_comes_by_default_of_what_the_web_bears(self, timers: Timers) -> None:
        client = await begin(feed())
        # What is between a browser and a server closes what is silent for a minute, or half of it.
        assert 1 <= timers[0].seconds < 30
        client.leave()
        await client.end()

    @pytest.mark.parametrize("fault", [None, LookupError("broken")])
    async def test_none_comes_after_the_end(
        self, fault: Exception | None, timers: Timers, layer: LocalLayer
    ) -> None:
        async def note(self: Any, message: Any) -> None:
            if fault is not None:
                raise fault
            await self.close()

        client = await begin(feed(groups=["chat"], note=note))
        await layer.group_send("chat", {"type": "note"})
        await asyncio.gather(client.end(), return_exceptions=True)
        assert timers.running() == []

    async def test_none_comes_between_the_last_part_and_the_end(
        self, timers: Timers, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def note(self: Any, message: Any) -> None:
            await self.close()
            await timers.go_off()

        client = await begin(feed(groups=["chat"], note=note))
        await layer.group_send("chat", {"type": "note"})
        await client.whole()
        assert len(client.sent) == 3
        assert caplog.records == []

    async def test_none_is_sent_to_a_client_that_has_left(
        self, timers: Timers, layer: LocalLayer
    ) -> None:
        noted = asyncio.Event()

        async def note(self: Any, message: Any) -> None:
            await self.send_event("lost")
            client.fault = None
            await timers.go_off()
            assert timers.running() == []
            noted.set()

        client = await begin(feed(groups=["chat"], note=note))
        client.fault = BrokenPipeError()
        await layer.group_send("chat", {"type": "note"})
        async with asyncio.timeout(20):
            await noted.wait()
        client.leave()
        await client.end()
        assert len(client.sent) == 2
        assert timers.running() == []

    async def test_one_that_cannot_be_sent_is_logged_and_the_last(
        self, timers: Timers, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def note(self: Any, message: Any) -> None:
            await self.send_event("one")

        client = await begin(feed(groups=["chat"], note=note))
        client.fault = RuntimeError("protocol violated")
        await timers.go_off()
        assert "could not be sent" in caplog.text
        assert timers.running() == []
        assert not client.task.done()
        # The program hears of it with the next event.
        await layer.group_send("chat", {"type": "note"})
        with pytest.raises(RuntimeError, match="protocol violated"):
            await client.end()

    async def test_one_that_is_being_sent_is_given_up_at_the_end(self, timers: Timers) -> None:
        steps: list[str] = []
        program = feed()

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_or_wait(message: Message) -> None:
                if not steps:
                    await send(message)
                    return
                try:
                    steps.append("sending")
                    await wait_for_ever()
                finally:
                    steps.append("given up")

            await program.as_asgi()(scope, receive, send_or_wait)

        client = await begin(application)
        steps.append("begun")
        await timers.go_off()
        assert steps == ["begun", "sending"]
        client.leave()
        await client.end()
        await turns()
        assert steps == ["begun", "sending", "given up"]
        assert timers.running() == []
        assert program.ends == ["end"]


async def test_a_replaced_dumps_of_json_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(self: Any) -> None:
        await self.send_event({"a": 1})

    monkeypatch.setattr(json, "dumps", lambda data, **options: "replaced")
    client = await begin(feed(connect))
    await client.messages(3)
    assert b"data: replaced\n" in body(client)
    client.leave()
    await client.end()
