"""Tests of the site, which act as its server."""

import json
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.layers import InMemoryChannelLayer, get_channel_layer
from channels.routing import get_default_application
from django.test import TransactionTestCase
from django.test.utils import override_settings

from .consumers import Printer
from .models import Line

SERVED = b"https://lobby.example"


class Socket:
    """A browser's WebSocket."""

    def __init__(self, path: str, query: bytes = b"", origin: bytes = SERVED) -> None:
        self.link = ApplicationCommunicator(
            get_default_application(),
            {
                "type": "websocket",
                "path": path,
                "query_string": query,
                "headers": [(b"host", b"lobby.example"), (b"origin", origin)],
                "subprotocols": [],
            },
        )

    async def connect(self) -> str:
        await self.link.send_input({"type": "websocket.connect"})
        return str((await self.link.receive_output())["type"])

    async def say(self, value: object) -> None:
        await self.link.send_input({"type": "websocket.receive", "text": json.dumps(value)})

    async def hear(self) -> Any:
        return json.loads((await self.link.receive_output())["text"])

    async def leave(self) -> None:
        await self.link.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.link.wait()


class RoomTests(TransactionTestCase):
    """Rooms of both colours."""

    async def test_both_colours_hear_what_is_said(self) -> None:
        sockets = [Socket("/ws/room/tea/"), Socket("/ws/async-room/tea/", b"member=ann")]
        for socket in sockets:
            assert await socket.connect() == "websocket.accept"
        for text, speaker in zip(("one", "two"), sockets, strict=True):
            await speaker.say({"text": text})
            for socket in sockets:
                assert await socket.hear() == {"text": text}
        assert [line.text async for line in Line.objects.order_by("pk")] == ["one", "two"]
        for socket in sockets:
            await socket.leave()
        layer = get_channel_layer()
        assert isinstance(layer, InMemoryChannelLayer)
        assert (dict(layer.groups), len(layer.channels)) == ({}, 0)

    async def test_who_is_no_member_is_refused(self) -> None:
        socket = Socket("/ws/async-room/tea/")
        assert await socket.connect() == "websocket.close"
        await socket.leave()

    async def test_another_site_is_refused(self) -> None:
        socket = Socket("/ws/room/tea/", origin=b"https://elsewhere.example")
        assert await socket.connect() == "websocket.close"

    async def test_a_view_speaks_to_a_room(self) -> None:
        socket = Socket("/ws/room/tea/")
        await socket.connect()
        headers = {"host": "lobby.example"}
        response = await self.async_client.get("/announce/tea/", headers=headers)
        assert response.status_code == 204
        assert await socket.hear() == {"text": "closing"}
        await socket.leave()


class CounterTests(TransactionTestCase):
    """The WebSocket with JSON, and the worker behind it."""

    async def test_it_counts_and_prints(self) -> None:
        await Line.objects.acreate(room="tea", text="one")
        socket = Socket("/ws/count/")
        await socket.connect()
        await socket.say({"action": "count", "room": "tea"})
        assert await socket.hear() == {"lines": 1}
        await socket.say({"action": "print", "room": "tea"})
        layer = get_channel_layer()
        assert layer is not None
        worker = ApplicationCommunicator(
            get_default_application(), {"type": "channel", "channel": "printer"}
        )
        await worker.send_input(await layer.receive("printer"))
        await worker.send_input({"type": "print.stop"})
        await worker.wait()
        assert Printer.printed == ["one"]
        await socket.leave()

    async def test_a_full_printer_ends_the_connection(self) -> None:
        layer = get_channel_layer()
        assert layer is not None
        for _ in range(5):
            await layer.send("printer", {"type": "print.page", "room": "tea"})
        socket = Socket("/ws/count/")
        await socket.connect()
        await socket.say({"action": "print", "room": "tea"})
        assert await socket.hear() == {"error": "busy"}
        assert (await socket.link.receive_output())["type"] == "websocket.close"
        await socket.leave()
        await layer.flush()

    async def test_what_is_unknown_ends_the_connection(self) -> None:
        socket = Socket("/ws/count/")
        await socket.connect()
        await socket.say({"action": "sing"})
        answer = await socket.link.receive_output()
        assert (answer["type"], answer["code"]) == ("websocket.close", 4000)
        await socket.leave()

    async def test_old_connections_are_closed_around_database_work(self) -> None:
        socket = Socket("/ws/count/")
        await socket.connect()
        with mock.patch("channels.db.close_old_connections") as close:
            await socket.say({"action": "count", "room": "tea"})
            await socket.hear()
        close.assert_called()
        await socket.leave()


class SiteTests(TransactionTestCase):
    """The pages."""

    async def test_pages_are_django_s(self) -> None:
        link = ApplicationCommunicator(
            get_default_application(),
            {
                "type": "http",
                "method": "GET",
                "path": "/",
                "query_string": b"",
                "headers": [(b"host", b"lobby.example")],
            },
        )
        await link.send_input({"type": "http.request", "body": b""})
        assert (await link.receive_output())["status"] == 200
        assert (await link.receive_output())["body"] == b"lobby"

    async def test_other_settings_bring_another_layer(self) -> None:
        before = get_channel_layer()
        with override_settings(
            CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
        ):
            assert await sync_to_async(get_channel_layer)() is not before
