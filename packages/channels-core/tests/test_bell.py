import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import pytest

from channels_core import _bell
from channels_core._bell import Bell, EventBell, QueueBell, bell_here

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="eventfd exists on Linux only")
each_kind = pytest.mark.parametrize("make", [QueueBell, pytest.param(EventBell, marks=on_linux)])


@each_kind
def test_a_bell_wakes_a_thread_or_is_heard_later(make: Callable[[], Bell]) -> None:
    bell = make()
    assert not bell.wait(0.001)
    bell.ring()
    assert bell.wait(20)
    assert not bell.wait(0)
    heard = threading.Event()

    def wait() -> None:
        bell.wait()
        heard.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not heard.wait(0.01)
    bell.ring()
    thread.join(20)
    assert heard.is_set()


@each_kind
@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="the system has no such signals")
def test_a_signal_does_not_end_the_wait(make: Callable[[], Bell]) -> None:
    """The system may give a signal to any thread of a process."""
    bell, rung = make(), threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:

        def wait() -> None:
            if bell.wait():
                rung.set()

        thread = threading.Thread(target=wait)
        thread.start()
        for _ in range(20):
            signal.pthread_kill(thread.ident or 0, signal.SIGUSR1)
            time.sleep(0.005)
        assert thread.is_alive()
        bell.ring()
        thread.join(20)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert rung.is_set()


def test_each_thread_has_a_bell_and_a_child_process_has_its_own() -> None:
    others: list[Bell] = []
    thread = threading.Thread(target=lambda: others.append(bell_here()))
    thread.start()
    thread.join(20)
    mine = bell_here()
    assert bell_here() is mine
    assert others[0] is not mine
    _bell._forget()
    assert bell_here() is not mine


@on_linux
def test_a_bell_closes_its_file() -> None:
    bell = EventBell()
    file = bell._file
    os.fstat(file)
    del bell
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


@on_linux
def test_a_process_with_too_many_files_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(start: int) -> int:
        raise OSError("Too many open files")

    monkeypatch.setattr(os, "eventfd", refuse)
    _bell._forget()
    assert isinstance(bell_here(), QueueBell)
    _bell._forget()
