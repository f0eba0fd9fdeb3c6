import socket
from typing import Any

import pytest

from channels_core._layers.outages import Backoff, is_outage
from fakes import LocalLayer


class ClientError(Exception):
    """The base of a client's errors, which derive from no `OSError`."""


def error_of(module: str, name: str) -> Any:
    """Return an error of a class that derives from the client's class of that name."""
    kind = type(name, (ClientError,), {"__module__": module})
    return type("Busy", (kind,), {})()


class ErrorsOfItsOwn(LocalLayer):
    outage_errors = (ClientError,)


class TestIsOutage:
    @pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), socket.gaierror()])
    def test_errors_of_the_operating_system(self, error: Exception) -> None:
        assert is_outage(LocalLayer(), error)
        assert is_outage(None, error)
        assert is_outage(ErrorsOfItsOwn(), error)

    @pytest.mark.parametrize("name", ["ConnectionError", "TimeoutError"])
    @pytest.mark.parametrize("client", ["redis", "valkey"])
    def test_errors_of_known_clients(self, client: str, name: str) -> None:
        assert is_outage(LocalLayer(), error_of(f"{client}.exceptions", name))

    def test_errors_that_the_layer_lists(self) -> None:
        assert is_outage(ErrorsOfItsOwn(), ClientError())
        assert not is_outage(LocalLayer(), ClientError())

    @pytest.mark.parametrize(
        "error",
        [
            LookupError(),
            TypeError(),
            ValueError(),
            error_of("redis.exceptions", "DataError"),
            error_of("mysite.shop", "TimeoutError"),
        ],
    )
    def test_faults_of_a_program(self, error: Exception) -> None:
        assert not is_outage(LocalLayer(), error)
        assert not is_outage(None, error)


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
