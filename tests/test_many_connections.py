"""Connections on the in-memory layer leave nothing behind, however they end."""

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from channels.consumer import hook
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.layers import BaseChannelLayer, InMemoryChannelLayer, channel_layers

CONNECT = {"type": "websocket.connect"}
SPEAK = {"type": "websocket.receive", "text": "hello"}
FAIL = {"type": "websocket.receive", "text": "fail"}
LEAVE = {"type": "websocket.disconnect", "code": 1000}


class AsyncMember(AsyncWebsocketConsumer):
    groups = ["everyone"]
    ended: list[int] = []

    async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        await self.join_group("speakers")
        if text_data == "fail":
            raise LookupError
        await self.channel_layer.group_send("speakers", {"type": "chat.message", "text": text_data})

    async def chat_message(self, event: Any) -> None:
        await self.send(event["text"])

    async def disconnect(self, code: int) -> None:
        self.ended.append(code)

    @hook
    def report_exception(self, *args: object) -> None:
        """Do not log the failure, which is intended."""


class SyncMember(WebsocketConsumer):
    groups = ["everyone"]
    ended: list[int] = []

    def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        self.join_group("speakers")
        if text_data == "fail":
            raise LookupError

    def disconnect(self, code: int) -> None:
        self.ended.append(code)

    @hook
    def report_exception(self, *args: object) -> None:
        """Do not log the failure, which is intended."""


@pytest.fixture
def layer() -> Any:
    layer = InMemoryChannelLayer(capacity=5)
    channel_layers.set("default", layer)
    yield layer
    channel_layers.set("default", None)


async def connection(application: Any, *messages: Any, cancel: bool) -> None:
    """Open a connection, let it handle the messages, and end it as they request."""
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    accepted = asyncio.Event()

    async def send(message: Any) -> None:
        accepted.set()

    for message in (CONNECT, *messages):
        inbox.put_nowait(message)
    task = asyncio.ensure_future(application({"type": "websocket", "path": "/"}, inbox.get, send))
    await accepted.wait()
    if cancel:
        task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


@pytest.mark.parametrize(("kind", "count"), [(AsyncMember, 10_000), (SyncMember, 1_000)])
async def test_connections_leave_no_task_no_channel_and_no_group(
    kind: Any, count: int, layer: InMemoryChannelLayer
) -> None:
    kind.ended.clear()
    application = kind.as_asgi()
    before = asyncio.all_tasks()
    batch = 100
    for _ in range(count // batch):
        ways = [((SPEAK, LEAVE), False), ((SPEAK, FAIL), False), ((SPEAK,), True), ((), True)]
        await asyncio.gather(
            *(
                connection(application, *ways[number % 4][0], cancel=ways[number % 4][1])
                for number in range(batch)
            )
        )
    assert len(kind.ended) == count
    assert set(kind.ended) == {1000, 1006}
    assert asyncio.all_tasks() == before
    assert dict(layer.channels) == {}
    assert layer.groups == {}


async def test_a_consumer_is_reached_at_once_from_another_thread_and_loop(
    layer: InMemoryChannelLayer,
) -> None:
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    sent: asyncio.Queue[Any] = asyncio.Queue()
    inbox.put_nowait(CONNECT)
    task = asyncio.ensure_future(
        AsyncMember.as_asgi()({"type": "websocket", "path": "/"}, inbox.get, sent.put)
    )
    assert (await sent.get())["type"] == "websocket.accept"

    def in_thread(send: Callable[[], None]) -> None:
        thread = threading.Thread(target=send)
        thread.start()
        # The event loop belongs to this thread, so it does not run in the meantime.
        thread.join()

    message = {"type": "chat.message", "text": "from a thread"}
    in_thread(lambda: BaseChannelLayer.group_send_sync(layer, "everyone", message))
    assert (await asyncio.wait_for(sent.get(), 20))["text"] == "from a thread"
    in_thread(lambda: asyncio.run(layer.group_send("everyone", message)))
    assert (await asyncio.wait_for(sent.get(), 20))["text"] == "from a thread"
    inbox.put_nowait(LEAVE)
    await task


async def test_an_ended_connection_is_garbage(layer: InMemoryChannelLayer) -> None:
    import weakref

    kept: list[Any] = []

    class Noted(AsyncMember):
        async def connect(self) -> None:
            kept.append(weakref.ref(self))
            await self.accept()

    await connection(Noted.as_asgi(), SPEAK, LEAVE, cancel=False)
    await connection(Noted.as_asgi(), SPEAK, FAIL, cancel=False)
    gc.collect()
    assert [reference() for reference in kept] == [None, None]


class Burst(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        for number in range(300):
            await self.channel_layer.group_send("all", {"type": "note", "text": str(number)})


class Listener(AsyncWebsocketConsumer):
    groups = ["all"]

    async def note(self, event: Any) -> None:
        await self.send(event["text"])


async def test_a_burst_in_one_handler_reaches_members_that_are_idle() -> None:
    layer = InMemoryChannelLayer()
    channel_layers.set("default", layer)
    tasks = []
    outboxes: list[asyncio.Queue[Any]] = []
    inboxes: list[asyncio.Queue[Any]] = []
    try:
        for application in (Burst.as_asgi(), Listener.as_asgi(), Listener.as_asgi()):
            inbox: asyncio.Queue[Any] = asyncio.Queue()
            outbox: asyncio.Queue[Any] = asyncio.Queue()
            inbox.put_nowait(CONNECT)
            scope = {"type": "websocket", "path": "/"}
            tasks.append(asyncio.ensure_future(application(scope, inbox.get, outbox.put)))
            assert (await outbox.get())["type"] == "websocket.accept"
            inboxes.append(inbox)
            outboxes.append(outbox)
        inboxes[0].put_nowait(SPEAK)
        for outbox in outboxes[1:]:
            got = [(await asyncio.wait_for(outbox.get(), 20))["text"] for _ in range(300)]
            assert got == [str(number) for number in range(300)]
        assert layer.dropped == 0
        for inbox in inboxes:
            inbox.put_nowait(LEAVE)
        await asyncio.wait(tasks)
    finally:
        channel_layers.set("default", None)
