"""A room: a message to a group, sent to each of its connections as a frame."""

import asyncio
import gc
from collections import deque
from typing import Any

from benchmarks.case import Case, Row, Scale
from benchmarks.clients import Client
from benchmarks.clock import cpu, run
from benchmarks.honesty import check_copies, check_equal, check_sequence
from benchmarks.site import MEMORY, set_up

PEERS = ("ours", "upstream", "litestar", "limit")

CASE = Case(
    number=4,
    title="Chat in the process",
    method="As many connections are in a group of the memory layer. The time runs from "
    "`group_send` until each connection's last `websocket.send`. Litestar: its ChannelsPlugin"
    " with the memory backend. The limit: a mailbox and a task for each connection.",
    rows=(
        Row("connections-100", "chat, 100 connections", "delivery", PEERS, size=100),
        Row(
            "connections-1000", "chat, 1,000 connections", "delivery", PEERS, size=1000, quick=False
        ),
    ),
)


class Room:
    """An application, and how a message gets to all its connections.

    `copies` sends one more message, and returns the list of what each connection receives, which is
    complete when the frames have arrived. It is None where messages are bytes: nobody can change
    those.
    """

    def __init__(
        self, application: Any, broadcast: Any, *, copies: Any = None, startup: Any = None
    ) -> None:
        self.application = application
        self.broadcast = broadcast
        self.copies = copies
        self.startup = startup


def channels(row: Row) -> Any:
    """Return a consumer of Channels that is in a group."""
    set_up(CHANNEL_LAYERS=MEMORY)
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.layers import get_channel_layer

    received: list[Any] = []

    class Member(AsyncWebsocketConsumer):
        groups = ["room"]

        async def chat_message(self, event: Any) -> None:
            await self.send(text_data=event["text"])

        async def chat_copy(self, event: Any) -> None:
            received.append(event)
            await self.send(text_data=event["text"])

    async def broadcast(text: str, kind: str = "chat.message") -> None:
        layer: Any = get_channel_layer()
        await layer.group_send("room", {"type": kind, "text": text})

    async def copies(text: str) -> list[Any]:
        await broadcast(text, "chat.copy")
        return received

    return Room(Member.as_asgi(), broadcast, copies=copies)


def litestar(row: Row) -> Any:
    """Return a handler of Litestar that subscribes to a channel of its plugin."""
    from litestar import Litestar, WebSocket, websocket
    from litestar.channels import ChannelsPlugin
    from litestar.channels.backends.memory import MemoryChannelsBackend
    from litestar.exceptions import WebSocketDisconnect

    plugin = ChannelsPlugin(MemoryChannelsBackend(), channels=["room"])

    @websocket("/")
    async def member(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()

        async def forward(data: bytes) -> None:
            await socket.send_text(data.decode())

        async with (
            plugin.start_subscription("room") as subscriber,
            subscriber.run_in_background(forward),
        ):
            try:
                while True:
                    plugin.publish(await socket.receive_text(), "room")
            except WebSocketDisconnect:
                pass

    async def broadcast(text: str) -> None:
        await plugin.wait_published(text, "room")

    async def startup() -> None:
        # What the server's lifespan does.
        await plugin._on_startup()

    application = Litestar([member], plugins=[plugin], openapi_config=None)
    return Room(application, broadcast, startup=startup)


def limit(row: Row) -> Any:
    """Return mailboxes."""
    members: dict[int, Any] = {}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        loop = asyncio.get_running_loop()
        mailbox: list[Any] = [deque(), None]
        members[id(mailbox)] = mailbox

        async def deliver() -> None:
            messages = mailbox[0]
            while True:
                while messages:
                    await send({"type": "websocket.send", "text": messages.popleft()["text"]})
                mailbox[1] = loop.create_future()
                await mailbox[1]

        task = asyncio.create_task(deliver())
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            del members[id(mailbox)]
            task.cancel()

    async def broadcast(text: str) -> None:
        message = {"type": "chat.message", "text": text}
        for mailbox in members.values():
            mailbox[0].append(message.copy())
            if mailbox[1] is not None:
                mailbox[1].set_result(None)
                mailbox[1] = None

    async def copies(text: str) -> list[Any]:
        await broadcast(text)
        return [mailbox[0][-1] for mailbox in members.values()]

    return Room(application, broadcast, copies=copies)


PROGRAMS = {"ours": channels, "upstream": channels, "litestar": litestar, "limit": limit}


def measure(program: Any, row: Row, scale: Scale) -> float:
    """Return the CPU seconds for one delivery."""
    count = max(3, scale.count(8000, 300) // row.size)
    return run(chat(program, row.size, count), row)


class Member(Client):
    """A client whose frames are counted together with those of the others."""

    left = [0]
    done: asyncio.Future[None] | None = None

    async def _send(self, message: dict[str, Any]) -> None:
        await super()._send(message)
        if Member.done is not None:
            Member.left[0] -= 1
            if not Member.left[0]:
                Member.done.set_result(None)


async def chat(room: Room, size: int, count: int) -> float:
    """Send messages to the room, and return the smallest cost of a delivery."""
    if room.startup:
        await room.startup()
    members = [Member(room.application) for _ in range(size)]
    for member in members:
        await member.accepted()
    for _ in range(10):
        await asyncio.sleep(0)
    figures: list[float] = []
    texts = [f"hello {number}" for number in range(count + 2)]
    gc.collect()
    try:
        for text in texts[:-1]:
            arrived = all_arrive(size)
            start = cpu()
            await room.broadcast(text)
            await arrived
            figures.append((cpu() - start) / size)
        # What is shared could not be seen in the frames, so one more message is for that.
        arrived = all_arrive(size)
        received = await (room.copies or room.broadcast)(texts[-1])
        await arrived
    except asyncio.CancelledError:
        # `run` ends the wait for a frame that was lost.
        check_frames(members, texts[: len(figures) + 1])
        raise
    Member.done = None
    check_frames(members, texts)
    if room.copies:
        check_equal("messages that connections received", size, len(received))
        check_copies("a message to the room", received, spoil)
    frames = {id(message) for member in members for message in member.sent}
    check_equal(
        "messages to servers that are objects of their own", size * (count + 3), len(frames)
    )
    for member in members:
        await member.leave()
    return min(figures[1:])


def all_arrive(size: int) -> asyncio.Future[None]:
    """Return a future that is done when so many frames have arrived."""
    Member.left[0] = size
    Member.done = asyncio.get_running_loop().create_future()
    return Member.done


def check_frames(members: list[Member], texts: list[str]) -> None:
    """Check that each member got a frame for each text."""
    for number, member in enumerate(members):
        check_sequence(f"frames of member {number}", texts, member.texts())


def spoil(message: dict[str, Any]) -> None:
    """Change a message."""
    message["text"] = "spoiled"
