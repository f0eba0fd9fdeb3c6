"""Saving and sending a message, however it arrived."""

from channels.layers import get_channel_layer

from chat.models import Message

__all__ = ["FEED", "room_group", "say"]

# The group of everybody who follows all rooms.
FEED = "feed"


def room_group(room: str) -> str:
    """Return the name of the group of a room."""
    return f"chat.{room}"


async def say(room: str, author: str, text: str) -> None:
    """Store what somebody wrote in a room, and send it to everybody who follows the room."""
    message = await Message.objects.acreate(room=room, author=author, text=text)
    event = {"type": "chat.message", "message": message.as_json()}
    layer = get_channel_layer()
    assert layer is not None  # the settings have one
    for group in (room_group(room), FEED):
        await layer.group_send(group, event)
