"""What becomes of a message, whichever way it has come in."""

from channels.layers import get_channel_layer

from chat.models import Message

__all__ = ["FEED", "room_group", "say"]

# The group of those who follow all rooms.
FEED = "feed"


def room_group(room: str) -> str:
    """Return the name of the group of those who follow one room."""
    return f"chat.{room}"


async def say(room: str, author: str, text: str) -> None:
    """Keep what somebody has written in a room, and hand it to all who follow."""
    message = await Message.objects.acreate(room=room, author=author, text=text)
    event = {"type": "chat.message", "message": message.as_json()}
    layer = get_channel_layer()
    assert layer is not None  # the settings have one
    for group in (room_group(room), FEED):
        await layer.group_send(group, event)
