"""Tell what an application under test is doing, for the message of a test that fails."""

import asyncio
import inspect
from collections.abc import Sequence
from types import CoroutineType
from typing import Any, Final

from channels_core.typing import Message

__all__ = ["brief", "state_of"]

_LONGEST: Final = 200
_SHOWN: Final = 5


def state_of(task: asyncio.Task[Any], untaken: int, sent: Sequence[Message]) -> str:
    """Return what an application does, where it waits, and what it has sent.

    Args:
        task: The application's task.
        untaken: How many messages of the test it has not taken yet.
        sent: The messages that it has sent.
    """
    if not task.done():
        state = f"The application is alive and {_where(task)}"
    elif task.cancelled():
        state = "The application was cancelled"
    elif error := task.exception():
        state = f"The application has raised {type(error).__name__}: {error}"
    else:
        state = "The application has ended without an error"
    waiting = f"; it has not taken {untaken} of the test's messages" if untaken else ""
    if not sent:
        return f"{state}{waiting}. It has sent nothing."
    more = f"{len(sent) - _SHOWN} more, then " if len(sent) > _SHOWN else ""
    return f"{state}{waiting}. It has sent {more}{', '.join(map(brief, sent[-_SHOWN:]))}."


def brief(message: object) -> str:
    """Return a message on one line, cut short."""
    text = repr(message)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _where(task: asyncio.Task[Any]) -> str:
    """Return the innermost line of Python at which a task waits, as far as that helps."""
    waiting: Any = task.get_coro()
    if inspect.getcoroutinestate(waiting) == inspect.CORO_CREATED:
        return "has not begun"
    place = "waits at a place that cannot be told"
    while isinstance(waiting, CoroutineType):
        place = _place(waiting.cr_frame) or place
        waiting = waiting.cr_await
    return place


def _place(frame: Any) -> str | None:
    module, code = frame.f_globals.get("__name__", ""), frame.f_code
    match module, code.co_name:
        case "channels_testing.application", "receive":
            return "waits for a message"
        case "channels_core._dispatch", _:
            # A handler that this task runs is further in: that of a layer's message has its own.
            return "waits for another of its handlers to end"
        case "asgiref.sync", _:
            return "runs synchronous code in a thread"
    if module.partition(".")[0] == "asyncio":
        return None  # No help to who reads of it.
    return f"waits in {code.co_qualname} ({code.co_filename}, line {frame.f_lineno})"
