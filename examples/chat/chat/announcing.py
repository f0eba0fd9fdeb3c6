"""Announcements to everybody who has a room open: docs/topics/channel-layers.md."""

from channels.layers import get_channel_layer
from django.utils import timezone

__all__ = ["EVERYBODY", "announce"]

# The group of all members who have any room open.
EVERYBODY = "everybody"


async def announce(text: str, room: str | None = None) -> None:
    """Send a text to everybody, or to one room. It is not stored."""
    layer = get_channel_layer()
    assert layer is not None  # the settings have one
    sent_at = timezone.now().isoformat()
    event = {"type": "chat.announcement", "room": room, "text": text, "sent_at": sent_at}
    await layer.group_send(EVERYBODY, event)
