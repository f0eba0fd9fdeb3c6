"""Measure HTTP in the process: a small response, the parts of a stream, and events.

    python -m benchmarks.http

runs the same two endpoints as consumers of this tree and of the peer, with Starlette, and as plain
ASGI functions, in turn, each in a new process, and prints medians and ratios.
"""

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.peer import PEER, ROOT, environment, peer_python

STARLETTE: Final = "1.10.0"

BODY: Final = b"hello, world"
CONTENT_TYPE: Final = b"text/plain; charset=utf-8"
CHUNK: Final = b"x" * 100
CHUNKS: Final = 1000
EVENT: Final = b"data: hello, world\n\n"

ROUNDS: Final = 7
BATCHES: Final = 9
#: Requests per batch. The figure is the median of the batches.
REQUESTS: Final = {"response": 1000, "stream": 25, "framed": 25, "uvicorn": 10}

SCOPE: Final = {
    "type": "http",
    # As Uvicorn has it.
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "raw_path": b"/",
    "root_path": "",
    "query_string": b"",
    "headers": [(b"host", b"localhost"), (b"accept", b"*/*")],
    "client": ("127.0.0.1", 50000),
    "server": ("127.0.0.1", 8000),
}

# The endpoints, one function for each way to write them. Each returns the ASGI applications for a
# small response and for a stream.


