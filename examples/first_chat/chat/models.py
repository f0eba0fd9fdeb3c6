"""The messages in the database."""

from django.db import models


class Message(models.Model):
    room = models.CharField(max_length=50)
    # As long as a username may be.
    author = models.CharField(max_length=150)
    text = models.CharField(max_length=500)
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["room", "id"], name="chat_message_room"
            )
        ]

    def __str__(self):
        return f"{self.author}: {self.text}"

    def as_json(self):
        """Return what a browser gets."""
        return {
            "id": self.pk,
            "room": self.room,
            "author": self.author,
            "text": self.text,
            "sent_at": self.sent_at.isoformat(),
        }
