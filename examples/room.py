"""A room: all who have the page open read what the others write."""

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

MEMORY = "channels.layers.InMemoryChannelLayer"
settings.configure(
    DEBUG=True,
    ROOT_URLCONF=__name__,
    CHANNEL_LAYERS={"default": {"BACKEND": MEMORY}},
)


class Room(AsyncWebsocketConsumer):
    groups = ["room"]

    async def receive(self, text_data=None, bytes_data=None):
        event = {"type": "room.line", "text": text_data}
        await self.channel_layer.group_send("room", event)

    async def room_line(self, event):
        await self.send(text_data=event["text"])


def page(request):
    return HttpResponse("""<!doctype html><title>A room</title>
<form><input aria-label="Line"><button>Send</button></form><pre></pre>
<script>
  const [form, lines] = document.querySelectorAll("form, pre");
  const socket = new WebSocket(`ws://${location.host}/`);
  socket.onmessage = (event) => lines.append(event.data, "\\n");
  form.onsubmit = () => {
    socket.send(form[0].value);
    form.reset();
    return false;
  };
</script>""")


urlpatterns = [path("", page)]
application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": AllowedHostsOriginValidator(Room.as_asgi()),
    }
)
