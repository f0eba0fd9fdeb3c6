"""Use any channel layer from synchronous code: at once, or after a commit.

Not every layer derives from ours, and some have their methods only while an event loop runs. So a
method is looked up in the coroutine that calls it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from copy import deepcopy
from inspect import getattr_static, isawaitable
from types import MethodType
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation

from channels_core._layers.optional_methods import require_extension
from channels_core.exceptions import InvalidChannelLayerError
from channels_core.typing import Message

if TYPE_CHECKING:
    from channels_core.layer_extensions import History

__all__ = [
    "copy_of",
    "give_sync_calls",
    "group_add_sync",
    "group_discard_sync",
    "group_history_sync",
    "group_members_sync",
    "group_send_on_commit",
    "group_send_sync",
    "ping_sync",
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


def group_add_sync(
    layer: Any, group: str, channel: str, member: Mapping[str, Any] | None = None
) -> None:
    """Add a channel to a group of any layer, from synchronous code; errors as in `send_sync`.

    Args:
        layer: A channel layer, which need not derive from ours.
        group: The group's name.
        channel: The channel's name.
        member: The data of the member behind the channel, for a layer that has `members`.
    """
    extra: dict[str, Any] = {}
    if member is not None:
        require_extension(layer, "members", "group_add_sync(member=...)")
        extra["member"] = member
    _call_and_wait(layer, "group_add", group, channel, **extra)


def group_discard_sync(layer: Any, group: str, channel: str) -> None:
    """Remove a channel from a group of any layer, from synchronous code."""
    _call_and_wait(layer, "group_discard", group, channel)


def group_send_sync(
    layer: Any, group: str, message: Message, exclude: Collection[str] = ()
) -> None:
    """Send a message to a group of any layer, from synchronous code; errors as in `send_sync`.

    Args:
        layer: A channel layer, which need not derive from ours.
        group: The group's name.
        message: The message.
        exclude: Names of channels that get no copy, for a layer that has `exclude`.
    """
    extra = _excluding(layer, exclude, "group_send_sync(exclude=...)")
    _call_and_wait(layer, "group_send", group, message, **extra)


def group_history_sync(
    layer: Any, group: str, after: str | None = None, limit: int | None = None
) -> History:
    """Return the messages of a group that a layer keeps, to synchronous code.

    Arguments and errors are those of `BaseChannelLayer.group_history`.

    Raises:
        InvalidChannelLayerError: The layer does not have `history`.
    """
    require_extension(layer, "history", "group_history_sync()")
    history: History = _call_and_wait(layer, "group_history", group, after=after, limit=limit)
    return history


def group_members_sync(layer: Any, group: str) -> list[dict[str, Any]]:
    """Return who is in a group, to synchronous code; see `BaseChannelLayer.group_members`.

    Raises:
        InvalidChannelLayerError: The layer does not have `members`.
    """
    require_extension(layer, "members", "group_members_sync()")
    members: list[dict[str, Any]] = _call_and_wait(layer, "group_members", group)
    return members


def ping_sync(layer: Any) -> None:
    """Return to synchronous code if a layer can be used now; see `BaseChannelLayer.ping`.

    Raises:
        Exception: The store cannot be reached, or the layer does not have `ping`.
    """
    _call_and_wait(layer, "ping")


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
    layer: Any,
    group: str,
    message: Message,
    using: str | None = None,
    exclude: Collection[str] = (),
) -> None:
    """Send to a group of any layer once the open database transaction has been committed.

    Arguments and errors are those of `send_on_commit` and, for `exclude`, of `group_send_sync`.
    """
    extra = _excluding(layer, exclude, "group_send_on_commit(exclude=...)")
    _call_on_commit(layer, "group_send", group, message, using, **extra)


def _excluding(layer: Any, exclude: Collection[str], what: str) -> dict[str, Any]:
    """Return the arguments of `group_send` that exclude some channels: none if there are none.

    A str is refused even if it is empty: it is no collection of names.
    """
    if not exclude and not isinstance(exclude, str):
        return {}
    require_extension(layer, "exclude", what)
    # Imported here: most programs exclude nobody.
    from channels_core.layer_extensions import checked_exclude

    return {"exclude": checked_exclude(exclude)}


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
    group_history_sync,
    group_members_sync,
    ping_sync,
    send_on_commit,
    group_send_on_commit,
)


def _require(layer: Any, what: str) -> None:
    if layer is None:
        raise InvalidChannelLayerError(
            f"{what} needs a channel layer, got None; CHANNEL_LAYERS has no such alias. Add it to "
            "the settings"
        )


def _call_and_wait(layer: Any, name: str, *args: object, **kwargs: object) -> Any:
    _require(layer, f"{name}_sync()")
    if asyncio._get_running_loop() is not None:
        raise SynchronousOnlyOperation(
            f"{name}_sync() would block the event loop of this thread; await {name}() instead"
        )
    return async_to_sync(_call)(layer, name, *args, **kwargs)


async def _call(layer: Any, name: str, *args: object, **kwargs: object) -> Any:
    method = getattr(layer, name, None)
    if method is None:
        kind = "a channel layer with groups" if name.startswith("group") else "a channel layer"
        raise InvalidChannelLayerError(
            f"{name}_sync() needs {kind}; a {type(layer).__name__} has no {name}()"
        )
    result = method(*args, **kwargs)
    return await result if isawaitable(result) else result  # a test's mock may return anything


def _own_sync_method(layer: Any, name: str) -> Callable[..., Any] | None:
    """Return the method `*_sync` of a layer that does not need an event loop; None without one."""
    function = getattr(type(layer), f"{name}_sync", None)
    if function is None or getattr(function, "__module__", None) == "channels_core.layers":
        return None
    method: Callable[..., Any] = getattr(layer, f"{name}_sync")
    return method


def _call_on_commit(
    layer: Any, name: str, target: str, message: Message, using: str | None, **kwargs: object
) -> None:
    _require(layer, f"{name}_on_commit()")
    kind = "group" if name == "group_send" else "channel"
    check = getattr(type(layer), f"require_valid_{kind}_name", None)
    if check is not None:
        check(layer, target)
    copy = getattr(type(layer), "copy_message", None)
    taken = copy_of(layer, message) if copy is None else copy(layer, dict(message))

    lost = (
        "A message of type %r to %s %r is lost: the channel layer failed after the commit",
        taken.get("type"),
        kind,
        target,
    )

    async def send() -> None:
        try:
            await _call(layer, name, target, taken, **kwargs)
        except Exception:
            logger.exception(*lost)

    def send_from_here() -> None:
        loop = asyncio._get_running_loop()
        if loop is not None:
            task = loop.create_task(send())
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)
        elif (own := _own_sync_method(layer, name)) is None:
            async_to_sync(send)()
        else:
            try:
                own(target, taken, **kwargs)
            except Exception:
                logger.exception(*lost)

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
