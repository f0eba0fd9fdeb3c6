import asyncio
import logging
from collections.abc import Iterator

import pytest

from channels_auth._disconnection import layer_reachability
from channels_auth._disconnection.layer_reachability import LayerReachability

ERROR = OSError("no server")


@pytest.fixture(autouse=True)
def _levels(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO, "django.channels.auth")
    yield
    assert not layer_reachability._unreachable


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
    one = LayerReachability()
    one.failed(ERROR)
    one.ended()
    assert levels(caplog) == ["ERROR"]


def test_the_delays_grow_and_are_reset_by_a_success() -> None:
    one = LayerReachability()
    assert [one.failed(ERROR) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    one.recovered()
    assert one.failed(ERROR) == 0.5
    one.ended()


async def test_a_retry_without_an_error_counts_as_recovered_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def note() -> None:
        works()
        recovered.set()

    monkeypatch.setattr(layer_reachability, "_STEADY", 0.001)
    recovered = asyncio.Event()
    one = LayerReachability()
    works = one.recovered
    monkeypatch.setattr(one, "recovered", note)
    one.failed(ERROR)
    for _ in range(2):
        one.may_have_recovered()
    assert levels(caplog) == ["ERROR"]
    await asyncio.wait_for(recovered.wait(), 30)
    assert levels(caplog) == ["ERROR", "INFO"]


async def test_a_socket_that_ends_after_a_retry_has_recovered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = LayerReachability()
    one.failed(ERROR)
    one.may_have_recovered()
    one.ended()
    assert levels(caplog) == ["ERROR", "INFO"]
    assert one._recovery_timer is None


async def test_a_retry_that_fails_cancels_the_recovery(caplog: pytest.LogCaptureFixture) -> None:
    one = LayerReachability()
    one.failed(ERROR)
    one.may_have_recovered()
    timer = one._recovery_timer
    assert timer is not None
    one.failed(ERROR)
    assert timer.cancelled()
    assert one._recovery_timer is None
    one.ended()
    assert levels(caplog) == ["ERROR"]
