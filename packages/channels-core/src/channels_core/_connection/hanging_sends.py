"""Find out whether a handler waits for the server's `send`; loaded when a client has left long ago.

A server's `send` should return, or raise an `OSError`, once the client has left. Hypercorn's may
wait for ever over HTTP/2. The consumer would then stay in its groups. Nothing is recorded for each
`send`, which would cost each frame something: the coroutines that the handler's task waits for
tell it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final

from channels_core._connection.errands import Handling

__all__ = ["waits_for_send"]

#: The module and the name of each coroutine function of ours that awaits the server's `send`. Not
#: the functions, since their modules import this one.
_SENDERS: Final = frozenset(
    {
        ("channels_core.consumer", "AsyncConsumer.send"),
        ("channels_core.connection", "_transmit"),
    }
)
#: The same for those that do so only for some classes; `send` may also await `close`.
_SEND_DIRECTLY: Final = frozenset(
    {
        ("channels_core.generic.websocket", "AsyncWebsocketConsumer.accept"),
        ("channels_core.generic.websocket", "AsyncWebsocketConsumer.send"),
    }
)
#: And for one that awaits it only where it has a variable `message`.
_SENDS_JSON: Final = ("channels_core.generic.websocket", "AsyncJsonWebsocketConsumer.send_json")


def waits_for_send(task: asyncio.Task[Any]) -> bool:
    """Return whether the task of a connection's handlers waits for the server's `send`.

    A program that calls `base_send` without `self.send` is not noticed.
    """
    return any(_sends(frame) for frame in _frames(task))


def _sends(frame: FrameType) -> bool:
    """Return whether the coroutine of a frame awaits the server's `send`."""
    name = frame.f_globals["__name__"], frame.f_code.co_qualname
    if name == _SENDS_JSON:
        return "message" in frame.f_locals
    if name not in _SEND_DIRECTLY:
        return name in _SENDERS
    known: Any = frame.f_locals["self"]._channels_connection.known
    # Otherwise it awaits the base's `send`, which is among those above. After that, it may wait in
    # `close`.
    return bool(known.sends_directly) and "sent" not in frame.f_locals


def _frames(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    """Yield the frame of each coroutine that a task waits for."""
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None)
        waits_for = getattr(awaited, "cr_await", None)
        if waits_for is None:
            # A generator, such as one behind `__await__`.
            waits_for = getattr(awaited, "gi_yieldfrom", None)
        if frame is not None:
            yield frame
            if frame.f_code is Handling.run.__code__:
                # The handler's thread may wait for tasks of `async_to_sync`.
                for other in frame.f_locals["self"].tasks:
                    yield from _frames(other)
        awaited = waits_for
