"""The programs that type checkers read (`make types`) are run too: their types are true."""

import pytest
from channels.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator
from django.test import override_settings

from typed_programs import consumers, with_stubs
from typed_programs.site import application

ORIGIN = [("origin", "http://testserver")]


async def test_what_a_board_sends_over_the_layer_comes_back_as_its_event() -> None:
    scope = {"user": None}
    async with WebsocketCommunicator(
        consumers.Board.as_asgi(), "/board/", subprotocols=["game.v1"], scope=scope
    ) as board:
        await board.send_json_to({"square": 3})
        assert await board.receive_json_from(timeout=5) == {"square": 3}


async def test_the_site_leads_to_its_consumers() -> None:
    with override_settings(ALLOWED_HOSTS=["testserver"]):
        async with WebsocketCommunicator(application, "/more/again/", headers=ORIGIN) as watcher:
            await watcher.send_to(text_data="hello")
            assert await watcher.receive_from(timeout=5) == "hello"


async def test_the_site_answers_requests() -> None:
    communicator = HttpCommunicator(application, "POST", "/notes/", body=b"a note")
    assert (await communicator.get_response(timeout=5))["body"] == b"a note"


async def test_the_site_adds_scores() -> None:
    scope = {"type": "channel", "channel": "scores"}
    async with ApplicationCommunicator(application, scope) as scores:
        await scores.send_input({"type": "score.add", "square": 1})
        assert (await scores.receive_output(timeout=5))["type"] == "score.added"


@pytest.mark.django_db
async def test_the_program_for_the_stubs_does_what_it_says() -> None:
    assert await with_stubs.try_it() == {"type": "job.done", "number": 1}
