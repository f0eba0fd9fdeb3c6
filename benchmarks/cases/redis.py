"""Several processes that share a Redis: our layer, those of channels-redis, and redis-py alone."""

import asyncio
import gc
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

from benchmarks.case import BYTES, Case, Row, Scale
from benchmarks.cases import live
from benchmarks.cases.memory import resident
from benchmarks.clients import Client
from benchmarks.clock import run
from benchmarks.honesty import DishonestError, check_equal, check_sequence
from benchmarks.layers import small
from benchmarks.live_clients import LiveServer, on_last_processor
from benchmarks.redis_layers import REDIS, layer_of, redis_running, settings_of
from benchmarks.redis_process import GROUP, JOBS, Process, process
from benchmarks.site import MEMORY, set_up
from benchmarks.slow_network import slow_network

PEERS = ("ours", "upstream", "limit")
CHANNELS = ("ours", "upstream")
#: Messages to a group at once, and its members, who are in two other processes.
AT_ONCE: Final = 50
MEMBERS: Final = 100
#: Consumers of one process, and what each takes of a batch.
CONSUMERS: Final = 20
EACH: Final = 10
#: Seconds that the slow network takes for each direction.
DELAY: Final = 0.0015
TITLES: Final = {"core": "core", "pubsub": "pub/sub"}
KINDS: Final = tuple(TITLES)


def rows_of(
    together: str, title: str, figures: Mapping[str, tuple[str, str]], peers: Any, **options: Any
) -> list[Row]:
    """Return the rows that one process measures, with what the table says and what each is for."""
    return [
        Row(
            f"{together}-{figure}",
            f"{title}: {what}",
            per,
            peers,
            together=together,
            needs=REDIS,
            **options,
        )
        for figure, (what, per) in figures.items()
    ]


def absolute_rows() -> list[Row]:
    """Return the rows of idle connections, and of a recovery."""
    memory = partial(Row, per="connection", unit=BYTES, absolute=True, needs=REDIS, timeout=300)
    commands = partial(
        Row, per="second", unit="commands", absolute=True, needs=REDIS, timeout=300, rounds=1
    )
    return [
        memory(
            "held-memory-bytes",
            "5,000 idle, memory layer: memory",
            peers=CHANNELS,
            together="held-memory",
            rounds=1,
        ),
        memory(
            "held-core-bytes",
            "5,000 idle, core: memory",
            peers=PEERS,
            together="held-core",
            rounds=1,
        ),
        commands(
            "held-core-commands",
            "5,000 idle, core: Redis commands",
            peers=PEERS,
            together="held-core",
        ),
        memory(
            "held-pubsub-bytes",
            "5,000 idle, pub/sub: memory",
            peers=("upstream",),
            together="held-pubsub",
            rounds=1,
        ),
        commands(
            "held-pubsub-commands",
            "5,000 idle, pub/sub: Redis commands",
            peers=("upstream",),
            together="held-pubsub",
        ),
    ]


def worker_rows(together: str, title: str, peers: tuple[str, ...]) -> list[Row]:
    """Return the rows of workers."""
    common = partial(Row, peers=peers, together=together, needs=REDIS)
    return [
        common(f"{together}-time", f"{title}: time", per="job", absolute="upstream" not in peers),
        common(
            f"{together}-twice",
            f"{title}: jobs that ran twice",
            per="1,000",
            unit="jobs",
            absolute=True,
        ),
    ]


SENT = {"returned": ("returned", "message"), "arrived": ("all arrived", "message")}
LIVE = {
    "time": ("time", "broadcast"),
    "cpu": ("server CPU", "delivery"),
    "p50": ("p50", "delivery"),
    "p99": ("p99", "delivery"),
}

