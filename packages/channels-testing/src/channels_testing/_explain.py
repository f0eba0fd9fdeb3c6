"""Tell what an application under test is doing, for the message of a test that fails."""

import asyncio
from collections.abc import Iterable
from types import CoroutineType
from typing import Any, Final

from channels_core.typing import Message

__all__ = ["brief", "state_of"]

_LONGEST: Final = 200
_SHOWN: Final = 5

#: Modules in whose innermost frames an application waits for its next message.
_RECEIVING: Final = frozenset({"channels_core._dispatch", "channels_testing.application"})


def state_of(task: asyncio.Task[Any], received: int, sent: Iterable[Message]) -> str:
    """Return what an application does, where it waits, and what it has sent.

    Args:
        task: The application's task.
        received: How many messages of the test it has not taken yet.
        sent: The messages that it sent, which the test has taken.
    """
    if not task.done():
        state = f"The application is alive, and {_where(task)}"
    elif task.cancelled():
        state = "The application was cancelled"
    elif error := task.exception():
        state = f"The application has raised {type(error).__name__}: {error}"
    else:
        state = "The application has ended without an error"
    waiting = f"; it has not taken {received} of the test's messages" if received else ""
    shown = [brief(message) for message in sent]
    if not shown:
        return f"{state}{waiting}. It has sent nothing before."
    more = f"{len(shown) - _SHOWN} messages, then " if len(shown) > _SHOWN else ""
    return f"{state}{waiting}. It has sent before: {more}{', '.join(shown[-_SHOWN:])}."


def brief(message: Message) -> str:
    """Return a message on one line, cut short."""
    text = repr(message)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _where(task: asyncio.Task[Any]) -> str:
    """Return the innermost line of Python at which a task waits."""
    place = "is at a place that cannot be told"
    waiting: Any = task.get_coro()
    while isinstance(waiting, CoroutineType):
        frame = waiting.cr_frame
        if frame is not None and frame.f_globals.get("__name__") in _RECEIVING:
            place = "waits for a message"
        elif frame is not None and not _is_inner(frame.f_code.co_filename):
            code = frame.f_code
            place = f"waits in {code.co_qualname} ({code.co_filename}, line {frame.f_lineno})"
        waiting = waiting.cr_await
    return place


def _is_inner(file: str) -> bool:
    """Tell whether a file is the event loop's, and no help to who reads of it."""
    return file.startswith(asyncio.__path__[0])
