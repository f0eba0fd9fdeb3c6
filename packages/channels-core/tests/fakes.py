"""Test doubles for the surroundings of a consumer: its server, and its channel layer."""

import asyncio
import signal
from collections import defaultdict
from collections.abc import Callable
from copy import copy
from types import FrameType
from typing import Any, ClassVar, Final

from channels_core.consumer import SyncConsumer
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.layers import BaseChannelLayer
from channels_core.typing import ASGIApplication, ChannelMessage, Message, Scope

__all__ = [
    "STOP_SIGNALS",
    "LocalLayer",
    "Picky",
    "Server",
    "Sleeps",
    "StopHandler",
    "begin_after_a_stop",
    "call_in_handler",
    "raise_stop",
    "until",
]

#: The signals that stop a server.
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class LocalLayer(BaseChannelLayer):
    """A channel layer for one event loop that records the calls of its methods."""

    extensions: ClassVar[list[str]] = ["groups", "flush"]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.queues: dict[str, asyncio.Queue[ChannelMessage]] = defaultdict(asyncio.Queue)
        self.groups: dict[str, set[str]] = defaultdict(set)
        self.made = 0
        self.calls: list[tuple[str, ...]] = []
        # Exceptions to raise, by the name of the method; each call raises another object.
        self.faults: dict[str, Exception] = {}

    def _called(self, name: str, *args: str) -> None:
        self.calls.append((name, *args))
        if name in self.faults:
            raise copy(self.faults[name])

    async def new_channel(self, prefix: str = "specific.") -> str:
        self._called("new_channel")
        self.made += 1
        return f"{prefix}{self.made}!{self.made}"

    async def send(self, channel: str, message: Message) -> None:
        self._called("send", channel)
        self.queues[channel].put_nowait(dict(message))

    async def receive(self, channel: str) -> ChannelMessage:
        message = await self.queues[channel].get()
        self._called("receive", channel)
        return message

    async def flush(self) -> None:
        self.queues.clear()
        self.groups.clear()

    async def group_add(self, group: str, channel: str) -> None:
        self.require_valid_group_name(group)
        self._called("group_add", group)
        self.groups[group].add(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self._called("group_discard", group)
        self.groups[group].discard(channel)

    async def group_send(self, group: str, message: Message) -> None:
        for channel in list(self.groups[group]):
            await self.send(channel, message)

    @property
    def members(self) -> int:
        return sum(len(members) for members in self.groups.values())


class Picky(LocalLayer):
    """A channel layer whose constructor may fail."""

    def __init__(self, fail: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if fail:
            raise KeyError("hosts")


class Sleeps:
    """A replacement for `asyncio.sleep`, whose calls return when the test wakes them."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        sleeper = asyncio.get_running_loop().create_future()
        self._sleeping.append((seconds, sleeper))
        await sleeper

    async def wait_for(self, seconds: float) -> asyncio.Future[None]:
        """Wait until a task sleeps for so many seconds."""
        found: list[asyncio.Future[None]] = []

        def find() -> bool:
            found.extend(one for time, one in self._sleeping if time == seconds and not one.done())
            return bool(found)

        await until(find)
        return found[0]

    async def wake(self, seconds: float) -> None:
        """Wait until a task sleeps for so many seconds, and wake it."""
        (await self.wait_for(seconds)).set_result(None)


class Server:
    """The server's side of one connection.

    Attributes:
        received: The messages that the application has sent.
        inbox: The messages for the application.
        fault: An exception that every `send` raises, once it is set.
        hangs: Whether `send` never returns.
        task: The task in which the application runs.
    """

    def __init__(self, application: ASGIApplication, scope: Scope | None = None) -> None:
        self.scope: Scope = {"type": "websocket", "path": "/ws/", **(scope or {})}
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.received: list[Message] = []
        self.fault: BaseException | None = None
        self.hangs = False
        self._changed = asyncio.Event()
        self.task = asyncio.ensure_future(application(self.scope, self.inbox.get, self._send))
        self.task.add_done_callback(lambda _: self._changed.set())

    async def _send(self, message: Message) -> None:
        if self.fault is not None:
            raise self.fault
        if self.hangs:
            await asyncio.Event().wait()
        self.received.append(message)
        self._changed.set()

    def put(self, *messages: Message) -> None:
        for message in messages:
            self.inbox.put_nowait(message)

    def text(self, *texts: str) -> None:
        self.put(*({"type": "websocket.receive", "text": text} for text in texts))

    async def reply(self, count: int = 1) -> list[Message]:
        """Wait until the application has sent so many more messages, and return them."""
        start = len(self.received)
        return await self.replies(start + count, start)

    async def replies(self, total: int, start: int = 0) -> list[Message]:
        """Wait until the application has sent so many messages in all."""
        await until(lambda: len(self.received) >= total or self.task.done(), self._changed)
        return self.received[start:total]

    async def connect(self) -> list[Message]:
        self.put({"type": "websocket.connect"})
        return await self.replies(1)

    async def leave(self, code: int = 1000, **extra: Any) -> None:
        """Let the client leave, and wait for the application to end."""
        self.put({"type": "websocket.disconnect", "code": code, **extra})
        await self.end()

    async def end(self) -> None:
        await asyncio.wait_for(asyncio.shield(self.task), 20)


class StopHandler:
    """A server's handler of its stop signals, which records them.

    Attributes:
        got: The signals that have reached the server.
        event: Set when one has.
    """

    def __init__(self) -> None:
        self.got: list[int] = []
        self.event = asyncio.Event()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.got.append(number)
        self.event.set()


class _Calling(SyncConsumer):
    """Calls the functions in its messages, and sends their results."""

    channel_layer_alias = None

    def call(self, message: Message) -> None:
        self.send({"type": "result", "result": message["function"]()})


async def call_in_handler(function: Callable[[], Any]) -> Any:
    """Call a function in a handler of a synchronous consumer, and return its result."""
    server = Server(_Calling.as_asgi(), {"type": "test"})
    server.put({"type": "call", "function": function})
    answers = await server.reply()
    if not answers:
        return await server.task
    server.task.cancel()
    await asyncio.wait([server.task])
    return answers[0]["result"]


async def raise_stop(number: int = signal.SIGTERM) -> None:
    """Raise a stop signal, and let open connections be asked to end."""
    signal.raise_signal(number)
    for _ in range(5):
        await asyncio.sleep(0)


async def begin_after_a_stop() -> None:
    """Begin another server, after which connections of this process are served again."""

    class Consumer(AsyncWebsocketConsumer):
        channel_layer_alias = None

    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number in before:
        signal.signal(number, StopHandler())
    server = Server(Consumer.as_asgi())
    await server.connect()
    await server.leave()
    for number, previous in before.items():
        signal.signal(number, previous)


async def until(condition: Callable[[], bool], changed: asyncio.Event | None = None) -> None:
    """Let the event loop run until a condition holds; 20 seconds at most."""

    async def wait() -> None:
        while not condition():
            if changed is None:
                await asyncio.sleep(0)
            else:
                await changed.wait()
                changed.clear()

    await asyncio.wait_for(wait(), 20)