CASE = Case(
    number=12,
    title="Several processes over Redis",
    method="Each row names the layer of channels-redis 4.3 that Channels 4.3.2 has in it; this "
    "tree has `channels_layers_redis` in all. The limit: redis-py with one subscription a process, "
    "mailboxes, and one pipeline for the commands of a turn of the event loop. Times are wall "
    "times, Redis and all processes included, unless a row says CPU. Sends: 50 `group_send` at "
    "once to 100 members in two other processes, until the calls have returned, and until all "
    "have arrived. 3 ms: the same through a proxy that adds 1.5 ms to each direction. Take: 20 "
    "consumers of one process behind that proxy receive what another process sends them. "
    "2 Uvicorn: the room of the case above. Idle: connections in 50 groups; memory with the "
    "client, and the commands that Redis counts. Workers: jobs that wait when the workers begin, "
    "and how many ran twice. Recovery: 1,000 connections join at once and get the 100 messages "
    "that they missed, which this tree alone can do.",
    rows=(
        *(
            row
            for name, title in (("send", "50 sends"), ("slow-send", "50 sends, 3 ms"))
            for kind in KINDS
            for row in rows_of(f"{name}-{kind}", f"{title}, {TITLES[kind]}", SENT, PEERS)
        ),
        *(
            Row(
                f"take-{kind}",
                f"20 consumers take, 3 ms, {TITLES[kind]}",
                "message",
                PEERS,
                needs=REDIS,
            )
            for kind in KINDS
        ),
        *(
            row
            for kind in KINDS
            for row in rows_of(
                f"live-{kind}",
                f"2 Uvicorn, 200 clients, {TITLES[kind]}",
                LIVE,
                PEERS,
                rounds=3,
                timeout=200,
            )
        ),
        *absolute_rows(),
        *(
            row
            for name, title, peers in (
                ("worker-1", "1 worker", PEERS),
                ("worker-4", "4 workers", PEERS),
                ("worker-acks-4", "4 workers, acknowledged jobs", ("ours",)),
            )
            for row in worker_rows(name, title, peers)
        ),
        *(
            Row(
                f"recovery-{figure}",
                f"1,000 reconnect at once, 100 missed messages each: {what}",
                "recovery",
                ("ours",),
                unit=unit,
                absolute=True,
                together="recovery",
                needs=REDIS,
            )
            for figure, what, unit in (
                ("time", "time", "s"),
                ("scripts", "scripts of Redis", "scripts"),
                ("queries", "database queries", "queries"),
            )
        ),
    ),
    pinned=False,
)


def kind_of(row: Row) -> str:
    """Return the layer of channels-redis that a row compares with, or how ours is used."""
    return next((kind for kind in ("pubsub", "acks") if kind in row.name), "core")


def live_site(peer: str, row: Row) -> Any:
    """Return what each of two servers serves."""
    if peer == "limit":
        return live.through_redis()
    return live.channels_with(settings_of(peer, kind_of(row), live.redis_port()))


#: What `live_server` serves.
SITES: dict[str, Callable[[Row], Any]] = {peer: partial(live_site, peer) for peer in PEERS}


def name_of(peer: str) -> Callable[[Row], str]:
    """Return what is in `PROGRAMS`: the layers are made in several processes."""
    return lambda row: peer


PROGRAMS = {peer: name_of(peer) for peer in PEERS}


def measure(peer: str, row: Row, scale: Scale) -> float | dict[str, float]:
    """Return the figure of a row, or those of all rows that are measured together."""
    together = row.together or row.name
    with ExitStack() as stack:
        port = stack.enter_context(redis_running())
        if together.startswith("live"):
            return named(together, in_room(peer, row, scale, port))
        direct = port
        if together.startswith(("slow", "take")):
            port = stack.enter_context(slow_network(port, DELAY))
        kind = kind_of(row)
        if together.startswith(("send", "slow")):
            return named(together, run(sending(peer, kind, port, scale), row, waits=True))
        if together.startswith("take"):
            return run(taking(peer, kind, port, direct, scale), row, waits=True)
        if together.startswith("worker"):
            count = int(together.rpartition("-")[2])
            return named(together, run(working(peer, kind, port, count, scale), row, waits=True))
        if together.startswith("recovery"):
            return named(together, run(recovering(port, scale), row, waits=True))
        return named(together, run(holding(peer, together, port, scale), row, waits=True))


