"""The views."""

from channels.layers import get_channel_layer
from django.http import HttpRequest, HttpResponse


async def ring(request: HttpRequest) -> HttpResponse:
    """Answer all the requests that are held."""
    layer = get_channel_layer()
    assert layer is not None
    await layer.group_send("callers", {"type": "call.answered", "text": "hello"})
    return HttpResponse("rung")
