"""The layers that connect processes through Redis, and the limit: redis-py and mailboxes."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from benchmarks.layers import Mailboxes
from benchmarks.live_clients import free_port
from benchmarks.site import set_up

__all__ = ["BACKENDS", "REDIS", "Limit", "layer_of", "redis_running", "settings_of"]

REDIS: Final = "redis-server"
#: What channels-redis has.
BACKENDS: Final = {
    "core": "channels_redis.core.RedisChannelLayer",
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
}
OURS: Final = "channels_layers_redis.RedisChannelLayer"
#: Messages for a channel. Core counts all channels of a process together.
CAPACITY: Final = 100_000


@contextmanager
def redis_running() -> Iterator[int]:
    """Run a Redis without a file, and yield its port."""
    port = free_port()
    where = ["--port", str(port), "--bind", "127.0.0.1"]
    command = [REDIS, *where, "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield port
        finally:
            process.kill()


def settings_of(peer: str, kind: str, port: int, **options: Any) -> dict[str, Any]:
    """Return `CHANNEL_LAYERS` for a peer: our layer, or upstream's of a kind.

    Args:
        peer: The peer.
        kind: The layer of channels-redis that the row compares with: a key of `BACKENDS`. Or
            `acks`, for ours: jobs are acknowledged.
        port: Where Redis listens.
        options: More for `CONFIG`.
    """
    config: dict[str, Any] = {"hosts": [f"redis://127.0.0.1:{port}/0"], **options}
    if peer == "ours" or kind == "core":
        config["capacity"] = CAPACITY
    if kind == "acks":
        config["queues"] = {"jobs": {"redeliver_after": 60, "tries": 3}}
    backend = OURS if peer == "ours" else BACKENDS[kind]
    return {"default": {"BACKEND": backend, "CONFIG": config}}


def layer_of(peer: str, kind: str, port: int) -> Any:
    """Return the layer of a peer; `kind` and `port` are as for `settings_of`."""
    if peer == "limit":
        return Limit(port)
    set_up(CHANNEL_LAYERS=settings_of(peer, kind, port))
    from channels.layers import get_channel_layer

    return get_channel_layer()


class Limit(Mailboxes):
    """Mailboxes that one subscription fills; commands of one turn of the loop go out together."""

    def __init__(self, port: int) -> None:
        """Connect with the first command."""
        super().__init__(dict.copy)
        import msgpack
        import redis.asyncio

        self._pack, self._unpack = msgpack.packb, msgpack.unpackb
        self._client = redis.asyncio.Redis(port=port)
        self._subscription = self._client.pubsub()
        self._confirmed: dict[bytes, asyncio.Future[None]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._unsent: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def new_channel(self) -> str:
        """Return a channel that other processes can send to."""
        channel = f"{id(self)}.{await super().new_channel()}"
        await self._subscribe(f"channel {channel}")
        return channel

    async def group_add(self, group: str, channel: str) -> None:
        """Subscribe with the first member."""
        first = group not in self._groups
        await super().group_add(group, channel)
        if first:
            await self._subscribe(f"group {group}")

    async def _subscribe(self, address: str) -> None:
        confirmed = self._confirmed[address.encode()] = asyncio.get_running_loop().create_future()
        await self._subscription.subscribe(address)
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())
        await confirmed

    async def _read(self) -> None:
        """Put what arrives into mailboxes."""
        async for message in self._subscription.listen():
            kind, address, data = message["type"], message["channel"], message["data"]
            if kind != "message":
                self._confirmed.pop(address).set_result(None)
                continue
            where, _, name = address.decode().partition(" ")
            content = self._unpack(data)
            if where == "channel":
                self._put(name, content)
            else:
                for channel in self._groups[name]:
                    self._put(channel, content.copy())

    async def send(self, channel: str, message: Any) -> None:
        """Publish to a channel."""
        await self.post("PUBLISH", f"channel {channel}", self._pack(message))

    async def group_send(self, group: str, message: Any) -> None:
        """Publish to a group."""
        await self.post("PUBLISH", f"group {group}", self._pack(message))

    def post(self, *command: Any) -> asyncio.Future[Any]:
        """Send a command, with the others of this turn of the event loop."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._unsent:
            loop.call_soon(self._begin)
        self._unsent.append((command, future))
        return future

    def _begin(self) -> None:
        task = asyncio.ensure_future(self._send_all())
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send_all(self) -> None:
        posted, self._unsent = self._unsent, []
        pipeline = self._client.pipeline(transaction=False)
        for command, _ in posted:
            pipeline.execute_command(*command)
        answers = await pipeline.execute()
        for (_, future), answer in zip(posted, answers, strict=True):
            with suppress(asyncio.InvalidStateError):
                future.set_result(answer)
