import asyncio
import threading
import unittest
from typing import Any

import pytest

from simple_layer import SimpleContract, SimpleLayer, breach


class OfOneThread(SimpleLayer):
    """Wakes nobody from another thread."""

    def wake(self, channel: str) -> None:
        if threading.current_thread() is threading.main_thread():
            super().wake(channel)


class OfOneLoop(SimpleLayer):
    """Belongs to the event loop that came first."""

    async def receive(self, channel: str) -> Any:
        self.loop = getattr(self, "loop", asyncio.get_running_loop())
        if self.loop is not asyncio.get_running_loop():
            raise RuntimeError("another event loop")
        return await super().receive(channel)


class OfOneThreadsGroups(SimpleLayer):
    """Has groups for each thread."""

    def check_group(self, group: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("another thread")


class ForgetsSent(SimpleLayer):
    """Loses what was sent in an event loop that has ended."""

    def put(self, channel: str, message: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            super().put(channel, message)


class Shy(SimpleLayer):
    """Tells what it offers only where an event loop runs."""

    @property
    def extensions(self) -> list[str]:  # type: ignore[override] # it is broken so
        asyncio.get_running_loop()
        return ["groups", "flush"]


class Odd(SimpleLayer):
    """Offers what is no name."""

    extensions = [b"groups"]  # type: ignore[list-item] # it is broken so


class Apart(SimpleLayer):
    """Shares nothing with other instances."""

    def __init__(self, store: Any, clock: Any, **options: Any) -> None:
        super().__init__(type(store)(), clock, **options)


class Numbered(SimpleLayer):
    """Counts its channels."""

    count = 0

    async def new_channel(self, prefix: str = "specific.") -> str:
        self.count += 1
        return f"a!{self.count}"


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        ("test_send_from_another_thread", OfOneThread, "got none within 0.01 s"),
        ("test_group_send_from_another_thread", OfOneThread, "got none within 0.01 s"),
        ("test_join_and_leave_from_another_thread", OfOneThreadsGroups, "Error: another thread"),
        ("test_one_event_loop_after_another", ForgetsSent, "TimeoutError"),
        ("test_one_event_loop_after_another", OfOneLoop, "RuntimeError: another event loop"),
        ("test_several_event_loops_receive", OfOneLoop, "RuntimeError: another event loop"),
        ("test_what_a_layer_offers_is_known_everywhere", Shy, "RuntimeError: no running event lo"),
        ("test_what_a_layer_offers_is_known_everywhere", Odd, "expected <class 'str'>, got <clas"),
        ("test_instances_share_channels", Apart, "got none within 0.01 s"),
        ("test_instances_share_groups", Apart, "got none within 0.01 s"),
        ("test_instances_make_different_channels", Numbered, "expected 40, got 20"),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[SimpleLayer], said: str) -> None:
    hangs = "within" in said or said == "TimeoutError"
    assert said in breach(broken, clause, hangs=hangs)


def test_instances_that_share_nothing_are_not_compared() -> None:
    contract = type("Contract", (SimpleContract,), {"shared": False})()
    with pytest.raises(unittest.SkipTest, match="instances of this layer share no channels"):
        contract.test_instances_share_groups()
