from typing import Any

import pytest

from simple_layer import Queue, SimpleLayer, breach


def naming(*names: Any) -> type[SimpleLayer]:
    """Make a layer that gives new channels these names, and the last one ever after."""

    class Naming(SimpleLayer):
        left = list(names)

        async def new_channel(self, prefix: str = "specific.") -> Any:
            return self.left.pop(0) if len(self.left) > 1 else self.left[0]

    return Naming


class Careless(SimpleLayer):
    """Takes any name."""

    def check(self, channel: str) -> None:
        pass

    def check_group(self, group: str) -> None:
        pass


class CarelessOfChannels(SimpleLayer):
    """Takes any name of a channel."""

    def check(self, channel: str) -> None:
        pass


class OtherError(SimpleLayer):
    """Raises another error for a bad name."""

    def check(self, channel: str) -> None:
        try:
            super().check(channel)
        except TypeError as error:
            raise ValueError("bad name") from error


class Strict(SimpleLayer):
    """Takes names of lower-case letters only."""

    def check(self, channel: str) -> None:
        if not channel.replace("!", "").replace(".", "").islower():
            raise TypeError(f"{channel} is refused")

    def check_group(self, group: str) -> None:
        self.check(group)


class Prefixed(SimpleLayer):
    """Looks at a name up to its mark."""

    def queue(self, channel: str) -> Queue:
        return super().queue(channel.partition("!")[0])


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        ("test_new_channels_have_valid_names", naming(b"a!b"), "expected <class 'str'>, got <cla"),
        ("test_new_channels_have_valid_names", naming("a b"), "with one '!' at most, got 'a b'"),
        ("test_new_channels_have_valid_names", naming("a" * 100), "at most 99 characters, got 100"),
        ("test_new_channels_are_marked_as_specific", naming("ab"), "expected a '!' in it, got 'ab"),
        ("test_new_channels_have_names_of_their_own", naming("a!"), "expected 100, got 1"),
        ("test_the_part_after_the_mark_counts", Prefixed, "expected 'other', got 'one'"),
        ("test_send_takes_valid_channel_names", Strict, "TypeError: Z9 is refused"),
        ("test_send_refuses_invalid_channel_names", Careless, "send: expected a TypeError for the"),
        ("test_send_refuses_invalid_channel_names", OtherError, "got ValueError('bad name')"),
        ("test_receive_refuses_invalid_channel_names", Careless, "name '', got TimeoutError()"),
        ("test_groups_take_valid_names", Strict, "TypeError: Z9 is refused"),
        ("test_groups_take_valid_channel_names", Strict, "TypeError: Z9 is refused"),
        ("test_group_add_refuses_invalid_names", Careless, "group_add, the group: expected a"),
        ("test_group_add_refuses_invalid_names", CarelessOfChannels, "group_add, the channel: "),
        ("test_group_discard_refuses_invalid_names", Careless, "group_discard, the group: "),
        ("test_group_send_refuses_invalid_names", Careless, "group_send: expected a TypeError fo"),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[SimpleLayer], said: str) -> None:
    assert said in breach(broken, clause, hangs="Timeout" in said)
