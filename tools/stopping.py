"""Let a signal that ends a program undo first what the program has begun."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

__all__ = ["SIGNALS", "Stopped", "stoppable", "undisturbed"]

#: What Ctrl-C, `kill` and the end of a terminal send.
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


# Not an Exception, as KeyboardInterrupt is none: code that expects errors must not catch it.
class Stopped(BaseException):
    """A signal asked the program to end. Its text is the name of the signal."""


def _stop(number: int, frame: FrameType | None) -> None:
    # The end of a terminal sends more than one. The next must not disturb what undoes. Python
    # complains if one that has arrived has no handler any more, so this is not SIG_IGN.
    for one in SIGNALS:
        signal.signal(one, _ignore)
    raise Stopped(signal.Signals(number).name)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise Stopped in the block when a signal asks the program to end."""
    # What is ignored stays so: `nohup` ignores SIGHUP.
    before = {one: signal.getsignal(one) for one in SIGNALS}
    for one, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(one, _stop)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let signals wait until the end of the block, also for the programs that it starts."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
