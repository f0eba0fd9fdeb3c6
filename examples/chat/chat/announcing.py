"""What the site itself has to say, to whoever is there at the moment."""

from channels.layers import get_channel_layer
from django.utils import timezone

__all__ = ["EVERYBODY", "announce"]

# The group of those who have a room open, whichever it is.
EVERYBODY = "everybody"


async def announce(text: str, room: str | None = None) -> None:
    """Tell everybody, or those in one room; who comes later does not hear of it."""
    layer = get_channel_layer()
    assert layer is not None  # the settings have one
    sent_at = timezone.now().isoformat()
    event = {"type": "chat.announcement", "room": room, "text": text, "sent_at": sent_at}
    await layer.group_send(EVERYBODY, event)
