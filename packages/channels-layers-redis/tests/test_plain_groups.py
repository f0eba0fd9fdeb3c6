"""Which groups may have members that are channels of no process."""

import pytest

from channels_layers_redis._layer import plain_groups
from channels_layers_redis._layer.plain_groups import SKEW, PlainGroups


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(plain_groups, "time", clock)
    return clock


def test_a_group_is_known_until_its_time_is_over(clock: Clock) -> None:
    groups = PlainGroups()
    groups.read([b"room", b"5010.5", b"hall", b"5100"], now=5000.0)
    groups.add("room", 5)  # what was known before holds longer
    groups.add("lobby", 20)
    found = []
    for now in (100, 110 + SKEW, 115 + SKEW, 150 + SKEW):
        clock.now = now
        found.append([one for one in ("room", "hall", "lobby", "none") if groups.may_have(one)])
    all_three = ["room", "hall", "lobby"]
    assert found == [all_three, all_three, ["hall", "lobby"], ["hall"]]
    assert not groups.may_have("room")


def test_what_is_read_replaces_what_was_known(clock: Clock) -> None:
    groups = PlainGroups()
    groups.add("room", 5)
    groups.read([b"hall", b"5"], now=0.0)
    assert [groups.may_have("room"), groups.may_have("hall")] == [False, True]
    groups.clear()
    assert not groups.may_have("hall")
