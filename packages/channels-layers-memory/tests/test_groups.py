from math import inf

import pytest

from channels_layers_memory._layer.groups import Groups


@pytest.fixture
def groups() -> Groups:
    return Groups()


def is_empty(groups: Groups) -> bool:
    return not (groups.members or groups._joined or groups._groups_of)


def test_members_are_kept_in_the_order_in_which_they_joined(groups: Groups) -> None:
    for time, channel in enumerate(["b", "a", "c"]):
        groups.add("room", channel, time)
    assert list(groups.members["room"]) == ["b", "a", "c"]
    assert groups.members == {"room": {"b": 0, "a": 1, "c": 2}}


def test_the_last_one_to_leave_takes_the_group_along(groups: Groups) -> None:
    groups.add("room", "a", 0)
    groups.add("room", "b", 0)
    groups.discard("room", "a")
    assert groups.members == {"room": {"b": 0}}
    groups.discard("room", "b")
    assert is_empty(groups)


def test_leaving_what_one_is_not_in_is_no_error(groups: Groups) -> None:
    groups.discard("room", "a")
    groups.add("room", "a", 0)
    groups.discard("room", "b")
    groups.discard("hall", "a")
    assert groups.members == {"room": {"a": 0}}


def test_a_channel_leaves_all_its_groups_and_no_other_does(groups: Groups) -> None:
    for group in ("room", "hall"):
        for channel in ("a", "b"):
            groups.add(group, channel, 0)
    groups.forget("a")
    assert groups.members == {"room": {"b": 0}, "hall": {"b": 0}}
    groups.forget("a")
    groups.forget("b")
    assert is_empty(groups)


def test_memberships_end_with_the_time_of_the_last_renewal(groups: Groups) -> None:
    assert groups.oldest == inf
    groups.add("room", "a", 1)
    groups.add("room", "b", 2)
    groups.add("room", "a", 3)
    assert groups.oldest == 2
    groups.sweep(1)
    assert groups.members == {"room": {"a": 3, "b": 2}}
    groups.sweep(2)
    assert groups.members == {"room": {"a": 3}}
    assert groups.oldest == 3
    groups.sweep(3)
    assert is_empty(groups)
    assert groups.oldest == inf


def test_all_can_be_cleared(groups: Groups) -> None:
    groups.add("room", "a", 1)
    groups.clear()
    assert is_empty(groups)


def test_whoever_clears_the_members_from_outside_is_right(groups: Groups) -> None:
    groups.add("room", "a", 1)
    groups.add("room", "b", 1)
    groups.add("hall", "a", 1)
    del groups.members["room"]["a"]
    groups.members.pop("hall")
    groups.forget("a")
    assert groups.members == {"room": {"b": 1}}
    groups.members.clear()
    groups.sweep(1)
    assert is_empty(groups)
    groups.add("room", "a", 2)
    groups.members["room"].clear()
    groups.discard("room", "a")
    assert is_empty(groups)
