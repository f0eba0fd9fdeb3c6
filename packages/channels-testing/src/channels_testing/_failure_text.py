"""Describe what an application under test does, for the message of a test that fails.

The description names the line of the program at which the application waits. It is found in the
frames of the application's task. This module knows one private module of channels-core by name,
that of the consumer's loop (`_DISPATCH`): its frames say whether the consumer waits for a message,
and which task runs a handler.
"""

import asyncio
import inspect
from collections.abc import Iterator, Sequence
from types import CoroutineType
from typing import Any, Final

from channels_core.typing import Message

__all__ = ["describe_application", "shortened"]

_MAX_LENGTH: Final = 200
_MAX_MESSAGES: Final = 5
_DISPATCH: Final = "channels_core._dispatch"


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
    frames = list(_frames(waiting))
    if not any(_is_handling(frame) for frame in frames):
        frames = _handler_beside(task, frames) or frames
    place = "waits at a place that cannot be told"
    for frame in frames:
        place = _place(frame) or place
    return place


def _frames(waiting: Any) -> Iterator[Any]:
    """Iterate over the frames of a coroutine and of those that it awaits, outermost first."""
    while isinstance(waiting, CoroutineType):
        yield waiting.cr_frame
        waiting = waiting.cr_await


def _handler_beside(task: asyncio.Task[Any], frames: Sequence[Any]) -> list[Any] | None:
    """Return the frames of the handler that runs in another task of the same consumer.

    A consumer may read its channel layer in another task than the client's messages. Only one
    handler runs at a time, in either task.
    """
    loops = {_message_loop(frame) for frame in frames} - {None}
    if loops:
        for other in asyncio.all_tasks(task.get_loop()):
            beside = list(_frames(other.get_coro()))
            if any(_is_handling(frame) and _message_loop(frame) in loops for frame in beside):
                return beside
    return None


def _message_loop(frame: Any) -> int | None:
    """Return the identity of the `MessageLoop` whose method a frame runs, or None."""
    if frame.f_globals.get("__name__") != _DISPATCH:
        return None
    return id(frame.f_locals.get("self"))


def _is_handling(frame: Any) -> bool:
    return _message_loop(frame) is not None and frame.f_code.co_name == "_handle"


def _place(frame: Any) -> str | None:
    module, code = frame.f_globals.get("__name__", ""), frame.f_code
    match module, code.co_name:
        case "channels_testing.application", "receive":
            return "waits for a message"
        case name, _ if name == _DISPATCH:
            # A frame of a handler would be further in. This is the end of a consumer, for example.
            return "waits for another of its handlers to end"
        case "asgiref.sync", _:
            return "runs synchronous code in a thread"
    if module.partition(".")[0] == "asyncio":
        return None  # Not the program's code.
    return f"waits in {code.co_qualname} ({code.co_filename}, line {frame.f_lineno})"
