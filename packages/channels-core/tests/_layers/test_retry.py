import pytest

from channels_core._layers.retry import Retry


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("jitter", "share"), [(0.0, 0.5), (1.0, 1.0)])
def test_the_waits_grow_up_to_a_bound(jitter: float, share: float) -> None:
    retry = Retry(1000, Clock(), lambda: jitter)
    waits = [retry.failed() for _ in range(30)]
    full = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, *[10.0] * 24]
    assert waits == pytest.approx([wait * share for wait in full])


def test_the_last_attempt_is_at_the_limit() -> None:
    clock = Clock()
    retry = Retry(60, clock, lambda: 1.0)
    retry.failed()
    clock.now += 59
    assert [retry.failed() for _ in range(5)] == pytest.approx([0.4, 0.8, 1, 1, 1])
    clock.now += 1
    assert retry.failed() is None
    assert (retry.failures, retry.seconds) == (7, 60)


def test_what_works_in_between_starts_it_anew() -> None:
    clock = Clock()
    retry = Retry(60, clock, lambda: 1.0)
    retry.failed()
    clock.now += 59
    retry.worked()
    assert retry.failures == 0
    clock.now += 59
    assert retry.failed() == pytest.approx(0.2)
    assert retry.seconds == 0


def test_it_may_give_up_at_once() -> None:
    assert Retry(0).failed() is None


def test_by_itself_it_takes_real_time_and_chance() -> None:
    waits = [Retry(60).failed() for _ in range(20)]
    assert all(wait is not None and 0.1 <= wait <= 0.2 for wait in waits)
    assert len(set(waits)) > 1
