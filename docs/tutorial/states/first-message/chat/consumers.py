from channels.generic.websocket import AsyncWebsocketConsumer


class ChatConsumer(AsyncWebsocketConsumer):
    groups = ["chat"]

    async def receive(self, text_data=None, bytes_data=None):
        event = {"type": "chat.message", "text": text_data}
        await self.channel_layer.group_send("chat", event)

    async def chat_message(self, event):
        await self.send(text_data=event["text"])