def named(together: str, figures: dict[str, float]) -> dict[str, float]:
    """Return figures by the names of their rows."""
    return {f"{together}-{figure}": value for figure, value in figures.items()}


@asynccontextmanager
async def processes(
    count: int, role: str, peer: str, kind: str, port: int, *counts: int
) -> AsyncIterator[list[Process]]:
    """Run some processes, which are ready."""
    async with AsyncExitStack() as stack:
        starting = [process(role, peer, kind, port, *counts) for _ in range(count)]
        started = await asyncio.gather(*starting)
        for one in started:
            stack.push_async_callback(one.close)
        yield list(started)


async def batches(
    once: Callable[[int], Awaitable[list[float]]], scale: Scale
) -> tuple[int, list[float]]:
    """Measure batches for two seconds; return how many there were, and the medians."""
    await once(0)
    figures: list[list[float]] = []
    gc.collect()
    start = time.perf_counter()
    while len(figures) < 2 or (time.perf_counter() - start < 2 and not scale.quick):
        figures.append(await once(len(figures) + 1))
    return len(figures) + 1, [statistics.median(column) for column in zip(*figures, strict=True)]


async def sending(peer: str, kind: str, port: int, scale: Scale) -> dict[str, float]:
    """Measure messages to a group whose members are in two other processes."""
    layer = layer_of(peer, kind, port)
    async with processes(2, "members", peer, kind, port, MEMBERS // 2, AT_ONCE) as others:

        async def once(number: int) -> list[float]:
            first = number * AT_ONCE
            start = time.perf_counter()
            await asyncio.gather(
                *(layer.group_send(GROUP, small(first + one)) for one in range(AT_ONCE))
            )
            returned = time.perf_counter() - start
            for other in others:
                check_equal("what members say", "arrived", await other.line())
            return [returned / AT_ONCE, (time.perf_counter() - start) / AT_ONCE]

        done, (returned, arrived) = await batches(once, scale)
        for other in others:
            other.tell(str(done * AT_ONCE))
            if wrong := await other.line():
                raise DishonestError(wrong)
    return {"returned": returned, "arrived": arrived}


async def taking(peer: str, kind: str, port: int, direct: int, scale: Scale) -> float:
    """Measure what the consumers of one process take together, from a sender that is not slow."""
    layer = layer_of(peer, kind, port)
    channels = [await layer.new_channel() for _ in range(CONSUMERS)]
    got: list[list[Any]] = [[] for _ in channels]
    left = 0
    arrived: asyncio.Future[None] | None = None

    async def read(channel: str, messages: list[Any]) -> None:
        nonlocal left
        while True:
            messages.append(await layer.receive(channel))
            left -= 1
            if not left and arrived is not None:
                arrived.set_result(None)

    tasks = [
        asyncio.ensure_future(read(channel, messages))
        for channel, messages in zip(channels, got, strict=True)
    ]
    if kind == "pubsub":
        # Nothing else tells that a channel of a process is subscribed to.
        await asyncio.sleep(0.1)
    each = scale.count(EACH, 2)
    async with processes(1, "sender", peer, kind, direct) as (sender,):

        async def once(number: int) -> list[float]:
            nonlocal left, arrived
            left = CONSUMERS * each
            arrived = asyncio.get_running_loop().create_future()
            start = time.perf_counter()
            sender.tell(orders(channels, number * each, each))
            await arrived
            return [(time.perf_counter() - start) / CONSUMERS / each]

        done, (figure,) = await batches(once, scale)
    for messages in got:
        check_sequence("messages of a consumer", map(small, range(done * each)), messages)
    for task in tasks:
        task.cancel()
    return figure


def orders(channels: list[str], first: int, count: int) -> str:
    """Return what a sender is told."""
    import json

    return json.dumps({"channels": channels, "first": first, "count": count})


def in_room(peer: str, row: Row, scale: Scale, port: int) -> dict[str, float]:
    """Measure the room of the case `live` on two servers."""
    with ExitStack() as stack:
        live.use_redis(port)
        processors = stack.enter_context(on_last_processor())
        servers = []
        for _ in range(2):
            servers.append(server := LiveServer("redis", row.name, peer, "uvicorn", processors))
            stack.callback(server.close)
        return run(live.room(servers, scale.count(200, 20), scale), row, waits=True)


async def commands(client: Any) -> int:
    """Return how many commands Redis has counted, without those that ask for it."""
    counted = await client.info("commandstats")
    return sum(one["calls"] for name, one in counted.items() if name != "cmdstat_info")


async def scripts(client: Any) -> int:
    """Return how many scripts Redis has run."""
    counted = await client.info("commandstats")
    names = ("cmdstat_eval", "cmdstat_evalsha")
    return sum(counted[name]["calls"] for name in names if name in counted)


def idle_application(peer: str, layers: Any, port: int) -> Any:
    """Return an application whose connections wait in one of 50 groups."""
    if peer == "limit":
        layer = layer_of("limit", "", port)
        return partial(idle_by_hand, layer)
    set_up(CHANNEL_LAYERS=layers)
    from channels.generic.websocket import AsyncWebsocketConsumer

    class Member(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.channel_layer.group_add(group_of(self.scope), self.channel_name)
            await self.accept()

        async def disconnect(self, code: int) -> None:
            await self.channel_layer.group_discard(group_of(self.scope), self.channel_name)

        async def chat_message(self, event: Any) -> None:
            await self.send(text_data=event["text"])

    return Member.as_asgi()


def group_of(scope: Any) -> str:
    """Return the group for the path of a connection."""
    return f"room.{scope['path'].strip('/')}"


async def idle_by_hand(layer: Any, scope: Any, receive: Any, send: Any) -> None:
    """Hold one connection with a mailbox in a group."""
    await receive()
    channel = f"idle.{id(receive)}"
    await layer.group_add(group_of(scope), channel)
    await send({"type": "websocket.accept"})

    async def deliver() -> None:
        while True:
            message = await layer.receive(channel)
            await send({"type": "websocket.send", "text": message["text"]})

    task = asyncio.ensure_future(deliver())
    while (await receive())["type"] != "websocket.disconnect":
        pass
    task.cancel()


async def holding(peer: str, name: str, port: int, scale: Scale) -> dict[str, float]:
    """Hold idle connections, and look at what they cost here and on Redis."""
    import redis.asyncio

    in_memory = name.startswith("held-memory")
    kind = "pubsub" if "pubsub" in name else "core"
    layers = MEMORY if in_memory else settings_of(peer, kind, port)
    application = idle_application(peer, layers, port)
    warm = [await connected(application, number) for number in range(200)]
    gc.collect()
    memory = resident()
    count = scale.count(5000, 100)
    held = [await connected(application, number) for number in range(count)]
    await asyncio.sleep(0.1)
    gc.collect()
    found = {"bytes": (resident() - memory) / count}
    if not in_memory:
        client: Any = redis.asyncio.Redis(port=port)
        await asyncio.sleep(scale.count(1, 0))
        before, start = await commands(client), time.perf_counter()
        await asyncio.sleep(scale.count(100, 2) / 10)
        seconds = time.perf_counter() - start
        found["commands"] = (await commands(client) - before) / seconds
    every = [*warm, *held]
    check_equal("connections held", len(every), sum(not one.task.done() for one in every))
    await hears(peer, application, held)
    return found


async def connected(application: Any, number: int) -> Client:
    """Return a connection in one of the groups, which is accepted."""
    client = Client(application, f"/{number % 50}/")
    await client.accepted()
    return client


async def hears(peer: str, application: Any, held: list[Client]) -> None:
    """Check that connections that were held hear their group."""
    if peer == "limit":
        layer = application.args[0]
    else:
        from channels.layers import get_channel_layer

        layer = get_channel_layer()
    await layer.group_send("room.7", {"type": "chat.message", "text": "still there"})
    for client in held[7::50]:
        await asyncio.wait_for(client.until(2), 20)
        check_equal("what an idle connection hears", ["still there"], client.texts())


async def working(peer: str, kind: str, port: int, count: int, scale: Scale) -> dict[str, float]:
    """Measure jobs that wait when the workers begin to take them."""
    jobs = scale.count(2000, 60)
    async with processes(count, "worker", peer, kind, port) as workers:
        if peer == "limit":
            await append(port, jobs)
        else:
            layer = layer_of(peer, kind, port)
            for first in range(0, jobs, 20):
                some = range(first, first + 20)
                await asyncio.gather(*(layer.send(JOBS, job(one)) for one in some))
        ran: list[int] = []
        done: set[int] = set()
        arrived = asyncio.Event()

        async def listen(worker: Process) -> None:
            while True:
                number = int(await worker.line())
                ran.append(number)
                done.add(number)
                if len(done) == jobs:
                    arrived.set()

        listeners = [asyncio.ensure_future(listen(worker)) for worker in workers]
        start = time.perf_counter()
        for worker in workers:
            worker.tell("begin")
        await arrived.wait()
        seconds = time.perf_counter() - start
        # Those that run twice may end later.
        await asyncio.sleep(0.5)
        for listener in listeners:
            listener.cancel()
    check_equal("jobs that ran", set(range(jobs)), done)
    twice = len(ran) - jobs
    if peer != "upstream":
        check_equal("jobs that ran twice", 0, twice)
    return {"time": seconds / jobs, "twice": twice * 1000 / jobs}


def job(number: int) -> dict[str, Any]:
    """Return a message for a worker."""
    return {"type": "job", "number": number}


async def append(port: int, jobs: int) -> None:
    """Let jobs wait in a list."""
    import redis.asyncio
    from msgpack import packb

    client: Any = redis.asyncio.Redis(port=port)
    await client.rpush(JOBS, *(packb(job(number)) for number in range(jobs)))


async def recovering(port: int, scale: Scale) -> dict[str, float]:
    """Measure connections that join at once after a position, while the room goes on."""
    import redis.asyncio

    clients, missed, later = scale.count(1000, 20), scale.count(100, 20), 5
    databases = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    options = {"history": {"room": {"size": 200, "age": 600}}}
    set_up(CHANNEL_LAYERS=settings_of("ours", "core", port, **options), DATABASES=databases)
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.layers import get_channel_layer

    class Member(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept()
            await self.join_group(GROUP, after=self.scope["path"].strip("/"))

        async def chat_message(self, event: Any) -> None:
            await self.send(text_data=event["text"])

        async def missed(self, group: Any) -> None:
            await self.send(text_data="missed")

    layer: Any = get_channel_layer()
    queries = counted_queries()

    async def say(first: int, count: int) -> list[str]:
        texts = [f"message {number}" for number in range(first, first + count)]
        for text in texts:
            await layer.group_send(GROUP, {"type": "chat.message", "text": text})
        return texts

    await say(0, 20)
    position = (await layer.group_history(GROUP, limit=0)).position
    expected = await say(20, missed)
    application = Member.as_asgi()
    client: Any = redis.asyncio.Redis(port=port)
    before = await scripts(client)
    gc.collect()
    start = time.perf_counter()
    members = [Client(application, f"/{position}/") for _ in range(clients)]
    for member in members:
        await member.until(1 + missed)
    seconds = time.perf_counter() - start
    asked = await scripts(client) - before
    expected += await say(20 + missed, later)
    for member in members:
        await member.until(1 + missed + later)
        check_sequence("messages of a client that came back", expected, member.texts())
    return {"time": seconds, "scripts": asked, "queries": queries[0]}


def counted_queries() -> list[int]:
    """Return a list whose only number will be that of all queries of Django."""
    from django.db.backends.signals import connection_created

    counted = [0]

    def count(execute: Any, *arguments: Any) -> Any:
        counted[0] += 1
        return execute(*arguments)

    def created(connection: Any, **kwargs: Any) -> None:
        connection.execute_wrappers.append(count)

    connection_created.connect(created, weak=False)
    return counted
