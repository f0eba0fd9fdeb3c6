import channels.testing
import channels.testing.http
from channels.generic.http import AsyncHttpConsumer
from channels.testing import HttpCommunicator

import channels_testing.http


class Mirror(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        await self.send_response(200, body, headers=[(b"Content-Type", b"text/plain")])


def test_it_is_the_module_of_channels_testing() -> None:
    assert channels.testing.http is channels_testing.http
    assert HttpCommunicator is channels_testing.http.HttpCommunicator


async def test_it_makes_a_request() -> None:
    communicator = HttpCommunicator(Mirror, "POST", "/", b"hello")
    response = await communicator.get_response(20)
    assert (response["status"], response["body"]) == (200, b"hello")
    assert (b"Content-Type", b"text/plain") in response["headers"]
