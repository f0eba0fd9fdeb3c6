"""Saving and sending a message, however it arrived. See docs/topics/channel-layers.md."""

from uuid import UUID

from channels.layers import get_channel_layer

from chat.models import Message

__all__ = ["FEED", "room_group", "say"]

# The group of everybody who follows all rooms.
FEED = "feed"


def room_group(room: str) -> str:
    """Return the name of the group of a room."""
    return f"chat.{room}"


async def say(room: str, author: str, text: str, ref: UUID | None = None) -> tuple[Message, bool]:
    """Store what somebody wrote in a room, and send it to everybody who follows the room.

    Returns:
        The message, and whether it is new. If its author sent the same `ref` before, it is not,
        and nobody gets it again.
    """
    if ref is None:
        message, is_new = await Message.objects.acreate(room=room, author=author, text=text), True
    else:
        message, is_new = await Message.objects.aget_or_create(
            room=room, author=author, ref=ref, defaults={"text": text}
        )
    if is_new:
        layer = get_channel_layer()
        assert layer is not None  # the settings have one
        event = {"type": "chat.message", "message": message.as_json()}
        await layer.group_send(room_group(room), event)
        await layer.group_send(FEED, {"type": "feed.message", "room": room, "id": message.pk})
    return message, is_new
