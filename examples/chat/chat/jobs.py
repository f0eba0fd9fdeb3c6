"""Work outside the servers: run it with `python manage.py runworker chat-stats`.

See docs/topics/workers.md.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from channels.consumer import AsyncConsumer
from channels.db import database_sync_to_async

from chat.models import Message

__all__ = ["STATS", "StatsConsumer", "count"]

# The channel of the jobs.
STATS = "chat-stats"


class StatsConsumer(AsyncConsumer):
    """Count the messages of a room, for the member who asks."""

    async def stats_count(self, event: Mapping[str, Any]) -> None:
        """Count, and send the result to the connection that asked, in whichever process it is."""
        stats = await database_sync_to_async(count)(event["room"])
        await self.channel_layer.send(event["reply_to"], {"type": "stats.ready", "stats": stats})


def count(room: str) -> dict[str, Any]:
    """Read all messages of a room: this may take a while, so it runs in a thread."""
    authors: Counter[str] = Counter()
    words = 0
    said = Message.objects.filter(room=room).values_list("author", "text")
    for author, text in said.iterator():
        authors[author] += 1
        words += len(text.split())
    # Lists, because channel layers turn tuples into lists.
    first = [[author, number] for author, number in authors.most_common(3)]
    return {"messages": authors.total(), "words": words, "authors": first}
