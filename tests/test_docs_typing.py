"""What the page about types shows, run; `make types` checks it."""

import re
from typing import Any, get_type_hints

import channels.typing
import pytest
from channels.exceptions import InvalidFrame
from channels.testing import WebsocketCommunicator

from docs.snippets import typed
from served import ROOT

PAGE = (ROOT / "docs" / "topics" / "typing.md").read_text()


async def test_a_room_sends_lines_to_all_of_its_members() -> None:
    async with (
        WebsocketCommunicator(typed.application, "/room/") as anna,
        WebsocketCommunicator(typed.application, "/room/") as bert,
    ):
        assert typed.members() == 2
        await anna.send_json_to({"text": "hello"})
        for member in (anna, bert):
            assert await member.receive_json_from(timeout=5) == {"text": "hello"}
        await typed.announce("closing time")
        assert await bert.receive_json_from(timeout=5) == {"text": "closing time"}


@pytest.mark.django_db
async def test_a_checked_room_closes_on_what_is_no_line() -> None:
    communicator = WebsocketCommunicator(typed.application, "/checked/", user=None)
    await communicator.connect(timeout=5)
    await communicator.send_json_to({"text": "hello"})
    assert await communicator.receive_json_from(timeout=5) == {"text": "hello"}
    await communicator.send_json_to({"text": 1})
    await communicator.assert_closed(1007, timeout=5)
    with pytest.raises(InvalidFrame, match="not JSON: ValueError"):
        await communicator.wait(timeout=5)


async def test_a_doorway_reads_its_scope() -> None:
    communicator = WebsocketCommunicator(typed.application, "/doorway/", scope={"cookies": {}})
    async with communicator as visitor:
        assert await visitor.receive_from(timeout=5) == "/doorway/ []"


async def test_a_counting_room_counts() -> None:
    async with WebsocketCommunicator(typed.CountingRoom.as_asgi(), "/") as communicator:
        for number in (1, 2):
            await communicator.send_json_to({"text": "hello"})
            answer = await communicator.receive_json_from(timeout=5)
            assert answer == {"text": "hello", "number": number}


def test_the_table_of_events_names_types_that_have_that_type() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| `(\w+)` \|$", PAGE, flags=re.MULTILINE)
    assert len(rows) == 5
    for kind, name in rows:
        event: Any = getattr(channels.typing, name)
        assert get_type_hints(event)["type"].__args__ == (kind,)


def test_the_table_of_the_scope_is_complete() -> None:
    table = PAGE.partition("## The scope")[2].partition("## ")[0]
    rows = set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE))
    # `state` is the server's.
    assert rows == channels.typing.WebsocketScope.__optional_keys__ - {"state"}
    assert rows == channels.typing.HttpScope.__optional_keys__ - {"state"}
