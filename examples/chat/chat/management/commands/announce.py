"""The command `announce`, which sends a text to the browsers of all servers."""

from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.core.management.base import BaseCommand, CommandError, CommandParser

from chat.announcing import announce
from chat.forms import MessageForm, RoomForm

__all__ = ["Command"]


class Command(BaseCommand):
    """Announce something in the rooms."""

    help = "Shows a text to everybody who has a room open. It is not stored."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the text and the optional room."""
        parser.add_argument("text", help="what to announce")
        parser.add_argument("--room", help="announce it only in this room")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check the text and the room, and send the announcement."""
        text, room = options["text"], options["room"]
        problems = dict(MessageForm({"text": text}).errors)
        if room is not None:
            problems |= RoomForm({"room": room}).errors
        for field, errors in problems.items():
            raise CommandError(f"{field}: {' '.join(map(str, errors))}")
        if isinstance(get_channel_layer(), InMemoryChannelLayer):
            raise CommandError(
                "With the memory layer, an announcement reaches nobody: each process has its own "
                "layer, and no browser is connected to this process. Set CHANNEL_LAYER to "
                "layers-redis in the environment of the servers and of this command."
            )
        # Not `group_send_sync`, because not every layer has this method.
        async_to_sync(announce)(text, room)
        self.stdout.write(f"Announced in {f'room {room}' if room else 'all rooms'}.")
