import time

import pytest

from channels_layers_memory._layer.clocks import mockable_time, steady_time


def test_both_tell_the_time() -> None:
    assert abs(steady_time() - time.time()) < 60
    assert abs(mockable_time() - time.time()) < 60


def test_one_follows_a_test_that_replaces_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 5.0)
    assert mockable_time() == 5.0
    assert steady_time() > 5.0
