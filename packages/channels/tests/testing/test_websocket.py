from typing import Any, assert_type

import channels.testing
import channels.testing.websocket
import pytest
from channels.generic.websocket import JsonWebsocketConsumer
from channels.testing import WebsocketCommunicator

import channels_testing.websocket


class Mirror(JsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json(content)


def test_it_is_the_module_of_channels_testing() -> None:
    assert channels.testing.websocket is channels_testing.websocket
    assert WebsocketCommunicator is channels_testing.websocket.WebsocketCommunicator


@pytest.mark.parametrize("application", [Mirror, Mirror.as_asgi()])
async def test_it_is_a_client(application: object) -> None:
    communicator = WebsocketCommunicator(application, "/")
    connected, subprotocol = await communicator.connect(20)
    assert_type(connected, bool)
    assert (connected, subprotocol) == (True, None)
    await communicator.send_json_to([1])
    assert await communicator.receive_json_from(20) == [1]
    await communicator.disconnect(timeout=20)
