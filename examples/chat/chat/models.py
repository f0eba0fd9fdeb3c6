"""What the site keeps in its database."""

from django.db import models

__all__ = ["HISTORY", "Message"]

# How many messages somebody gets who comes later.
HISTORY = 20


class Message(models.Model):
    """Keep what one member wrote in one room, under the name that they had then."""

    room = models.CharField(max_length=50)
    author = models.CharField(max_length=150)
    text = models.CharField(max_length=500)
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Make the newest messages of one room quick to find."""

        indexes = [models.Index(fields=["room", "id"], name="chat_message_room")]

    def __str__(self) -> str:
        """Return the line as a reader would quote it."""
        return f"{self.author}: {self.text}"

    def as_json(self) -> dict[str, str | int]:
        """Return the message as the browser gets it."""
        return {
            "id": self.pk,
            "room": self.room,
            "author": self.author,
            "text": self.text,
            "sent_at": self.sent_at.isoformat(),
        }
