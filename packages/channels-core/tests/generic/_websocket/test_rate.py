import pytest

from channels_core.generic._websocket.rate import MessageRate


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("per_second", "at_once"), [(5, 5), (2.5, 2), (1, 1), (0.1, 1)])
def test_a_number_per_second_and_as_many_at_once(per_second: float, at_once: int) -> None:
    clock = Clock()
    rate = MessageRate(per_second, clock)
    assert [rate.allows_one() for _ in range(at_once + 2)] == [True] * at_once + [False] * 2
    clock.now += 1000
    assert sum(rate.allows_one() for _ in range(100)) == at_once
    clock.now += 1.001 / per_second
    assert rate.allows_one()


def test_a_steady_client_is_never_stopped() -> None:
    clock = Clock()
    rate = MessageRate(10, clock)
    for _ in range(1000):
        clock.now += 0.1
        assert rate.allows_one()
