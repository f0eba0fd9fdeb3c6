import logging

import pytest

from channels_auth._disconnection.layer_reachability import LayerReachability
from timers import Timer

ERROR = OSError("no server")


@pytest.fixture(autouse=True)
def _log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "django.channels.auth")


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in caplog.records]


def test_an_outage_and_its_end_are_one_line_each(caplog: pytest.LogCaptureFixture) -> None:
    one, other = LayerReachability(), LayerReachability()
    for each in (one, other, one):
        each.failed(ERROR)
    assert levels(caplog) == ["ERROR"]
    assert "OSError('no server')" in caplog.messages[0]
    for each in (one, one, other, other):
        assert levels(caplog) == ["ERROR"]
        each.recovered()
        if each is other:
            break
    assert levels(caplog) == ["ERROR", "INFO"]


def test_a_socket_that_ends_does_not_count(caplog: pytest.LogCaptureFixture) -> None:
    one, other = LayerReachability(), LayerReachability()
    for each in (one, other):
        each.failed(ERROR)
        each.ended()
    assert levels(caplog) == ["ERROR", "ERROR"]


def test_the_delays_grow_and_are_reset_by_a_success() -> None:
    one = LayerReachability()
    longest = [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert all(most / 2 <= one.failed(ERROR) <= most for most in longest)
    one.recovered()
    assert one.failed(ERROR) <= 0.5
    one.ended()


async def test_a_retry_without_an_error_counts_as_recovered_later(
    timers: list[Timer], caplog: pytest.LogCaptureFixture
) -> None:
    one = LayerReachability()
    one.failed(ERROR)
    for _ in range(2):
        one.may_have_recovered()
    first, second = timers
    assert first.handle.cancelled()
    assert levels(caplog) == ["ERROR"]
    second.run()
    assert levels(caplog) == ["ERROR", "INFO"]


async def test_a_socket_that_ends_after_a_retry_has_recovered(
    timers: list[Timer], caplog: pytest.LogCaptureFixture
) -> None:
    one = LayerReachability()
    one.failed(ERROR)
    one.may_have_recovered()
    one.ended()
    assert levels(caplog) == ["ERROR", "INFO"]
    assert timers[0].handle.cancelled()


async def test_a_retry_that_fails_cancels_the_recovery(
    timers: list[Timer], caplog: pytest.LogCaptureFixture
) -> None:
    one = LayerReachability()
    one.failed(ERROR)
    one.may_have_recovered()
    one.failed(ERROR)
    assert timers[0].handle.cancelled()
    one.ended()
    assert levels(caplog) == ["ERROR"]
