from math import inf

from channels_layers_memory._layer.timetable import Timetable


def test_keys_are_due_in_the_order_of_their_times() -> None:
    times: Timetable[str] = Timetable()
    assert times.next == inf
    times.plan("late", 3)
    times.plan("early", 1)
    assert times.next == 1
    assert list(times.due(0.5)) == []
    assert list(times.due(3)) == ["early", "late"]
    assert list(times.due(3)) == []
    assert times.next == inf


def test_the_last_plan_counts() -> None:
    times: Timetable[str] = Timetable()
    times.plan("a", 1)
    times.plan("a", 5)
    assert list(times.due(4)) == []
    assert list(times.due(5)) == ["a"]


def test_a_cancelled_key_is_never_due() -> None:
    times: Timetable[str] = Timetable()
    times.plan("a", 1)
    times.cancel("a")
    times.cancel("b")
    assert times.next == inf
    assert list(times.due(9)) == []


def test_keys_are_not_compared() -> None:
    times: Timetable[object] = Timetable()
    keys = [("room", 1), ("room", "1"), "room"]
    for key in keys:
        times.plan(key, 1)
    assert list(times.due(1)) == keys


def test_what_was_cancelled_takes_no_room() -> None:
    times: Timetable[int] = Timetable()
    times.plan(-1, 50)
    for number in range(10_000):
        times.plan(number, 60)
        times.cancel(number)
    assert len(times._entries) < 100
    assert list(times.due(50)) == [-1]


def test_clear() -> None:
    times: Timetable[str] = Timetable()
    times.plan("a", 1)
    times.clear()
    assert times.next == inf
    assert list(times.due(1)) == []
