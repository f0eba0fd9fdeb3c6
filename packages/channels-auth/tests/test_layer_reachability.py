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
    assert not layer_reachability._cut_off


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in caplog.records]


def test_an_outage_is_one_line_for_all_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    one, other = LayerReachability(), LayerReachability()
    for each in (one, other, one):
        each.fails(ERROR)
    assert levels(caplog) == ["ERROR"]
    assert "OSError('no server')" in caplog.messages[0]
    for each in (one, one, other, other):
        assert levels(caplog) == ["ERROR"]
        each.works()
        if each is other:
            break
    assert levels(caplog) == ["ERROR", "INFO"]


def test_one_socket_is_cut_off_no_more_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    one = LayerReachability()
    one.fails(ERROR)
    one.ends()
    assert levels(caplog) == ["ERROR"]


def test_the_waits_grow_and_begin_anew_after_a_success() -> None:
    one = LayerReachability()
    assert [one.fails(ERROR) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    one.works()
    assert one.fails(ERROR) == 0.5
    one.ends()


async def test_a_try_that_does_not_fail_is_a_success_after_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def note() -> None:
        works()
        recovered.set()

    monkeypatch.setattr(layer_reachability, "_STEADY", 0.001)
    recovered = asyncio.Event()
    one = LayerReachability()
    works = one.works
    monkeypatch.setattr(one, "works", note)
    one.fails(ERROR)
    for _ in range(2):
        one.seems_to_work()
    assert levels(caplog) == ["ERROR"]
    await asyncio.wait_for(recovered.wait(), 30)
    assert levels(caplog) == ["ERROR", "INFO"]


async def test_a_socket_that_ends_waits_no_longer(caplog: pytest.LogCaptureFixture) -> None:
    one = LayerReachability()
    one.fails(ERROR)
    one.seems_to_work()
    one.ends()
    assert levels(caplog) == ["ERROR", "INFO"]
    assert one._timer is None


async def test_one_that_fails_is_none(caplog: pytest.LogCaptureFixture) -> None:
    one = LayerReachability()
    one.fails(ERROR)
    one.seems_to_work()
    timer = one._timer
    assert timer is not None
    one.fails(ERROR)
    assert timer.cancelled()
    assert one._timer is None
    one.ends()
    assert levels(caplog) == ["ERROR"]
