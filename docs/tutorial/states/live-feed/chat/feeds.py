"""The consumer of the feed: the messages of all rooms."""

from channels.generic.sse import AsyncSseConsumer

from chat.models import Message


class FeedConsumer(AsyncSseConsumer, response_timeout=300):
    groups = ["feed"]

    async def connect(self):
        # What the browser got last. It may send anything.
        last = self.last_event_id
        if not (last.isdecimal() and len(last) < 19):
            newest = Message.objects.order_by("-id")[20:]
            last = await newest.values_list("id", flat=True).afirst()
        self.last = int(last or 0)
        await self.send_newer()

    async def chat_message(self, event):
        await self.send_newer()

    async def send_newer(self):
        newer = Message.objects.filter(id__gt=self.last)
        async for message in newer.order_by("id"):
            self.last = message.pk
            await self.send_event(message.as_json(), id=self.last)
