"""Tell what an application under test is doing, for the message of a test that fails."""

import asyncio
import inspect
from collections.abc import Iterator, Sequence
from types import CoroutineType
from typing import Any, Final

from channels_core.typing import Message

__all__ = ["brief", "state_of"]

_LONGEST: Final = 200
_SHOWN: Final = 5
_DISPATCH: Final = "channels_core._dispatch"


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
    frames = list(_frames(waiting))
    if not any(_is_handling(frame) for frame in frames):
        frames = _handler_beside(task, frames) or frames
    place = "waits at a place that cannot be told"
    for frame in frames:
        place = _place(frame) or place
    return place


def _frames(waiting: Any) -> Iterator[Any]:
    """Iterate over the frames of a coroutine and of those that it waits for, outermost first."""
    while isinstance(waiting, CoroutineType):
        yield waiting.cr_frame
        waiting = waiting.cr_await


def _handler_beside(task: asyncio.Task[Any], frames: Sequence[Any]) -> list[Any] | None:
    """Return the frames of the handler that runs in another task of the same consumer.

    A consumer reads its channel layer in tasks of their own, beside the one of the client's
    messages, and has one handler run at a time.
    """
    loops = {_message_loop(frame) for frame in frames} - {None}
    if loops:
        for other in asyncio.all_tasks(task.get_loop()):
            beside = list(_frames(other.get_coro()))
            if any(_is_handling(frame) and _message_loop(frame) in loops for frame in beside):
                return beside
    return None


def _message_loop(frame: Any) -> int | None:
    """Return which `MessageLoop` a frame is a method's of; None if it is none."""
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
            # A handler that runs is further in; this is the end of a consumer, for example.
            return "waits for another of its handlers to end"
        case "asgiref.sync", _:
            return "runs synchronous code in a thread"
    if module.partition(".")[0] == "asyncio":
        return None  # No help to who reads of it.
    return f"waits in {code.co_qualname} ({code.co_filename}, line {frame.f_lineno})"
