"""Describe what an application under test does, for the message of a test that fails.

The description names the line of the program at which the application waits. It is found in the
frames of the application's task, or of the task in which a consumer's `Connection` handles messages
while it reads the server in the first.

This module knows modules of channels-core by name, since frames say nothing else: the one of
`Connection`, whose `_handle_messages` has no `message` while it waits for one, and the private one
of its mailbox, in which a consumer of HTTP requests waits for the body.
"""

import asyncio
import inspect
from collections.abc import Iterable, Iterator, Sequence
from types import CoroutineType
from typing import Any, Final

from channels_core.typing import Message

__all__ = ["describe_application", "shortened"]

_MAX_LENGTH: Final = 200
_MAX_MESSAGES: Final = 5
_CONNECTION: Final = "channels_core.connection"
_MAILBOX: Final = "channels_core._connection.mailbox"
#: Where the task of a sync consumer waits for the thread of its handler.
_ERRANDS: Final = "channels_core._connection.errands"


def describe_application(task: asyncio.Task[Any], untaken: int, sent: Sequence[Message]) -> str:
    """Return a text about an application: whether it runs, where it waits, and what it has sent.

    Args:
        task: The application's task.
        untaken: How many of the test's messages the application has not received yet.
        sent: The messages that the application has sent.
    """
    if not task.done():
        state = f"The application is alive and {_place_of(task)}"
    elif task.cancelled():
        state = "The application was cancelled"
    elif error := task.exception():
        state = f"The application has raised {type(error).__name__}: {error}"
    else:
        state = "The application has ended without an error"
    waiting = f"; it has not taken {untaken} of the test's messages" if untaken else ""
    if not sent:
        return f"{state}{waiting}. It has sent nothing."
    more = f"{len(sent) - _MAX_MESSAGES} more, then " if len(sent) > _MAX_MESSAGES else ""
    return (
        f"{state}{waiting}. It has sent {more}{', '.join(map(shortened, sent[-_MAX_MESSAGES:]))}."
    )


def shortened(message: object) -> str:
    """Return a message on one line, cut short."""
    text = repr(message)
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}..."


def _place_of(task: asyncio.Task[Any]) -> str:
    """Return where a task waits: the innermost line that says something to the program's author."""
    waiting: Any = task.get_coro()
    if inspect.getcoroutinestate(waiting) == inspect.CORO_CREATED:
        return "has not begun"
    place = "waits at an unknown place"
    for frame in _frames_of_handlers(task):
        place = _place(frame) or place
    return place


def _frames_of_handlers(task: asyncio.Task[Any]) -> list[Any]:
    """Return the frames of the task in which the application's handlers run.

    That is the application's own task, or another one if a consumer reads its server in the first.
    """
    frames = list(_frames(task.get_coro()))
    if connections := set(_connections(frames)):
        for other in asyncio.all_tasks(task.get_loop()) - {task}:
            beside = list(_frames(other.get_coro()))
            if not connections.isdisjoint(_connections(beside)):
                return beside
    return frames


def _frames(waiting: Any) -> Iterator[Any]:
    """Iterate over the frames of a coroutine and of those that it awaits, outermost first."""
    while isinstance(waiting, CoroutineType):
        yield waiting.cr_frame
        waiting = waiting.cr_await


def _connections(frames: Iterable[Any]) -> Iterator[int]:
    """Iterate over the identities of the connections whose methods are among the frames."""
    for frame in frames:
        if frame.f_globals.get("__name__") == _CONNECTION:
            yield id(frame.f_locals.get("self"))


def _place(frame: Any) -> str | None:
    module, code = frame.f_globals.get("__name__", ""), frame.f_code
    match module, code.co_name:
        case "channels_testing.application", "receive":
            return "waits for a message"
        case name, "_handle_messages" if name == _CONNECTION and not frame.f_locals.get("message"):
            return "waits for a message"
        case name, _ if name == _MAILBOX:
            return "waits for a message"
        case name, _ if name in {"asgiref.sync", _ERRANDS}:
            return "runs synchronous code in a thread"
    if module.partition(".")[0] == "asyncio":
        return None  # Not the program's code.
    return f"waits in {code.co_qualname} ({code.co_filename}, line {frame.f_lineno})"
