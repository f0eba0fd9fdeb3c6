"""How long a sender waits for the readers of channels that fill up."""

import asyncio
import threading
import time

import pytest

from channels_layers_memory._layer.backpressure import give_way
from channels_layers_memory._layer.store import Store
from fakes import Clock, Fixed, Reader


@pytest.fixture
def store() -> Store:
    store = Store(Fixed(capacity=4), Clock())
    for number in range(4):
        assert store.put("a", {"n": number})
    return store


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


async def test_it_waits_until_half_of_it_is_read(store: Store) -> None:
    async def read() -> None:
        while True:
            await asyncio.sleep(0)
            taken.append(store.take("a", Reader))

    taken: list[object] = []
    task = asyncio.create_task(read())
    await give_way(store, ["a", "gone"])
    task.cancel()
    assert len(taken) == 2
    assert store.crowded == {}


async def test_nobody_is_waited_for_without_an_end(
    store: Store, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    await give_way(store, ["a"])
    assert store.crowded["a"] is not None
    assert pauses == []
    # And only once for each message.
    with pytest.raises(StopIteration):
        give_way(store, ["a"]).send(None)


async def test_other_threads_get_pauses_of_the_interpreter(
    store: Store, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    await give_way(store, ["a"])
    assert pauses
    assert sum(pauses) < 0.01
