import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tools.stopping import SIGNALS, Stopped, stoppable, undisturbed

each_signal = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


@pytest.fixture(autouse=True)
def before() -> Iterator[None]:
    """All is as it was afterwards, and nothing is ignored before, as under `nohup`."""
    outer = [signal.signal(one, signal.default_int_handler) for one in SIGNALS]
    yield
    assert [signal.getsignal(one) for one in SIGNALS] == [signal.default_int_handler] * 3
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    for one, handler in zip(SIGNALS, outer, strict=True):
        signal.signal(one, handler)


def send(*numbers: int) -> None:
    """Send signals to this thread; of those to the process, another test's thread may take one."""
    for number in numbers:
        signal.pthread_kill(threading.get_ident(), number)


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
        with pytest.raises(Stopped, match="SIGTERM"), stoppable():
            send(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
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
