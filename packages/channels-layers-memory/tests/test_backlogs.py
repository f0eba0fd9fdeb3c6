from math import inf

from channels_layers_memory._layer.backlogs import Backlog, Backlogs


def add(backlogs: Backlogs, name: str, *deadlines: float) -> Backlog:
    """Do what a store does for each message."""
    backlog = backlogs.kept.get(name) or backlogs.new(name)
    for number, deadline in enumerate(deadlines):
        backlog.append((deadline, number, {}))
        if backlog.share is not None:
            backlog.share.held += 1
        if deadline < backlog.look:
            backlogs.plan(name, backlog, deadline)
    return backlog


def test_a_look_is_planned_for_the_first_message_only() -> None:
    backlogs = Backlogs()
    assert backlogs.due == inf
    add(backlogs, "a", 5, 6, 7)
    assert backlogs.due == 5
    assert len(backlogs._looks) == 1


def test_what_has_expired_is_dropped_and_the_next_look_planned() -> None:
    backlogs = Backlogs()
    backlog = add(backlogs, "a", 5, 6, 7)
    assert list(backlogs.expire(4)) == []
    assert list(backlogs.expire(6)) == [("a", backlog)]
    assert [message[0] for message in backlog] == [7]
    assert backlogs.due == 7
    assert list(backlogs.expire(7)) == [("a", backlog)]
    assert backlogs.kept == {}
    assert backlogs.due == inf


def test_a_look_that_finds_younger_messages_is_planned_anew() -> None:
    backlogs = Backlogs()
    backlog = add(backlogs, "a", 5, 8)
    backlog.popleft()
    assert list(backlogs.expire(5)) == []
    assert backlogs.due == 8


def test_an_empty_backlog_is_kept_until_its_look() -> None:
    backlogs = Backlogs()
    backlog = add(backlogs, "a", 5)
    backlog.popleft()
    assert backlogs.kept == {"a": backlog}
    assert list(backlogs.expire(5)) == []
    assert backlogs.kept == {}


def test_an_earlier_look_takes_the_place_of_a_later_one() -> None:
    backlogs = Backlogs()
    backlog = add(backlogs, "a", 9)
    backlog.appendleft((4, 0, {}))
    backlogs.plan("a", backlog, 4)
    backlogs.plan("a", backlog, 3)
    assert list(backlogs.expire(4)) == [("a", backlog)]
    # The later ones were passed over, and not planned anew each.
    assert [time for time, _ in backlogs._looks] == [9, 9]
    assert list(backlogs.expire(8)) == []
    assert list(backlogs.expire(9)) == [("a", backlog)]
    assert backlogs.due == inf


def test_channels_share_what_is_equal_up_to_the_mark() -> None:
    backlogs = Backlogs()
    first, second = add(backlogs, "a!1", 5, 6), add(backlogs, "a!2", 6)
    assert first.share is not None
    assert first.share is second.share
    assert first.share.held == 3
    assert add(backlogs, "b!1", 5).share is not first.share
    assert add(backlogs, "a", 5).share is None
    list(backlogs.expire(5))
    assert first.share.held == 2
    backlogs.drop("a!1")
    assert first.share.held == 1


def test_a_share_goes_with_the_last_backlog_that_has_it() -> None:
    backlogs = Backlogs()
    add(backlogs, "a!1", 5)
    add(backlogs, "a!2", 5)
    backlogs.drop("a!1")
    assert list(backlogs._shares) == ["a"]
    list(backlogs.expire(5))
    assert list(backlogs._shares) == []


def test_a_dropped_backlog_is_forgotten_when_its_look_comes() -> None:
    backlogs = Backlogs()
    add(backlogs, "a", 5)
    backlogs.drop("a")
    backlogs.drop("a")
    assert backlogs.kept == {}
    backlog = add(backlogs, "a", 6)
    assert list(backlogs.expire(5)) == []
    assert list(backlogs.expire(6)) == [("a", backlog)]


def test_all_can_be_cleared() -> None:
    backlogs = Backlogs()
    add(backlogs, "a", 5)
    backlogs.clear()
    assert backlogs.kept == {}
    assert backlogs.due == inf
