"""Sending to a channel layer from synchronous code."""

# A site knows that its settings have a layer, so that it is never None.
# mypy: disable-error-code="union-attr"

from typing import Any

from channels.layers import get_channel_layer, group_send_sync
from django.http import HttpRequest, HttpResponse

from chat.models import Message


def announce(request: HttpRequest) -> HttpResponse:
    """Tell everybody in a group, from a view."""
    layer = get_channel_layer()
    layer.group_send_sync("news", {"type": "news.item", "text": "The shop is open."})
    return HttpResponse(status=204)


def announce_elsewhere(layer: Any) -> None:
    """Tell everybody in a group, over a layer of any kind."""
    group_send_sync(layer, "news", {"type": "news.item", "text": "The shop is open."})


def message_saved(sender: type[Message], instance: Message, **kwargs: Any) -> None:
    """Tell a group of a new row, from a `post_save` signal."""
    event = {"type": "chat.message", "message": instance.as_json()}
    get_channel_layer().group_send_on_commit(f"chat.{instance.room}", event)
