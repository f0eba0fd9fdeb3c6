from typing import assert_type

import channels.consumer
from asgiref.testing import ApplicationCommunicator
from channels.consumer import AsyncConsumer, SyncConsumer, get_handler_name

import channels_core.consumer
from channels_core.typing import Message


class Doubler(AsyncConsumer):
    async def number_double(self, message: Message) -> None:
        await self.send({"type": "number.doubled", "number": message["number"] * 2})


class SyncDoubler(SyncConsumer):
    def number_double(self, message: Message) -> None:
        self.send({"type": "number.doubled", "number": message["number"] * 2})


def test_it_is_the_module_of_the_core() -> None:
    assert channels.consumer is channels_core.consumer


async def test_consumers_of_both_colours_run_under_this_name() -> None:
    for consumer in (Doubler, SyncDoubler):
        link = ApplicationCommunicator(consumer.as_asgi(), {"type": "numbers"})
        await link.send_input({"type": "number.double", "number": 21})
        assert await link.receive_output() == {"type": "number.doubled", "number": 42}
        link.stop(exceptions=False)


def test_types_are_seen_through_this_name() -> None:
    assert assert_type(get_handler_name({"type": "chat.message"}), str) == "chat_message"
