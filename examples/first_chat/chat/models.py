"""The messages in the database."""

from django.db import models

__all__ = ["Message"]


class Message(models.Model):
    """Keep what one visitor wrote in one room."""

    room = models.CharField(max_length=50)
    author = models.CharField(max_length=40)
    text = models.CharField(max_length=500)
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Make the newest messages of one room quick to find."""

        indexes = [models.Index(fields=["room", "id"], name="chat_message_room")]

    def __str__(self) -> str:
        """Return the author and the text."""
        return f"{self.author}: {self.text}"

    def as_json(self) -> dict[str, str | int]:
        """Return the message as it is sent to the browser."""
        return {
            "id": self.pk,
            "author": self.author,
            "text": self.text,
            "sent_at": self.sent_at.isoformat(),
        }
