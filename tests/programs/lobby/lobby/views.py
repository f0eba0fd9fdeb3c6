"""A page, and a view that sends to the WebSockets."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.http import HttpRequest, HttpResponse


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse("lobby")


def announce(request: HttpRequest, room: str) -> HttpResponse:
    layer = get_channel_layer()
    assert layer is not None
    async_to_sync(layer.group_send)(f"room_{room}", {"type": "room.line", "text": "closing"})
    return HttpResponse(status=204)
