"""The messages in the database."""

from django.db import models

__all__ = ["HISTORY", "Message"]

# How many earlier messages a new visitor gets.
HISTORY = 20


class Message(models.Model):
    """A message in a room, with the name that its author had at that time."""

    room = models.CharField(max_length=50)
    author = models.CharField(max_length=150)
    text = models.CharField(max_length=500)
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """An index to find the newest messages of a room."""

        indexes = [models.Index(fields=["room", "id"], name="chat_message_room")]

    def __str__(self) -> str:
        """Return the author and the text."""
        return f"{self.author}: {self.text}"

    def as_json(self) -> dict[str, str | int]:
        """Return the message as it is sent to the browser."""
        return {
            "id": self.pk,
            "room": self.room,
            "author": self.author,
            "text": self.text,
            "sent_at": self.sent_at.isoformat(),
        }
