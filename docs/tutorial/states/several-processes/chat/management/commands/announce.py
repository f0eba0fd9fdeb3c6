"""Announce something in all rooms."""

from channels.layers import get_channel_layer
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Show a text to all who have a room open."

    def add_arguments(self, parser):
        parser.add_argument("text")

    def handle(self, *args, **options):
        event = {"type": "chat.announcement", "text": options["text"]}
        get_channel_layer().group_send_sync("everybody", event)
        self.stdout.write("Announced.")
