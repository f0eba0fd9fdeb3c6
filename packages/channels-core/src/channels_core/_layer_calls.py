"""Use any channel layer from synchronous code: at once, or after a commit.

Not every layer derives from ours, and some may be asked for a method within an event loop only.
So each method is looked up where it is called.
"""

import asyncio
import logging
from copy import deepcopy
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction

from channels_core._steps import takes
from channels_core.typing import Message

__all__ = ["call_from_sync", "call_on_commit", "copy_of"]

logger = logging.getLogger("django.channels.layers")

# The event loop holds its tasks weakly.
_tasks: Final[set[asyncio.Task[None]]] = set()


def call_from_sync(layer: Any, name: str, *args: object) -> None:
    """Call a coroutine method of a layer, and wait for its end.

    Args:
        layer: Any channel layer.
        name: The method's name.
        args: Its arguments.

    Raises:
        SynchronousOnlyOperation: An event loop runs in this thread.
    """
    if asyncio._get_running_loop() is not None:
        raise SynchronousOnlyOperation(
            f"{name}_sync() would block the event loop of this thread; await {name}() instead"
        )
    async_to_sync(_call)(layer, name, *args)


async def _call(layer: Any, name: str, *args: object) -> None:
    result = getattr(layer, name)(*args)
    if isawaitable(result):  # a test's mock may give anything
        await result


def call_on_commit(layer: Any, name: str, target: str, message: Message, using: str | None) -> None:
    """Send a message once the open transaction is committed, or now if there is none.

    What fails then is logged: the request has done its work, and others wait for the commit, too.

    Args:
        layer: Any channel layer.
        name: `send` or `group_send`.
        target: Name of a channel or of a group, checked at once.
        message: The message, as it is at the time of this call.
        using: Alias of the database; the default one if None.

    Raises:
        TypeError: The name is not valid, or the layer cannot send the message.
        Exception: What else the layer raises for a message that it cannot pack.
    """
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

    in_loop = asyncio._get_running_loop() is not None
    if in_loop and not transaction.get_connection(using).in_atomic_block:
        # Django refuses to ask the database here, and there is no commit to wait for.
        send_from_here()
    else:
        transaction.on_commit(send_from_here, using=using, robust=True)


def copy_of(layer: Any, message: Message) -> dict[str, Any]:
    """Return a deep copy of a message, if the layer can send it.

    Source: `serialize` of the layers of channels-redis and of those made after them, which packs
    a message and raises for one that cannot be packed.
    """
    serialize = getattr(type(layer), "serialize", None)
    if serialize is not None and not iscoroutinefunction(serialize) and takes(serialize, 2):
        serialize(layer, message)
    return deepcopy(dict(message))
