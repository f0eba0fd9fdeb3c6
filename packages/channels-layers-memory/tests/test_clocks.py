import time

import pytest

from channels_layers_memory._layer.clocks import movable, steady


def test_both_tell_the_time() -> None:
    assert abs(steady() - time.time()) < 60
    assert abs(movable() - time.time()) < 60


def test_one_follows_a_test_that_replaces_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 5.0)
    assert movable() == 5.0
    assert steady() > 5.0