def raw() -> dict[str, Any]:
    """Return plain ASGI functions."""

    async def response(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", CONTENT_TYPE), (b"content-length", b"12")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY})

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", CONTENT_TYPE)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(CHUNKS):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return {"response": response, "stream": stream}


def consumers(layer: str | None = None) -> dict[str, Any]:
    """Return consumers of the installed `channels`, without a channel layer or with one."""
    import django
    from django.conf import settings

    settings.configure(CHANNEL_LAYERS={"default": {"BACKEND": layer}} if layer else {})
    django.setup()
    from channels.generic.http import AsyncHttpConsumer

    class Response(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_response(200, BODY, headers=[(b"content-type", CONTENT_TYPE)])

    class Stream(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_headers(headers=[(b"content-type", CONTENT_TYPE)])
            for _ in range(CHUNKS):
                await self.send_body(CHUNK, more_body=True)
            await self.send_body(b"")

    return {"response": Response.as_asgi(), "stream": Stream.as_asgi()}


def consumers_with_layer() -> dict[str, Any]:
    """Return consumers with the in-memory layer."""
    return consumers("channels.layers.InMemoryChannelLayer")


def events() -> dict[str, Any]:
    """Return a consumer of this tree that sends events."""
    consumers()
    from channels.generic.sse import AsyncSseConsumer

    class Events(AsyncSseConsumer):
        async def connect(self) -> None:
            for _ in range(CHUNKS):
                await self.send_event("hello, world")
            await self.close()

    return {"stream": Events.as_asgi()}


def starlette() -> dict[str, Any]:
    """Return endpoints of Starlette, which are classes, as consumers are."""
    # Not in the environment of this tree.
    from starlette.endpoints import (  # type: ignore[import-not-found] # see above
        HTTPEndpoint,
    )
    from starlette.responses import (  # type: ignore[import-not-found] # see above
        Response,
        StreamingResponse,
    )

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            yield CHUNK

    class Whole(HTTPEndpoint):  # type: ignore[misc] # see above
        async def get(self, request: Any) -> Any:
            return Response(BODY, media_type="text/plain")

    class Stream(HTTPEndpoint):  # type: ignore[misc] # see above
        async def get(self, request: Any) -> Any:
            return StreamingResponse(chunks(), media_type="text/plain")

    def application(endpoint: Any) -> Any:
        async def serve(scope: Any, receive: Any, send: Any) -> None:
            await endpoint(scope, receive, send)

        return serve

    return {"response": application(Whole), "stream": application(Stream)}


MAKERS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "raw": raw,
    "consumers": consumers,
    "consumers-with-layer": consumers_with_layer,
    "events": events,
    "starlette": starlette,
}


async def request(application: Any, send: Any) -> None:
    """Make one request in a new task, as servers do, with a client that stays connected."""
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        return await asyncio.get_running_loop().create_future()

    await asyncio.create_task(application({**SCOPE, "state": {}}, receive, send))


async def check(application: Any, what: str) -> None:
    """Check the response before it is measured.

    Raises:
        RuntimeError: It is not the expected one.
    """
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await request(application, send)
    headers = dict(sent[0]["headers"])
    parts = [message["body"] for message in sent[1:]]
    if what == "response":
        # The peer sends no length.
        answered = b"".join(parts) == BODY and headers.get(b"content-length", b"12") == b"12"
    else:
        answered = CHUNKS in (parts.count(CHUNK), parts.count(EVENT))
    right = headers[b"content-type"] in (CONTENT_TYPE, b"text/event-stream; charset=utf-8")
    if not (answered and right) or sent[0]["status"] != 200 or sent[-1].get("more_body"):
        raise RuntimeError(f"The response is not the expected one: {sent[:3]}")


async def ignore(message: Any) -> None:
    """Do nothing with a message: no server does less."""


async def frame(message: Any) -> None:
    """Put a part into the framing of HTTP/1.1, which is the least that each server does."""
    if message["type"] == "http.response.body" and (body := message.get("body")):
        b"%x\r\n%b\r\n" % (len(body), body)


class Nowhere(asyncio.Transport):
    """A transport that drops what is written."""

    written = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"sockname": SCOPE["server"], "peername": SCOPE["client"]}.get(name, default)

    def write(self, data: Any) -> None:
        self.written += len(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def set_protocol(self, protocol: Any) -> None:
        pass


def through_uvicorn(application: Any) -> Any:
    """Return a function that makes one request through Uvicorn's protocol, without a socket."""
    from uvicorn.config import Config
    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.server import ServerState

    config = Config(application, log_config=None, access_log=False, lifespan="off")
    config.load()
    state = ServerState()

    async def request() -> None:
        protocol, transport = H11Protocol(config, state, {}), Nowhere()
        protocol.connection_made(transport)
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        while state.tasks:
            await asyncio.wait(set(state.tasks))
        protocol.connection_lost(None)
        if transport.written < CHUNKS * len(CHUNK):
            raise RuntimeError(f"{transport.written} bytes were written")

    return request


async def seconds(application: Any, what: str) -> float:
    """Return the CPU seconds for one request, or for one part of a stream."""
    await check(application, what)
    if what == "uvicorn":
        one = through_uvicorn(application)
    else:
        one = partial(request, application, frame if what == "framed" else ignore)
    requests = REQUESTS[what]
    figures = []
    for _ in range(BATCHES + 1):
        gc.collect()
        start = time.process_time()
        for _ in range(requests):
            await one()
        figures.append((time.process_time() - start) / requests)
    # The first batch warms up.
    return median(figures[1:]) / (1 if what == "response" else CHUNKS)


class Program(NamedTuple):
    """One way to write the endpoints, in one environment."""

    title: str
    #: A key of `MAKERS`.
    maker: str
    #: The environment, a key in `report`.
    python: str


PROGRAMS: Final = {
    "raw": Program("plain ASGI function", "raw", "ours"),
    "ours": Program("our consumer", "consumers", "ours"),
    "ours-layer": Program("our consumer, memory layer", "consumers-with-layer", "ours"),
    "peer": Program(f"consumer of Channels {PEER}", "consumers", "peer"),
    "peer-layer": Program(
        f"consumer of Channels {PEER}, memory layer", "consumers-with-layer", "peer"
    ),
    "starlette": Program(f"endpoint of Starlette {STARLETTE}", "starlette", "starlette"),
    "events": Program("our AsyncSseConsumer, an event", "events", "ours"),
}


class Table(NamedTuple):
    """One measurement, and the programs that it compares."""

    title: str
    #: Keys of `PROGRAMS`.
    programs: tuple[str, ...]


TABLES: Final = {
    "response": Table(
        "a small response: microseconds, responses per second, and the peer's time as a multiple",
        ("raw", "ours", "ours-layer", "peer", "peer-layer", "starlette"),
    ),
    "stream": Table(
        f"a part of a stream of {CHUNKS:,}: microseconds, and the multiple of the plain function's",
        ("raw", "ours", "ours-layer", "peer", "peer-layer", "starlette", "events"),
    ),
    "framed": Table(
        "the same, in the framing of HTTP/1.1",
        ("raw", "ours", "peer", "starlette"),
    ),
    "uvicorn": Table("the same, sent by Uvicorn without a socket", ("raw", "ours")),
}


def figure(python: str, maker: str, what: str) -> float:
    """Measure in a new process, and return microseconds."""
    command = [python, "-m", "benchmarks.http", "--measure", maker, what]
    done = subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=120
    )
    return float(done.stdout.split()[-1]) * 1e6


def rounds(what: str, pythons: dict[str, str]) -> dict[str, list[float]]:
    """Run the programs in turn for several rounds, and return their figures."""
    found: dict[str, list[float]] = {name: [] for name in TABLES[what].programs}
    for _ in range(ROUNDS):
        for name, figures in found.items():
            program = PROGRAMS[name]
            figures.append(figure(pythons[program.python], program.maker, what))
    return found


def spread(figures: list[float]) -> str:
    """Return the median, the smallest and the largest."""
    return f"{median(figures):8.2f} ({min(figures):.2f} to {max(figures):.2f})"


def report() -> None:
    """Measure everything, and print the tables."""
    pythons = {
        "ours": sys.executable,
        "peer": peer_python(),
        "starlette": environment(f"starlette-{STARLETTE}", [f"starlette=={STARLETTE}"]),
    }
    print(f"Python {sys.version.split()[0]}: medians (smallest to largest)")
    for what, table in TABLES.items():
        found = rounds(what, pythons)
        print(f"\n{table.title}")
        for name, figures in found.items():
            # Ratios within a round, because the same load of the machine affects both figures.
            if what == "response":
                base = found["peer-layer" if name == "ours-layer" else "peer"]
                ratios = [theirs / mine for mine, theirs in zip(figures, base, strict=True)]
                rate = f"{1e6 / median(figures):>8,.0f}  "
            else:
                ratios = [a / b for a, b in zip(figures, found["raw"], strict=True)]
                rate = ""
            print(
                f"  {PROGRAMS[name].title:40}{spread(figures):28}  {rate}{spread(ratios)}",
                flush=True,
            )


def main() -> None:
    """Measure one program in this process, or compare all."""
    if len(sys.argv) == 4 and sys.argv[1] == "--measure":
        maker, what = sys.argv[2:]
        application = MAKERS[maker]()["response" if what == "response" else "stream"]
        print(asyncio.run(seconds(application, what)))
    else:
        report()


if __name__ == "__main__":
    main()
