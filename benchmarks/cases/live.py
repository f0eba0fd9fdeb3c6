"""A room over loopback, with real servers and real WebSockets."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks.case import Case, Row, Scale
from benchmarks.cases import chat
from benchmarks.clock import run
from benchmarks.honesty import check_sequence
from benchmarks.live_clients import (
    LiveClient,
    LiveServer,
    connect,
    on_last_processor,
)
from benchmarks.redis_layers import REDIS, redis_running, settings_of
from benchmarks.site import MEMORY, set_up

UVICORN = ("ours", "upstream", "starlette", "litestar", "limit")
CHANNELS = ("ours", "upstream", "limit")


def rows_of(name: str, title: str, peers: tuple[str, ...], **options: Any) -> list[Row]:
    """Return what one process measures for a server: all rows with the same `together`."""
    return [
        Row(
            f"{name}-{figure}",
            f"{title}: {what}",
            per,
            peers,
            together=name,
            **{"rounds": 3, "timeout": 200, **options},
        )
        for figure, what, per in (
            ("time", "time", "broadcast"),
            ("cpu", "server CPU", "delivery"),
            ("p50", "p50", "delivery"),
            ("p99", "p99", "delivery"),
        )
    ]


CASE = Case(
    number=8,
    title="A room over loopback",
    method="Clients in a room on one server, or on two that share a Redis; servers and clients"
    " run on different processors where the machine has two. Broadcasts follow each other: "
    "the wall time of one until all have it, and the CPU time of the servers for a delivery. "
    "Then ten broadcasts a second: the delay of a delivery, median and 99th percentile; with "
    "2,000 clients, it is the delay while broadcasts follow each other. Starlette: a set and "
    "a loop. Litestar: its ChannelsPlugin. The limit: mailboxes, and one Redis subscription a"
    " process.",
    rows=(
        *rows_of("uvicorn-200", "200 clients, Uvicorn", UVICORN),
        *rows_of("daphne-200", "200 clients, Daphne", CHANNELS),
        *rows_of("redis-core", "2 Uvicorn, Redis core", CHANNELS, needs=REDIS),
        *rows_of("redis-pubsub", "2 Uvicorn, Redis pub/sub", CHANNELS, needs=REDIS),
        *rows_of(
            "uvicorn-2000",
            "2,000 clients, Uvicorn",
            UVICORN,
            rounds=1,
            timeout=400,
            quick=False,
        ),
    ),
    pinned=False,
)

GROUP = "room"


def channels(row: Row) -> Any:
    """Return a consumer of Channels that sends what it receives to its group."""
    layers: Any = MEMORY
    if row.together.startswith("redis"):
        # Ours use channels-redis here, too.
        kind = row.together.partition("-")[2]
        layers = settings_of("upstream", kind, redis_port())
    return channels_with(layers)


def channels_with(layers: Any) -> Any:
    """Return that consumer with other channel layers."""
    set_up(CHANNEL_LAYERS=layers)
    from channels.generic.websocket import AsyncWebsocketConsumer

    class Member(AsyncWebsocketConsumer):
        groups = [GROUP]

        async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            event = {"type": "chat.message", "text": text_data}
            await self.channel_layer.group_send(GROUP, event)

        async def chat_message(self, event: Any) -> None:
            await self.send(text_data=event["text"])

    return without_lifespan(Member.as_asgi())


def starlette(row: Row) -> Any:
    """Return an endpoint of Starlette with a set of connections, which its documentation shows."""
    from starlette.applications import Starlette
    from starlette.endpoints import WebSocketEndpoint
    from starlette.routing import WebSocketRoute

    members: set[Any] = set()

    class Member(WebSocketEndpoint):
        encoding = "text"

        async def on_connect(self, websocket: Any) -> None:
            await websocket.accept()
            members.add(websocket)

        async def on_receive(self, websocket: Any, data: Any) -> None:
            for member in list(members):
                await member.send_text(data)

        async def on_disconnect(self, websocket: Any, close_code: int) -> None:
            members.discard(websocket)

    return Starlette(routes=[WebSocketRoute("/", Member)])


def litestar(row: Row) -> Any:
    """Return a handler of Litestar that publishes through its plugin."""
    return chat.litestar(row).application


def limit(row: Row) -> Any:
    """Return mailboxes, behind Redis where the row has it."""
    if row.together.startswith("redis"):
        return through_redis()
    room = chat.limit(row)
    return without_lifespan(answering(room.application, room.broadcast))


def answering(application: Any, broadcast: Any) -> Any:
    """Return an application that broadcasts what its connections receive."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        async def receiving() -> Any:
            message = await receive()
            if message["type"] == "websocket.receive":
                await broadcast(message["text"])
            return message

        await application(scope, receiving, send)

    return serve


def through_redis() -> Any:
    """Return mailboxes of this process that one subscription to Redis fills."""
    import redis.asyncio

    client = redis.asyncio.Redis(port=redis_port())
    room = chat.limit(CASE.row("uvicorn-200-time"))
    tasks: list[asyncio.Task[None]] = []

    async def read(subscribed: asyncio.Future[None]) -> None:
        async with client.pubsub() as subscription:
            await subscription.subscribe(GROUP)
            async for message in subscription.listen():
                if message["type"] == "message":
                    await room.broadcast(message["data"].decode())
                elif not subscribed.done():
                    subscribed.set_result(None)

    async def publish(text: str) -> None:
        await client.publish(GROUP, text)

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if not tasks:
            subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            tasks.append(asyncio.create_task(read(subscribed)))
            await subscribed
        await answering(room.application, publish)(scope, receive, send)

    return without_lifespan(serve)


