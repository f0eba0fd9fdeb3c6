"""The messages in the database, and how far each member has read."""

from typing import Any

from django.conf import settings
from django.db import models

__all__ = ["HISTORY", "Message", "Reading", "active_rooms", "latest"]

# How many messages a page gets at a time.
HISTORY = 20


class Message(models.Model):
    """A message in a room, with the name that its author had at that time."""

    room = models.CharField(max_length=50)
    author = models.CharField(max_length=150)
    text = models.CharField(max_length=500)
    sent_at = models.DateTimeField(auto_now_add=True)
    # A page chooses it. If the page sends the message again, it is still stored once.
    ref = models.UUIDField(null=True)

    class Meta:
        """An index to find the newest messages of a room."""

        indexes = [models.Index(fields=["room", "id"], name="chat_message_room")]
        constraints = [
            models.UniqueConstraint(fields=["room", "author", "ref"], name="chat_message_once")
        ]

    def __str__(self) -> str:
        """Return the author and the text."""
        return f"{self.author}: {self.text}"

    def as_json(self) -> dict[str, str | int]:
        """Return the message as it is sent to the browser."""
        ref = {"ref": self.ref.hex} if self.ref else {}
        return {
            "id": self.pk,
            "room": self.room,
            "author": self.author,
            "text": self.text,
            "sent_at": self.sent_at.isoformat(),
            **ref,
        }


class Reading(models.Model):
    """The last message that a member has read in a room."""

    member = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    room = models.CharField(max_length=50)
    last = models.BigIntegerField(default=0)

    class Meta:
        """One row for each member and room."""

        constraints = [models.UniqueConstraint(fields=["member", "room"], name="chat_reading_once")]

    def __str__(self) -> str:
        """Return the member and the room."""
        return f"{self.member} in {self.room}"


def active_rooms() -> "models.QuerySet[Message, str]":
    """Return the names of the rooms with messages, the one with the newest message first."""
    rooms = Message.objects.values_list("room", flat=True).annotate(newest=models.Max("id"))
    return rooms.order_by("-newest")


async def latest(messages: "models.QuerySet[Message]") -> list[dict[str, Any]]:
    """Return the newest of these messages as JSON, oldest first."""
    newest_first = messages.order_by("-id")[:HISTORY]
    return [message.as_json() async for message in newest_first][::-1]
