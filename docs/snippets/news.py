"""A consumer that passes on what a group is told."""

# begin consumer
from channels.generic.websocket import AsyncWebsocketConsumer


class News(AsyncWebsocketConsumer):
    groups = ["news"]

    async def news_item(self, event):
        await self.send(text_data=event["text"])


# end of the excerpt
