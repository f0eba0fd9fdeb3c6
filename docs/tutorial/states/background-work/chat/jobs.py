"""Work for `python manage.py runworker chat-stats`."""

from collections import Counter

from channels.consumer import SyncConsumer

from chat.models import Message


class StatsConsumer(SyncConsumer):
    def stats_count(self, job):
        """Count the words of each author in a room."""
        words = Counter()
        messages = Message.objects.filter(room=job["room"])
        for author, text in messages.values_list("author", "text"):
            words[author] += len(text.split())
        answer = {"type": "stats.ready", "words": dict(words)}
        self.channel_layer.send_sync(job["reply_to"], answer)
