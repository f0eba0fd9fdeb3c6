import pytest

from channels_layers_memory._layer.store import Store
from fakes import Clock, Fixed, Reader


def test_a_channel_is_crowded_from_more_than_half_on_until_it_is_gone() -> None:
    clock = Clock()
    store = Store(Fixed(expiry=60, capacity=4), clock)
    store.join("room", "a")
    store.join("room", "idle")
    for number in range(2):
        assert store.put("a", {"n": number})
    assert store.crowded == {}
    assert store.put("a", {"n": 2})
    assert store.crowded_members("room") == ["a"]
    assert store.crowded_members("other") == []
    first = store.first_if_crowded("a")
    assert first is not None
    assert store.has_first("a", first)
    assert not store.has_first("a", first + 1)
    assert not store.has_first("idle", first)
    store.note_unread("a", first)
    store.note_unread("gone", first)
    assert store.first_if_crowded("a") is None
    assert set(store.crowded) == {"a"}
    store.take("a", Reader)
    assert store.first_if_crowded("a") is None  # half of it is free
    assert store.crowded == {}


@pytest.mark.parametrize("way", ["forget", "remove", "flush", "expire", "read and wait"])
def test_nothing_is_remembered_of_a_channel_that_is_gone(way: str) -> None:
    clock = Clock()
    store = Store(Fixed(expiry=60, capacity=4), clock)
    for number in range(3):
        assert store.put("a", {"n": number})
    assert store.put("b", {"n": number})
    if way == "forget":
        store.forget("a")
    elif way == "remove":
        store.remove("a")
    elif way == "flush":
        store.flush()
    else:
        if way == "read and wait":
            for _ in range(3):
                store.take("a", Reader)
        clock.now += 61
        store.sweep()
    assert store.crowded == {}
