"""Announce the end of a login to its sockets, over the channel layer.

A logout or a change of a user must not fail because of its announcement: errors are logged, and the
time is limited.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from asgiref.sync import async_to_sync
from django.db import transaction

from channels_auth._disconnection.layer import layer_with_groups
from channels_core.forks import call_in_children
from channels_core.typing import Message

__all__ = ["after_commit", "announce", "announce_soon", "failures_logged"]

logger = logging.getLogger("django.channels.auth")

#: Seconds that the layer may take. A logout, or the change of a user, waits for it.
_SEND_TIMEOUT: Final = 5.0

# References to running tasks: the event loop holds only weak ones.
_tasks: Final[set[asyncio.Task[None]]] = set()
call_in_children(_tasks.clear)


@contextlib.contextmanager
def failures_logged() -> Iterator[None]:
    """Log an error of an announcement instead of raising it; for a `with` or as a decorator."""
    try:
        yield
    except Exception:
        logger.exception(
            "The end of a login could not be announced to its sockets over the channel layer; "
            "sockets with revalidate_every notice it themselves"
        )


async def announce(messages: Sequence[Message]) -> None:
    """Send each message to its group; do nothing without a layer with groups.

    An error is logged; so is a layer that takes too long.

    Args:
        messages: The messages, each with the name of its group.
    """
    with failures_logged():
        layer = layer_with_groups()
        if layer is not None:
            async with asyncio.timeout(_SEND_TIMEOUT):
                for message in messages:
                    await layer.group_send(message["group"], message)


def announce_soon(messages: Sequence[Message]) -> None:
    """Send each message to its group from synchronous code, as `announce` does.

    The messages are sent before this function returns. Only in the thread of an event loop, which
    must not wait, a new task sends them.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        async_to_sync(announce)(messages)
    else:
        task = loop.create_task(announce(messages))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)


def after_commit(using: str | None, function: Callable[..., object], *args: object) -> None:
    """Call a function once the open transaction is committed, or now if there is no transaction.

    A client reconnects as soon as its socket closes, and must then find the change stored.

    Args:
        using: Alias of the database; None for a change that is in no database.
        function: The function to call. It is not called after a rollback.
        args: Its arguments.
    """
    # `on_commit` alone would open a connection, also on a site without a database.
    if using is not None and transaction.get_connection(using).in_atomic_block:
        # Not a `partial`: Django logs the function's `__qualname__` if it fails.
        transaction.on_commit(lambda: function(*args), using=using, robust=True)
    else:
        function(*args)
