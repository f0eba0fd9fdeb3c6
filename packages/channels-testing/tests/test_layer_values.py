import copy
from typing import Any

import pytest

from channels_core.exceptions import MessageTooLarge
from simple_layer import SimpleLayer, breach


class Stringly(SimpleLayer):
    """Turns booleans into numbers."""

    def pack(self, message: Any) -> Any:
        return {key: int(one) if one is True else one for key, one in super().pack(message).items()}


class Deep(SimpleLayer):
    """Takes anything that can be copied."""

    def pack(self, message: Any) -> Any:
        return copy.deepcopy(message)


class Picky(SimpleLayer):
    """Raises errors of another kind."""

    def pack(self, message: Any) -> Any:
        try:
            return super().pack(message)
        except TypeError as error:
            raise ValueError("no") from error


class Short(SimpleLayer):
    """Takes short messages only."""

    def pack(self, message: Any) -> Any:
        if len(repr(message)) > 10_000:
            raise MessageTooLarge("more than 10 kB")
        return super().pack(message)


class Labelled(SimpleLayer):
    """Writes into the message that it was given."""

    async def send(self, channel: str, message: Any) -> None:
        message["__channel__"] = channel
        await super().send(channel, message)


class Shared(SimpleLayer):
    """Hands the sender's message on as it is."""

    def pack(self, message: Any) -> Any:
        return message

    def unpack(self, message: Any) -> Any:
        return message


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        ("test_values_arrive_as_they_were_sent", Stringly, "at ['true'] expected True, got 1"),
        ("test_tuples_arrive_as_lists", Deep, "at ['pair'] expected [1, ['x', []]], got (1, "),
        ("test_a_long_message_arrives", Short, "MessageTooLarge: more than 10 kB"),
        ("test_a_message_is_a_dict", Deep, "expected TypeError or AssertionError, got no error"),
        ("test_a_message_is_a_dict", Picky, "expected TypeError or AssertionError, got ValueErr"),
        ("test_what_cannot_cross_is_refused", Deep, "expected TypeError, got no error"),
        ("test_a_key_is_a_string", Deep, "{1: 'x'}}): expected TypeError, got no error"),
        ("test_sending_leaves_a_message_as_it_was", Labelled, "after it was sent: expected {'ty"),
        ("test_the_sender_keeps_its_message", Shared, "at ['type'] expected 'a', got 'changed'"),
        ("test_a_receiver_owns_its_message", Shared, "at ['type'] expected 'a', got 'changed'"),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[SimpleLayer], said: str) -> None:
    assert said in breach(broken, clause, hangs="within" in said)
