"""The command `announce`: reach the browsers of all servers from a shell."""

from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.core.management.base import BaseCommand, CommandError, CommandParser

from chat.announcing import announce
from chat.forms import MessageForm, RoomForm

__all__ = ["Command"]


class Command(BaseCommand):
    """Announce something in the rooms."""

    help = "Shows a text to all who have a room open at the moment. It is not kept."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the text, and perhaps a room."""
        parser.add_argument("text", help="what to announce")
        parser.add_argument("--room", help="announce it in this room alone")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check it like anything that comes from outside, and send it."""
        text, room = options["text"], options["room"]
        problems = dict(MessageForm({"text": text}).errors)
        if room is not None:
            problems |= RoomForm({"room": room}).errors
        for field, errors in problems.items():
            raise CommandError(f"{field}: {' '.join(map(str, errors))}")
        if isinstance(get_channel_layer(), InMemoryChannelLayer):
            raise CommandError(
                "With the memory layer it reaches nobody: each process has a layer of its own, "
                "and no browser is connected to this one. Start the servers and this command with "
                "CHANNEL_LAYER=redis in the environment."
            )
        # Not `group_send_sync`, for not every layer has it.
        async_to_sync(announce)(text, room)
        self.stdout.write(f"Announced in {f'room {room}' if room else 'all rooms'}.")
