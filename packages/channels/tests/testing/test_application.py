import channels.testing
import channels.testing.application
import pytest
from channels.consumer import AsyncConsumer
from channels.testing import ApplicationCommunicator

import channels_testing.application
from channels_core.typing import Message


class Ping(AsyncConsumer):
    async def test_ping(self, message: Message) -> None:
        await self.send({"type": "pong"})


def test_it_is_the_module_of_channels_testing() -> None:
    assert channels.testing.application is channels_testing.application
    assert ApplicationCommunicator is channels_testing.application.ApplicationCommunicator


@pytest.mark.parametrize("application", [Ping, Ping.as_asgi()])
async def test_it_drives_a_consumer(application: object) -> None:
    communicator = ApplicationCommunicator(application, {"type": "test"})
    await communicator.send_input({"type": "test.ping"})
    assert await communicator.receive_output(20) == {"type": "pong"}
    assert await communicator.receive_nothing()
    communicator.stop()
