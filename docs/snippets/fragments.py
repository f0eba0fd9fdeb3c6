"""HTML for HTMX and Datastar, over a WebSocket and as server-sent events."""

from collections.abc import Mapping
from typing import Any

from channels.generic.sse import AsyncSseConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path
from django.utils.html import format_html


class HtmxRoom(AsyncJsonWebsocketConsumer):
    """Take the fields of a form, and send the HTML that the page puts in."""

    groups = ["htmx"]

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        # HTMX sends the form's fields, and "HEADERS".
        event = {"type": "room.line", "text": str(content["text"])}
        await self.channel_layer.group_send("htmx", event)

    async def room_line(self, event: Mapping[str, Any]) -> None:
        # format_html escapes what people write; a template does too.
        line = '<ol id="log" hx-swap-oob="beforeend"><li>{}</li></ol>'
        await self.send(text_data=format_html(line, event["text"]))


class HtmxLines(AsyncSseConsumer):
    """Send each line as HTML."""

    groups = ["htmx"]

    async def room_line(self, event: Mapping[str, Any]) -> None:
        await self.send_event(str(format_html("<li>{}</li>", event["text"])))


class DatastarLines(AsyncSseConsumer):
    """Send each line as an event of Datastar 1.0, which appends it to the list."""

    groups = ["htmx"]

    async def room_line(self, event: Mapping[str, Any]) -> None:
        line = format_html("<li>{}</li>", event["text"])
        await self.send_event(
            f"mode append\nselector #log\nelements {line}", event="datastar-patch-elements"
        )


# begin application
application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("lines/", HtmxLines.as_asgi()),
                path("datastar/", DatastarLines.as_asgi()),
            ]
        ),
        "websocket": URLRouter([path("room/", HtmxRoom.as_asgi())]),
    }
)
# end of application
