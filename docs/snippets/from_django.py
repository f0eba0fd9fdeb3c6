"""Sending to a channel layer from synchronous code."""

# The settings have a layer, so `get_channel_layer()` does not return None.
# mypy: disable-error-code="union-attr"

from typing import Any

from channels.layers import get_channel_layer, group_send_sync
from django.http import HttpRequest, HttpResponse

from chat.models import Message


def announce(request: HttpRequest) -> HttpResponse:
    """Send to everybody in a group, from a view."""
    layer = get_channel_layer()
    layer.group_send_sync("news", {"type": "news.item", "text": "The shop is open."})
    return HttpResponse(status=204)


def announce_elsewhere(layer: Any) -> None:
    """Send to everybody in a group, over a layer of any kind."""
    group_send_sync(layer, "news", {"type": "news.item", "text": "The shop is open."})


def message_saved(sender: type[Message], instance: Message, **kwargs: Any) -> None:
    """Announce a new row to a group, from a `post_save` signal."""
    event = {"type": "chat.message", "message": instance.as_json()}
    get_channel_layer().group_send_on_commit(f"chat.{instance.room}", event)
