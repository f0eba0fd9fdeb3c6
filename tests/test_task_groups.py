"""A program opens an anyio task group in `connect` and closes it in whichever handler it likes.

anyio refuses to leave a task group or a cancel scope in another task than the one that entered it.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.test import override_settings

from channels_core._shutdown.draining import draining

MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

language: ContextVar[str] = ContextVar("language", default="none")


def reading_layer() -> Any:
    """Return a layer that consumers have to call `receive` of."""
    from channels.layers import InMemoryChannelLayer

    class Reading(InMemoryChannelLayer):
        async def receive(self, channel: str) -> dict[str, Any]:
            return await super().receive(channel)

    return Reading()


class Program(AsyncWebsocketConsumer):
    """Works beside its handlers, in a task group of its own."""

    ended: list[str]
    started: asyncio.Event

    async def connect(self) -> None:
        if self.channel_layer is not None:
            await self.channel_layer.group_add("room", self.channel_name)
        self.token = language.set("de")
        self.scope_of_tasks = anyio.CancelScope()
        self.scope_of_tasks.__enter__()
        self.work = anyio.create_task_group()
        await self.work.__aenter__()
        self.work.start_soon(anyio.sleep_forever)
        await self.accept()

    async def end(self, where: str) -> None:
        self.work.cancel_scope.cancel()
        await self.work.__aexit__(None, None, None)
        self.scope_of_tasks.__exit__(None, None, None)
        language.reset(self.token)
        self.ended.append(where)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "end":
            await self.end("receive")
            await self.send("ended")
        elif text_data == "fail":
            raise LookupError("broken")
        elif text_data == "wait":
            self.started.set()
            await anyio.sleep_forever()

    async def room_end(self, event: dict[str, Any]) -> None:
        await self.end("layer")
        await self.send("ended")

    async def disconnect(self, code: int) -> None:
        if not self.ended:
            await self.end("disconnect")


@pytest.fixture(params=["none", "memory", "reading"])
async def layer(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    from channels.layers import channel_layers

    kind: str = request.param
    with override_settings(CHANNEL_LAYERS=MEMORY if kind == "memory" else {}):
        if kind == "reading":
            channel_layers.set("default", reading_layer())
        yield kind
        channel_layers.set("default", None)


@pytest.fixture
async def client(layer: str) -> WebsocketCommunicator:
    Program.ended, Program.started = [], asyncio.Event()
    communicator = WebsocketCommunicator(Program.as_asgi(), "/")
    connected, _ = await communicator.connect()
    assert connected
    return communicator


async def test_it_is_closed_in_receive(client: WebsocketCommunicator) -> None:
    await client.send_to(text_data="end")
    assert await client.receive_from() == "ended"
    await client.disconnect()
    assert Program.ended == ["receive"]


async def test_it_is_closed_in_a_handler_of_the_layer(
    client: WebsocketCommunicator, layer: str
) -> None:
    if layer == "none":
        await client.disconnect()
        return
    channel_layer: Any = get_channel_layer()
    await channel_layer.group_send("room", {"type": "room.end"})
    assert await client.receive_from() == "ended"
    await client.disconnect()
    assert Program.ended == ["layer"]


async def test_it_is_closed_when_the_client_leaves(client: WebsocketCommunicator) -> None:
    await client.disconnect()
    assert Program.ended == ["disconnect"]


async def test_it_is_closed_after_an_exception(client: WebsocketCommunicator) -> None:
    await client.send_to(text_data="fail")
    with pytest.raises(LookupError, match="broken"):
        await client.wait()
    assert Program.ended == ["disconnect"]


@pytest.mark.parametrize("busy", [False, True])
async def test_it_is_closed_after_a_cancellation(client: WebsocketCommunicator, busy: bool) -> None:
    if busy:
        await client.send_to(text_data="wait")
        await Program.started.wait()
    client.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.future
    assert Program.ended == ["disconnect"]


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.skipif(not hasattr(signal, "SIGTERM"), reason="this system has no such signal")
async def test_it_is_closed_at_the_stop_of_a_server(layer: str, busy: bool) -> None:
    """The signal comes to a server's handler, which Channels has taken."""
    told = asyncio.Event()
    previous = signal.signal(signal.SIGTERM, lambda *_: told.set())
    try:
        with override_settings(CHANNELS_DRAIN_TIMEOUT=0.05):
            Program.ended, Program.started = [], asyncio.Event()
            client = WebsocketCommunicator(Program.as_asgi(), "/")
            await client.connect()
            if busy:
                await client.send_to(text_data="wait")
                await Program.started.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            assert (await client.receive_output(5))["code"] == 1012
            await client.wait()
            await asyncio.wait_for(told.wait(), 20)
    finally:
        signal.signal(signal.SIGTERM, previous)
        draining.forget()  # in this process, other tests go on
    assert Program.ended == ["disconnect"]
