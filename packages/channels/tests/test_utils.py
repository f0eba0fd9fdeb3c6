import asyncio
from typing import assert_type

import channels.utils
import pytest
from channels.exceptions import StopConsumer
from channels.utils import await_many_dispatch, name_that_thing

import channels_core.legacy
from channels_core.typing import Message


def test_it_is_the_module_that_the_core_keeps_for_it() -> None:
    assert channels.utils is channels_core.legacy


def test_a_thing_is_named() -> None:
    assert assert_type(name_that_thing(asyncio.Queue), str) == "asyncio.queues.Queue"


async def test_messages_of_several_sources_are_dispatched() -> None:
    first, second = asyncio.Queue[Message](), asyncio.Queue[Message]()
    seen = []

    async def dispatch(message: Message) -> None:
        seen.append(message["type"])
        if message["type"] == "one":
            await second.put({"type": "two"})
        else:
            raise StopConsumer

    await first.put({"type": "one"})
    with pytest.raises(StopConsumer):
        await await_many_dispatch([first.get, second.get], dispatch)
    assert seen == ["one", "two"]