def without_lifespan(application: Any) -> Any:
    """Return an application that tells its server at once that it has no lifespan."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            raise ValueError(scope["type"])
        await application(scope, receive, send)

    return serve


#: What `live_server` serves.
SITES: dict[str, Callable[[Row], Any]] = {
    "ours": channels,
    "upstream": channels,
    "starlette": starlette,
    "litestar": litestar,
    "limit": limit,
}


def name_of(peer: str) -> Callable[[Row], str]:
    """Return what is in `PROGRAMS`: the site itself runs in its server."""
    return lambda row: peer


PROGRAMS = {peer: name_of(peer) for peer in SITES}


def use_redis(port: int) -> None:
    """Tell the servers, which inherit it, where Redis listens."""
    os.environ["BENCH_REDIS_PORT"] = str(port)


def redis_port() -> int:
    """Return where Redis listens."""
    return int(os.environ["BENCH_REDIS_PORT"])


def measure(peer: str, row: Row, scale: Scale) -> dict[str, float]:
    """Return the figures of all rows of a server."""
    name = row.together
    with ExitStack() as stack:
        processors = stack.enter_context(on_last_processor())
        if name.startswith("redis"):
            use_redis(stack.enter_context(redis_running()))
        kind = "daphne" if name.startswith("daphne") else "uvicorn"
        count = 2 if name.startswith("redis") else 1
        servers = []
        for _ in range(count):
            servers.append(server := LiveServer("live", row.name, peer, kind, processors))
            stack.callback(server.close)
        clients = scale.count(2000 if name.endswith("2000") else 200, 20)
        found = run(room(servers, clients, scale), row, waits=True)
    return {f"{name}-{figure}": value for figure, value in found.items()}


class Audience:
    """All clients of a room: counts deliveries, and when they arrived."""

    def __init__(self) -> None:
        self.left = 0
        self.all_arrived: asyncio.Future[None] | None = None
        self.sent: dict[bytes, float] = {}
        self.delays: list[float] = []

    def arrived(self, text: bytes) -> None:
        """Count one delivery."""
        # What was never sent is found when all has arrived.
        self.delays.append(time.perf_counter() - self.sent.get(text, 0.0))
        self.left -= 1
        if not self.left and self.all_arrived is not None:
            self.all_arrived.set_result(None)

    def expect(self, deliveries: int) -> asyncio.Future[None]:
        """Return a future that is done after so many deliveries."""
        self.left = deliveries
        self.all_arrived = asyncio.get_running_loop().create_future()
        return self.all_arrived

    def send(self, client: LiveClient) -> None:
        """Let a client send the next broadcast."""
        text = b"broadcast %06d" % len(self.sent)
        self.sent[text] = time.perf_counter()
        client.send(text)


async def room(servers: Sequence[LiveServer], count: int, scale: Scale) -> dict[str, float]:
    """Measure one room: broadcasts one after the other, then ten a second."""
    audience = Audience()
    ports = [servers[number % len(servers)].port for number in range(count)]
    clients = [await connect(port, audience.arrived) for port in ports]
    # A connection is accepted before it is in its group, with some peers.
    await settled(audience, clients)
    many = count > 1000

    cpu, start, done = sum(server.cpu() for server in servers), time.perf_counter(), 0
    while done < 3 or (time.perf_counter() - start < 2 and not scale.quick):
        arrived = audience.expect(count)
        audience.send(clients[done % count])
        await arrived
        done += 1
    seconds = time.perf_counter() - start
    cpu = sum(server.cpu() for server in servers) - cpu
    if not many:
        # For 2,000 clients, ten a second would be too many. The delays are those of the above.
        audience.delays.clear()
        broadcasts = scale.count(25, 3)
        arrived = audience.expect(count * broadcasts)
        begin = time.perf_counter()
        for number in range(broadcasts):
            await asyncio.sleep(max(0, begin + number / 10 - time.perf_counter()))
            # One client, since layers keep the order of one sender's messages only.
            audience.send(clients[0])
        await arrived
    for client in clients:
        check_sequence("broadcasts that a client received", audience.sent, client.texts)
        client.close()
    delays = sorted(audience.delays)
    return {
        "time": seconds / done,
        "cpu": cpu / done / count,
        "p50": delays[len(delays) // 2],
        "p99": delays[int(len(delays) * 0.99)],
    }


async def settled(audience: Audience, clients: Sequence[LiveClient]) -> None:
    """Broadcast until all clients are in the room; then forget what arrived."""
    for _ in range(20):
        arrived = audience.expect(len(clients))
        audience.send(clients[0])
        done, _ = await asyncio.wait({arrived}, timeout=20)
        if done:
            break
    await asyncio.sleep(0.1)
    for client in clients:
        client.texts.clear()
    audience.sent.clear()
    audience.delays.clear()
