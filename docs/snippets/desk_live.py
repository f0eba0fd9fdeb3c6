"""A test through a real server."""

import json

from channels.testing import ChannelsLiveServerTestCase
from django.contrib.auth.models import User
from django.test import override_settings
from websockets.sync.client import connect

from chat.models import Message

__all__ = ["LiveDeskTests"]


@override_settings(
    ASGI_APPLICATION="docs.snippets.desk.application",
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
)
class LiveDeskTests(ChannelsLiveServerTestCase):
    """Test with the cookie that a browser would send."""

    # The sessions are in the memory of a process, so the tests and the server share one.
    serve_in_thread = True

    def test_a_count(self) -> None:
        Message.objects.create(room="tea", author="anna", text="Milk?")
        self.client.force_login(User.objects.create_user("anna"))
        cookie = f"sessionid={self.client.cookies['sessionid'].value}"
        with connect(
            f"{self.live_server_ws_url}/desk/", additional_headers={"Cookie": cookie}
        ) as socket:
            socket.send(json.dumps("count"))
            self.assertEqual(json.loads(socket.recv()), {"messages": 1})
