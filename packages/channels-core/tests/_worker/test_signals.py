import logging
import signal
import threading

import pytest

from channels_core._worker.signals import StopSignals

SECONDS = 60


class Ends:
    """Record the status with which the process would have ended."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.told = threading.Event()

    def __call__(self, status: int) -> None:
        self.statuses.append(status)
        self.told.set()


@pytest.fixture
def ends() -> Ends:
    return Ends()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_asks_and_the_second_ends(number: signal.Signals, ends: Ends) -> None:
    asked: list[str] = []
    with StopSignals(ends) as signals:
        signals.then(lambda: asked.append("stop"), within=SECONDS)
        signal.raise_signal(number)
        assert (asked, ends.statuses) == (["stop"], [])
        signal.raise_signal(number)
        assert (asked, ends.statuses) == (["stop"], [128 + number])


def test_one_that_came_early_is_not_forgotten(ends: Ends) -> None:
    asked: list[str] = []
    with StopSignals(ends) as signals:
        signal.raise_signal(signal.SIGTERM)
        assert asked == []
        signals.then(lambda: asked.append("stop"), within=SECONDS)
        assert asked == ["stop"]
    assert ends.statuses == []


def test_what_was_there_before_is_there_afterwards(ends: Ends) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with StopSignals(ends):
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_it_ends_what_does_not_end(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    with StopSignals(ends) as signals:
        signals.then(lambda: None, within=0.01)
        signal.raise_signal(signal.SIGTERM)
        assert ends.told.wait(SECONDS)
    assert ends.statuses == [0]
    [record] = caplog.records
    assert (record.name, record.levelno) == ("django.channels.worker", logging.ERROR)
    assert record.getMessage() == "The process does not end within 0.01 seconds and is ended"


@pytest.mark.parametrize("raised", [True, False])
def test_what_has_ended_is_not_ended_later(raised: bool, ends: Ends) -> None:
    before = set(threading.enumerate())
    with StopSignals(ends) as signals:
        signals.then(lambda: None, within=SECONDS)
        [guard] = set(threading.enumerate()) - before
        if raised:
            signal.raise_signal(signal.SIGTERM)
    guard.join(SECONDS)
    assert not guard.is_alive()
    assert ends.statuses == []


def test_in_another_thread_it_does_nothing(ends: Ends) -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def run() -> None:
        count = threading.active_count()
        with StopSignals(ends) as signals:
            signals.then(lambda: None, within=0)
            seen.extend([signal.getsignal(signal.SIGTERM), threading.active_count() - count])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(SECONDS)
    assert seen == [before, 0]
