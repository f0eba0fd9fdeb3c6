"""A small HTTP response, with and without a layer, and the parts of a stream."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

from benchmarks.case import Case, Row, Scale
from benchmarks.clients import request
from benchmarks.clock import cheapest, cpu, run
from benchmarks.honesty import check_equal, check_sequence
from benchmarks.site import MEMORY, set_up

PEERS = ("ours", "upstream", "starlette", "litestar", "django", "limit")
CHANNELS = ("ours", "upstream", "limit")
STREAMS = ("ours", "upstream", "starlette", "django", "limit")
EVENTS = ("ours", "starlette", "limit")
BODY = b"hello, world"
PLAIN = b"text/plain; charset=utf-8"
CHUNKS = 1000
STREAM = b"text/event-stream; charset=utf-8"

CASE = Case(
    number=6,
    title="HTTP",
    method="Requests are made in the process, each in its own task, by a client that stays. A "
    "stream has 1,000 parts of 100 bytes; `send` does nothing, or lets the event loop turn "
    "once, as a server does that waits for its socket. Django: async views, without "
    "middleware. Litestar's streams end only when the client leaves, so it is not among them.",
    rows=(
        Row("small", "HTTP, small response", "request", PEERS),
        Row("small-layer", "HTTP, small response, memory layer", "request", CHANNELS),
        Row("chunks", "HTTP, 1,000 parts: send does nothing", "part", STREAMS),
        Row("chunks-turns", "HTTP, 1,000 parts: the loop turns", "part", STREAMS),
        Row("events", "HTTP, 1,000 server-sent events", "event", EVENTS),
    ),
)


def part(number: int) -> bytes:
    """Return a part of 100 bytes, different from the others."""
    return b"part %04d of a stream" % number + b"." * 79


PARTS = [part(number) for number in range(CHUNKS)]
#: The data of events, of one length, and their frames.
TEXTS = [f"hello, world {number:04}" for number in range(CHUNKS)]
FRAMES = [b"data: %s\n\n" % text.encode() for text in TEXTS]


def channels(row: Row) -> Any:
    """Return a consumer of Channels."""
    set_up(CHANNEL_LAYERS=MEMORY if row.name.endswith("-layer") else {})
    from channels.generic.http import AsyncHttpConsumer

    class Small(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_response(200, BODY, headers=[(b"content-type", PLAIN)])

    class Stream(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_headers(headers=[(b"content-type", PLAIN)])
            for one in PARTS:
                await self.send_body(one, more_body=True)
            await self.send_body(b"")

    if row.name != "events":
        return Stream.as_asgi() if row.name.startswith("chunks") else Small.as_asgi()
    from channels.generic.sse import AsyncSseConsumer

    class Events(AsyncSseConsumer):
        async def connect(self) -> None:
            for text in TEXTS:
                await self.send_event(text)
            await self.close()

    return Events.as_asgi()


def starlette(row: Row) -> Any:
    """Return endpoints of Starlette, which are classes, as consumers are."""
    from starlette.endpoints import HTTPEndpoint
    from starlette.responses import Response, StreamingResponse

    async def chunks() -> AsyncIterator[bytes]:
        for one in PARTS:
            yield one

    async def events() -> AsyncIterator[bytes]:
        for text in TEXTS:
            yield f"data: {text}\n\n".encode()

    class Small(HTTPEndpoint):
        async def get(self, request: Any) -> Any:
            return Response(BODY, media_type="text/plain")

    class Stream(HTTPEndpoint):
        async def get(self, request: Any) -> Any:
            return StreamingResponse(chunks(), media_type="text/plain")

    class Events(HTTPEndpoint):
        async def get(self, request: Any) -> Any:
            return StreamingResponse(events(), media_type="text/event-stream")

    endpoint: Any = {"s": Small, "c": Stream, "e": Events}[row.name[0]]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await endpoint(scope, receive, send)

    return application


def litestar(row: Row) -> Any:
    """Return handlers of Litestar."""
    from litestar import Litestar, get
    from litestar.response import Stream

    @get("/", media_type="text/plain")
    async def small() -> bytes:
        return BODY

    async def chunks() -> AsyncIterator[bytes]:
        for one in PARTS:
            yield one

    @get("/", media_type="text/plain")
    async def stream() -> Stream:
        return Stream(chunks())

    return Litestar([stream if row.name.startswith("chunks") else small], openapi_config=None)


def django(row: Row) -> Any:
    """Return async views of Django."""
    import types

    views = types.ModuleType("views")
    set_up(ROOT_URLCONF=views, MIDDLEWARE=[])
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path

    async def chunks() -> AsyncIterator[bytes]:
        for one in PARTS:
            yield one

    async def small(request: Any) -> Any:
        return HttpResponse(BODY, content_type=PLAIN.decode())

    async def stream(request: Any) -> Any:
        return StreamingHttpResponse(chunks(), content_type=PLAIN.decode())

    view: Any = stream if row.name.startswith("chunks") else small
    views.urlpatterns = [path("", view)]  # type: ignore[attr-defined] # a module made here
    return get_asgi_application()


def limit(row: Row) -> Any:
    """Return plain ASGI functions."""

    async def small(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", PLAIN)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY})

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", PLAIN)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for one in PARTS:
            await send({"type": "http.response.body", "body": one, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def events(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", STREAM)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for text in TEXTS:
            body = f"data: {text}\n\n".encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return {"s": small, "c": stream, "e": events}[row.name[0]]


PROGRAMS = {
    "ours": channels,
    "upstream": channels,
    "starlette": starlette,
    "litestar": litestar,
    "django": django,
    "limit": limit,
}


def measure(program: Any, row: Row, scale: Scale) -> float:
    """Return the CPU seconds for a request, or for a part of a stream."""
    return run(responses(program, row, scale), row)


async def responses(application: Any, row: Row, scale: Scale) -> float:
    """Measure requests that are made one after the other, and check each answer."""
    sent: list[Any] = []
    keep = sent.append

    async def ignore(message: Any) -> None:
        keep(message)

    async def turn(message: Any) -> None:
        keep(message)
        await asyncio.sleep(0)

    send = turn if row.name.endswith("turns") else ignore
    if row.name.startswith("small"):
        sections, requests, parts = 1, scale.count(500, 20), 1
    else:
        # A section for each stream, so that only one is kept: many messages that stay would cost
        # those peers more whose messages are new.
        sections, requests, parts = scale.count(10, 2), 1, CHUNKS

    async def once() -> float:
        seconds = 0.0
        for number in range(sections):
            sent.clear()
            ends = []
            start = cpu()
            for _ in range(requests):
                await request(application, send)
                ends.append(len(sent))
            seconds += cpu() - start
            for at, (first, last) in enumerate(pairwise([0, *ends])):
                check(row, f"answer {number + at}", sent[first:last])
        return seconds / sections / requests / parts

    return await cheapest(once, scale.repetitions)


def check(row: Row, which: str, sent: list[Any]) -> None:
    """Check the messages of one answer."""
    kinds = ["http.response.start", *["http.response.body"] * max(1, len(sent) - 1)]
    check_equal(f"{which}: its messages", kinds, [message["type"] for message in sent])
    check_equal(f"{which}: the status", 200, sent[0]["status"])
    headers = {bytes(name).lower(): bytes(value) for name, value in sent[0]["headers"]}
    kind = STREAM if row.name == "events" else PLAIN
    check_equal(f"{which}: content-type", kind, headers.get(b"content-type"))
    for number, message in enumerate(sent[1:], 1):
        more = bool(message.get("more_body"))
        check_equal(f"{which}: more_body of message {number}", number < len(sent) - 1, more)
    parts = [body for message in sent[1:] if (body := bytes(message.get("body", b"")))]
    if row.name.startswith("small"):
        check_equal(f"{which}: the body", BODY, b"".join(parts))
    elif row.name.startswith("chunks"):
        check_sequence(f"{which}: the parts", PARTS, parts)
    else:
        events = [one for one in parts if not one.startswith((b":", b"retry:"))]
        check_sequence(f"{which}: the events", FRAMES, events)
