import asyncio
import unittest
from collections.abc import Callable
from typing import Any

import pytest

from channels_core.exceptions import MessagesMissed
from extended_layer import ExtendedContract, ExtendedLayer, extended_breach


class Silent(ExtendedLayer):
    """Loses messages silently."""

    def report_gap(self, channel: str) -> None:
        pass


class Broken(ExtendedLayer):
    """Tells of a gap again and again."""

    def report_gap(self, channel: str) -> None:
        if channel in self.store.missed:
            raise MessagesMissed


class Sleeping(ExtendedLayer):
    """Does not wake those who missed something."""

    def lose(self) -> None:
        for members in self.store.groups.values():
            self.store.missed.update(members)


class Leaving(ExtendedLayer):
    """Forgets the members who missed something."""

    def lose(self) -> None:
        super().lose()
        self.store.groups.clear()


class Waiting(ExtendedLayer):
    """Wakes listeners only once."""

    def ring(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], object]) -> None:
        if not self.store.histories:
            super().ring(loop, wake)
        self.store.histories["rung"].newest = 1


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        (
            "test_who_waits_is_told_of_a_gap",
            Sleeping,
            "expected a MessagesMissed, got TimeoutError",
        ),
        ("test_who_waits_is_told_of_a_gap", Broken, "MessagesMissed"),
        ("test_who_waits_is_told_of_a_gap", Leaving, "got none within 0.01 s"),
        ("test_a_gap_is_told_later", Silent, "expected a MessagesMissed, got TimeoutError"),
        ("test_a_gap_is_told_later", Broken, "MessagesMissed"),
        ("test_a_listener_is_told_of_a_gap", Silent, "expected a MessagesMissed, got None"),
        ("test_a_listener_is_told_of_a_gap", Sleeping, "a call of wake(), got none within 0.01 s"),
        ("test_a_listener_is_told_of_a_gap", Waiting, "a call of wake(), got none within 0.01 s"),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[ExtendedLayer], said: str) -> None:
    assert said in extended_breach(broken, clause, hangs="within" in said or "Timeout" in said)


def test_without_a_way_to_lose_messages_the_clauses_are_skipped() -> None:
    class Sheltered(ExtendedContract):
        async def lose_messages(self, layer: Any) -> None:
            await super(ExtendedContract, self).lose_messages(layer)

    with pytest.raises(unittest.SkipTest, match=r"no lose_messages\(\)"):
        Sheltered().test_who_waits_is_told_of_a_gap()
