"""Remember the sessions that have just ended, so that a late save cannot bring one back.

Only Django's `db` engine saves a session on the condition that it still exists. `file`, `cache` and
most engines of other packages look first and write then. A logout between the two deletes the
session, and the write stores it again: the old cookie would name the user again. `cached_db` has
this gap between its database and its cache.

So a *mark* is stored before a session is deleted, and whoever has saved a session looks for its
mark afterwards. However the two overlap, either the deletion comes after the save, or the mark is
found, and the session is deleted once more.

A mark is a small session of the same engine, under a key that only this site can compute. So it is
visible to exactly the processes that can save the session, whatever the caches are.
"""

import contextlib
import logging
from typing import Any, Final

from django.contrib.sessions.backends.base import CreateError, SessionBase

from channels_auth._keyed_digests import keyed_digests
from channels_auth._session_storage import keeps_data_in_cookie

__all__ = ["ahas_ended", "arecord_end", "has_ended", "record_deletion", "record_end"]

logger: Final = logging.getLogger("django.channels.auth")

_SALT: Final = "channels_auth.ended_session"

#: Seconds that a mark is needed: longer than a save can take.
_LIFETIME: Final = 60

#: The longest session key that Django's table can hold.
_LONGEST_KEY: Final = 40

_FAILED: Final = (
    "The end of a session could not be recorded; a WebSocket that saves the session at this moment "
    "may store it again"
)


def record_end(session: Any, key: str | None) -> None:
    """Record that a session is about to be deleted; an error is logged.

    Args:
        session: The session, or another one of the same engine.
        key: The key of the session; None does nothing.
    """
    try:
        for mark in _marks(session, key):
            _create(mark)
    except Exception:
        logger.exception(_FAILED)


async def arecord_end(session: Any, key: str | None) -> None:
    """Record that a session is about to be deleted, as `record_end` does."""
    try:
        for mark in _marks(session, key):
            await _acreate(mark)
    except Exception:
        logger.exception(_FAILED)


def record_deletion(session: Any, key: str) -> None:
    """Record that a session was deleted, unless it is stored; an error is logged.

    Args:
        session: A session of the same engine.
        key: The key that a client has sent as its session's; it may be anything.
    """
    if not key.isascii() or not key.isalnum() or len(key) > _LONGEST_KEY:
        return  # not a key that Django makes; engines may raise errors for it
    try:
        if (marks := _marks(session, key)) and not session.exists(key):
            for mark in marks:
                _create(mark)
    except Exception:
        logger.exception(_FAILED)


def has_ended(session: SessionBase) -> bool:
    """Return whether the end of a session that was just saved is recorded."""
    return any(mark.exists(mark.session_key) for mark in _marks(session, session.session_key))


async def ahas_ended(session: SessionBase) -> bool:
    """Return whether the end of a session that was just saved is recorded."""
    for mark in _marks(session, session.session_key):
        if await mark.aexists(mark.session_key):
            return True
    return False


def _marks(session: Any, key: str | None) -> list[Any]:
    """Return the marks of a session, not stored; no marks if a save cannot undo its deletion."""
    kind = _class_of_marks(session)
    if kind is None or not key:
        return []
    return [kind(digest) for digest in keyed_digests(_SALT, key)]


def _class_of_marks(session: Any) -> type[SessionBase] | None:
    # Imported here because they need the settings.
    from django.contrib.sessions.backends import cache, cached_db, db

    # `__class__`, because the session may be in a lazy object.
    kind = session.__class__
    if not issubclass(kind, SessionBase) or keeps_data_in_cookie(session):
        return None
    if kind.exists is SessionBase.exists:
        return None  # an engine that cannot tell which keys are taken
    if issubclass(kind, cached_db.SessionStore):
        return cache.SessionStore  # only the cache can bring the session back
    return None if issubclass(kind, db.SessionStore) else kind


def _create(mark: Any) -> None:
    with contextlib.suppress(CreateError):  # it is recorded already
        _fill(mark).save(must_create=True)


async def _acreate(mark: Any) -> None:
    with contextlib.suppress(CreateError):  # it is recorded already
        await _fill(mark).asave(must_create=True)


def _fill(mark: Any) -> Any:
    mark._session_cache = {}  # Django's attribute; without it, the session would be loaded
    mark.set_expiry(_LIFETIME)
    return mark
