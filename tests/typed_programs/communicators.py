"""Tests of the site, with the types of `channels.testing`."""

from typing import Any, assert_type

from channels.testing import (
    ApplicationCommunicator,
    ChannelsLiveServerTestCase,
    HttpCommunicator,
    WebsocketCommunicator,
)

from channels_testing.http import Response

from .site import application


async def play() -> None:
    communicator = WebsocketCommunicator(application, "/board/chess/", subprotocols=["game.v1"])
    connected, subprotocol = await communicator.connect()
    assert_type(connected, bool)
    assert_type(subprotocol, Any)
    await communicator.send_json_to({"square": 1})
    assert_type(await communicator.receive_json_from(timeout=5), Any)
    assert_type(await communicator.receive_from(), str | bytes)
    assert_type(await communicator.receive_nothing(), bool)
    assert_type(communicator.scope, dict[str, Any])
    await communicator.disconnect()


async def read_notes() -> None:
    communicator = HttpCommunicator(application, "POST", "/notes/", body=b"hello")
    response = await communicator.get_response()
    assert_type(response, Response)
    assert_type(response["status"], int)
    assert_type(response["body"], bytes)


async def add_scores() -> None:
    scope = {"type": "channel", "channel": "scores"}
    communicator = ApplicationCommunicator(application, scope)
    await communicator.send_input({"type": "score.add", "square": 1})
    assert_type(await communicator.receive_output(), dict[str, Any])
    await communicator.wait()


class SiteTests(ChannelsLiveServerTestCase):
    serve_static = False

    def test_it_is_served(self) -> None:
        assert_type(self.live_server_url, str)
        assert_type(self.live_server_ws_url, str)
