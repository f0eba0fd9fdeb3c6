"""The timers of an event loop, run by a test instead of by the clock."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest

__all__ = ["Timer", "recorded_timers"]


class Timer(NamedTuple):
    """A timer that was started."""

    delay: float
    run: Callable[[], object]
    handle: asyncio.TimerHandle


def recorded_timers(monkeypatch: pytest.MonkeyPatch) -> list[Timer]:
    """Return a list to which the running loop adds its timers; none of them runs by itself."""
    loop = asyncio.get_running_loop()
    call_later = loop.call_later
    timers: list[Timer] = []

    def record(delay: float, callback: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
        handle = call_later(1000, callback, *args)
        timers.append(Timer(delay, partial(callback, *args), handle))
        return handle

    monkeypatch.setattr(loop, "call_later", record)
    return timers
