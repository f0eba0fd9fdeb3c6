from typing import Any

import pytest

from channels_core.backoff import Backoff


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def of(limit: float, *arguments: Any) -> Backoff:
    named = dict(zip(("clock", "jitter"), arguments, strict=False))
    return Backoff(first=0.2, longest=10, limit=limit, **named)


@pytest.mark.parametrize(("jitter", "share"), [(0.0, 0.5), (1.0, 1.0)])
def test_the_waits_grow_up_to_a_bound(jitter: float, share: float) -> None:
    backoff = of(1000, Clock(), lambda: jitter)
    waits = [backoff.failed() for _ in range(30)]
    full = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, *[10.0] * 24]
    assert waits == pytest.approx([wait * share for wait in full])


def test_the_last_attempt_is_at_the_limit() -> None:
    clock = Clock()
    backoff = of(60, clock, lambda: 1.0)
    backoff.failed()
    clock.now += 59
    assert [backoff.failed() for _ in range(5)] == pytest.approx([0.4, 0.8, 1, 1, 1])
    clock.now += 1
    assert backoff.failed() is None
    assert (backoff.failures, backoff.seconds) == (7, 60)


def test_what_works_in_between_starts_it_anew() -> None:
    clock = Clock()
    backoff = of(60, clock, lambda: 1.0)
    backoff.failed()
    clock.now += 59
    assert backoff.worked() == 1
    assert backoff.worked() == backoff.failures == 0
    clock.now += 59
    assert backoff.failed() == pytest.approx(0.2)
    assert backoff.seconds == 0


def test_it_may_give_up_at_once() -> None:
    assert of(0).failed() is None


def test_without_a_limit_it_goes_on() -> None:
    backoff = Backoff(first=1, longest=60, jitter=lambda: 1.0)
    assert [backoff.failed() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_by_itself_it_takes_real_time_and_chance() -> None:
    waits = [of(60).failed() for _ in range(20)]
    assert all(wait is not None and 0.1 <= wait <= 0.2 for wait in waits)
    assert len(set(waits)) > 1
