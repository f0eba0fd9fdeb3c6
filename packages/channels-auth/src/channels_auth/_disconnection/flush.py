"""Announce a logout once its session is deleted.

Django sends `user_logged_out` before `logout` flushes the session, and sends no signal after it.
An announcement at the signal would come too early: the client would reconnect while its session
still exists, and stay connected. So the one session object gets a `flush` and an `aflush` of its
own, which flush, announce and are removed at the first call. A subclass of the session's class
would not do: programs and tests compare and patch `type(session)`, replace sessions by mocks, and
keep sessions in lazy objects.

A program may send the signal itself and end the session by other means, so that no flush follows.
Nothing connects the end of a request with its signal, so the groups that still wait for a flush
are kept for the whole process, and their sockets check their login when any request finishes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

from django.db import router

from channels_auth._disconnection.announcements import after_commit, announce, announce_soon
from channels_auth._disconnection.messages import revalidate_messages
from channels_core.typing import Message

__all__ = ["announce_after_flush", "announce_missing_flushes", "database_of"]

# The groups of users who have logged out, and whose sessions are not flushed yet.
_waiting_for_flush: Final[set[str]] = set()


def database_of(session: object) -> str | None:
    """Return the alias of the database that stores a session; None if no database does."""
    model = getattr(session, "model", None)
    return None if model is None else router.db_for_write(model)


def announce_after_flush(session: Any, messages: Sequence[Message]) -> None:
    """Send messages after the next flush of a session.

    Args:
        session: The session, with a key.
        messages: The messages, each with the name of its group.
    """
    key = session.session_key
    groups = {message["group"] for message in messages}
    flush, aflush = session.flush, session.aflush

    def restore() -> bool:
        """Remove both functions again, and return whether the session is still the same one."""
        for name in ("flush", "aflush"):
            with contextlib.suppress(AttributeError):
                delattr(session, name)
        _waiting_for_flush.difference_update(groups)
        return bool(session.session_key == key)

    def flush_and_announce() -> None:
        is_same = restore()
        flush()
        if is_same:
            after_commit(database_of(session), announce_soon, messages)

    async def aflush_and_announce() -> None:
        is_same = restore()
        await aflush()
        if is_same:
            await announce(messages)

    session.flush, session.aflush = flush_and_announce, aflush_and_announce
    _waiting_for_flush.update(groups)


def announce_missing_flushes() -> None:
    """Make the sockets of the groups that still wait for a flush check their login."""
    while _waiting_for_flush:
        with contextlib.suppress(KeyError):  # another thread may have taken the last one
            group = _waiting_for_flush.pop()
            announce_soon(revalidate_messages([group]))
