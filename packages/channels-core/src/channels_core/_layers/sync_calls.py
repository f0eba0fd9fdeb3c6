"""Use any channel layer from synchronous code: at once, or after a commit.

Not every layer derives from ours, and some have their methods only while an event loop runs. So a
method is looked up in the coroutine that calls it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from copy import deepcopy
from inspect import getattr_static, isawaitable
from types import MethodType
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation

from channels_core.exceptions import InvalidChannelLayerError
from channels_core.typing import Message

__all__ = [
    "copy_of",
    "give_sync_calls",
    "group_add_sync",
    "group_discard_sync",
    "group_send_on_commit",
    "group_send_sync",
    "send_on_commit",
    "send_sync",
]

logger = logging.getLogger("django.channels.layers")

# Keeps the tasks alive: an event loop has only weak references to them.
_tasks: Final[set[asyncio.Task[None]]] = set()


def send_sync(layer: Any, channel: str, message: Message) -> None:
    """Send a message to a channel of any layer, from synchronous code.

    Args:
        layer: A channel layer, which need not derive from ours.
        channel: The channel's name.
        message: The message.

    Raises:
        InvalidChannelLayerError: The layer is None.
        SynchronousOnlyOperation: An event loop runs in this thread.
        ChannelFull: The channel holds as many messages as its capacity allows.
    """
    _call_and_wait(layer, "send", channel, message)


def group_add_sync(layer: Any, group: str, channel: str) -> None:
    """Add a channel to a group of any layer, from synchronous code; errors as in `send_sync`."""
    _call_and_wait(layer, "group_add", group, channel)


def group_discard_sync(layer: Any, group: str, channel: str) -> None:
    """Remove a channel from a group of any layer, from synchronous code."""
    _call_and_wait(layer, "group_discard", group, channel)


def group_send_sync(layer: Any, group: str, message: Message) -> None:
    """Send a message to a group of any layer, from synchronous code; errors as in `send_sync`."""
    _call_and_wait(layer, "group_send", group, message)


def send_on_commit(layer: Any, channel: str, message: Message, using: str | None = None) -> None:
    """Send to a channel of any layer once the open database transaction has been committed.

    A failure at that time is logged and not raised, so it disturbs neither the request nor other
    functions that run after the commit.

    Args:
        layer: A channel layer, which need not derive from ours.
        channel: The channel's name, checked at once.
        message: The message; it is copied now.
        using: Alias of the database; the default one if None.

    Raises:
        InvalidChannelLayerError: The layer is None.
        TypeError: The name is not valid, or the layer cannot send the message.
        Exception: Another exception of the layer for a message that it cannot pack.

    Source: `django.db.transaction.on_commit`; without a transaction it sends at once.
    """
    _call_on_commit(layer, "send", channel, message, using)


def group_send_on_commit(
    layer: Any, group: str, message: Message, using: str | None = None
) -> None:
    """Send to a group of any layer once the open database transaction has been committed.

    Arguments and errors are those of `send_on_commit`.
    """
    _call_on_commit(layer, "group_send", group, message, using)


def give_sync_calls(layer: Any) -> None:
    """Add these functions as methods to a layer that does not derive from ours.

    So a program works with every layer that `CHANNEL_LAYERS` may name.
    """
    for function in _METHODS:
        name = function.__name__
        if getattr_static(layer, name, None) is None:
            # An object with slots takes no attributes; the functions still work.
            with suppress(AttributeError, TypeError):
                setattr(layer, name, MethodType(function, layer))


_METHODS: Final = (
    send_sync,
    group_add_sync,
    group_discard_sync,
    group_send_sync,
    send_on_commit,
    group_send_on_commit,
)


def _require(layer: Any, what: str) -> None:
    if layer is None:
        raise InvalidChannelLayerError(
            f"{what} needs a channel layer, got None; CHANNEL_LAYERS has no such alias. Add it to "
            "the settings"
        )


def _call_and_wait(layer: Any, name: str, *args: object) -> None:
    _require(layer, f"{name}_sync()")
    if asyncio._get_running_loop() is not None:
        raise SynchronousOnlyOperation(
            f"{name}_sync() would block the event loop of this thread; await {name}() instead"
        )
    async_to_sync(_call)(layer, name, *args)


async def _call(layer: Any, name: str, *args: object) -> None:
    method = getattr(layer, name, None)
    if method is None:
        kind = "a channel layer with groups" if name.startswith("group") else "a channel layer"
        raise InvalidChannelLayerError(
            f"{name}_sync() needs {kind}; a {type(layer).__name__} has no {name}()"
        )
    result = method(*args)
    if isawaitable(result):  # a test's mock may return anything
        await result


def _call_on_commit(
    layer: Any, name: str, target: str, message: Message, using: str | None
) -> None:
    _require(layer, f"{name}_on_commit()")
    kind = "group" if name == "group_send" else "channel"
    check = getattr(type(layer), f"require_valid_{kind}_name", None)
    if check is not None:
        check(layer, target)
    copy = getattr(type(layer), "copy_message", None)
    taken = copy_of(layer, message) if copy is None else copy(layer, dict(message))

    async def send() -> None:
        try:
            await _call(layer, name, target, taken)
        except Exception:
            logger.exception(
                "A message of type %r to %s %r is lost: the channel layer failed after the commit",
                taken.get("type"),
                kind,
                target,
            )

    def send_from_here() -> None:
        loop = asyncio._get_running_loop()
        if loop is None:
            async_to_sync(send)()
        else:
            task = loop.create_task(send())
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)

    # Imported here: most consumers never wait for a commit.
    from django.db import transaction

    in_loop = asyncio._get_running_loop() is not None
    if in_loop and not transaction.get_connection(using).in_atomic_block:
        # There is no commit to wait for, and Django refuses `on_commit` in an event loop.
        send_from_here()
    else:
        transaction.on_commit(send_from_here, using=using, robust=True)


def copy_of(layer: Any, message: Message) -> dict[str, Any]:
    """Return a deep copy of a message, if the layer can send it.

    Raises:
        Exception: The layer's own error for a message that it cannot pack.
    """
    from channels_core._layers.channels_redis import require_packable  # with the first copy

    require_packable(layer, message)
    return deepcopy(dict(message))
