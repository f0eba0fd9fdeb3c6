"""Send to the channel layer from wherever a login ends, without standing in its way."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from asgiref.sync import async_to_sync
from django.db import transaction

from channels_core.forks import call_in_children
from channels_core.layers import get_channel_layer, has_groups
from channels_core.typing import Message

__all__ = ["after_commit", "announce", "announce_soon"]

logger = logging.getLogger("django.channels.auth")

#: Seconds that the layer may take: a logout, or a change of a user, waits for it.
_SEND_TIMEOUT: Final = 5.0

# The event loop holds its tasks weakly.
_tasks: Final[set[asyncio.Task[None]]] = set()
call_in_children(_tasks.clear)


async def announce(group: str, message: Message) -> None:
    """Send a message to a group; a site without groups has no use for it.

    An error is logged, and so is a layer that takes too long.

    Args:
        group: The name of a group.
        message: The message.
    """
    try:
        layer = get_channel_layer()
        if layer is not None and has_groups(layer):
            async with asyncio.timeout(_SEND_TIMEOUT):
                await layer.group_send(group, message)
    except Exception:
        # The logout, or the change of the password, must not fail for it.
        logger.exception(
            "The sockets of a login that has ended could not be told so over the channel layer; "
            "those with revalidate_every find out by themselves"
        )


def announce_soon(group: str, message: Message) -> None:
    """Send a message to a group from synchronous code, as `announce` does.

    It is sent before this returns; but in the thread of an event loop, which must not wait, a task
    of its own sends it.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        async_to_sync(announce)(group, message)
    else:
        task = loop.create_task(announce(group, message))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)


def after_commit(using: str | None, function: Callable[..., object], *args: object) -> None:
    """Call a function once the open transaction is committed, or now if there is none.

    A client that is told of a change connects again at once, and must not meet what was before.

    Args:
        using: Alias of the database; None for something that is in no database.
        function: What to call; it is not called after a rollback.
        args: What to call it with.
    """
    # `on_commit` alone would open a connection, even to a site's database that is none.
    if using is not None and transaction.get_connection(using).in_atomic_block:
        # No partial: Django asks for the name of what has failed.
        transaction.on_commit(lambda: function(*args), using=using, robust=True)
    else:
        function(*args)
