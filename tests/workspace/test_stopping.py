import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tools.stopping import Stopped, stoppable, undisturbed

each_signal = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


@pytest.fixture(autouse=True)
def before() -> Iterator[None]:
    """All is as it was afterwards."""
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    yield
    assert handlers == [
        signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


@each_signal
def test_a_signal_ends_the_block(number: signal.Signals) -> None:
    with pytest.raises(Stopped, match=number.name), stoppable():
        send(number)


def test_the_next_signal_does_not_disturb_what_undoes() -> None:
    undone = []

    def work() -> None:
        try:
            send(signal.SIGHUP)
        finally:
            send(signal.SIGTERM, signal.SIGINT)
            undone.append(True)

    with pytest.raises(Stopped, match="SIGHUP"), stoppable():
        work()
    assert undone


def test_of_two_that_waited_the_first_ends_the_block() -> None:
    def work() -> None:
        with undisturbed():
            send(signal.SIGTERM, signal.SIGHUP)

    with pytest.raises(Stopped, match="SIGHUP"), stoppable():
        work()


def test_a_signal_that_was_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            send(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@each_signal
def test_a_signal_waits_for_the_end_of_a_block(number: int) -> None:
    done = []

    def work() -> None:
        with undisturbed():
            with undisturbed():
                send(number)
            done.append(True)

    with pytest.raises(Stopped), stoppable():
        work()
    assert done


def test_a_program_that_is_started_there_is_not_disturbed_either() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGTERM); print('done')"
    with undisturbed():
        found = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert found.stdout == b"done\n"
