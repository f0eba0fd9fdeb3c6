"""Remember the sessions that have just ended, so that a late save cannot bring one back.

Only Django's `db` engine saves a session on the condition that it still exists. `file`, `cache` and
most engines of other packages look first and write then. A logout between the two deletes the
session, and the write stores it again: the old cookie would name the user again. `cached_db` has
this gap between its database and its cache.

So a *mark* is stored before a session is deleted, and whoever has saved a session looks for its
mark afterwards. However the two overlap, either the deletion comes after the save, or the mark is
found, and the session is deleted once more.

Django tells nobody before it deletes a session: `login` flushes the session of another user, for
example, and sends its signal later. So the methods that end a session are wrapped, in the engine's
class itself: programs compare and patch the class of a session, which a subclass would replace.

A mark is a small session of the same engine, under a key that only this site can compute. So it is
visible to exactly the processes that can save the session, whatever the caches are. An engine of
another package may have keys of another kind, or say of every key that it exists. Its sessions are
saved and deleted as if there were no marks.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import wraps
from time import monotonic
from typing import Any, Final

from django.contrib.sessions.backends.base import CreateError, SessionBase

from channels_auth._keyed_digests import keyed_digests
from channels_auth._session_storage import class_of_marks, derives_from_engine

__all__ = ["ahas_ended", "has_ended", "record_ends"]

logger: Final = logging.getLogger("django.channels.auth")

_SALT: Final = "channels_auth.ended_session"

#: Seconds that a mark is needed: longer than a save can take.
_LIFETIME: Final = 60

#: The attribute of a `flush` that is wrapped.
_WRAPPED: Final = "_channels_records_end"

#: Digits of a mark's key: as long as Django's own keys, since a table may have no room for more.
_KEY_LENGTH: Final = 32

#: The engines whose failure is logged already.
_reported: Final[set[str]] = set()

#: The marks that this process has made and that do not go by themselves, each with its time.
_kept: Final[deque[tuple[float, Any]]] = deque()


def record_ends(engine: type[SessionBase]) -> None:
    """Have the sessions of an engine record their end before they are deleted.

    That is at `flush`, and at `delete` with a key, which `cycle_key` calls. A `delete` without one
    is not wrapped: the engine `file` calls it for sessions that have expired.

    Args:
        engine: The class of the sessions; nothing changes if no save can undo a deletion in it.
    """
    if class_of_marks(engine) is not None and not hasattr(engine.flush, _WRAPPED):
        wrapped: Any = engine  # it has a plain method in place of each one
        wrapped.flush, wrapped.aflush = _flush(engine.flush), _aflush(engine.aflush)
        wrapped.delete, wrapped.adelete = _delete(engine.delete), _adelete(engine.adelete)


def _flush(original: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(original)
    def flush(self: Any) -> None:
        _record(self, self.session_key)
        original(self)

    vars(flush)[_WRAPPED] = True
    return flush


def _aflush(original: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    @wraps(original)
    async def aflush(self: Any) -> None:
        await _arecord(self, self.session_key)
        await original(self)

    return aflush


def _delete(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def delete(self: Any, session_key: str | None = None) -> None:
        _record(self, session_key)
        original(self, session_key)

    return delete


def _adelete(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @wraps(original)
    async def adelete(self: Any, session_key: str | None = None) -> None:
        await _arecord(self, session_key)
        await original(self, session_key)

    return adelete


def _record(session: Any, key: str | None) -> None:
    """Record that a session is about to be deleted; the first error of an engine is logged.

    Args:
        session: The session, or another one of the same engine.
        key: The key of the session; None does nothing.
    """
    with _failures_logged(session):
        for mark in _marks(session, key):
            _create(mark)
            for old in _old_marks(mark):
                old.delete()


async def _arecord(session: Any, key: str | None) -> None:
    """Record that a session is about to be deleted, as `_record` does."""
    with _failures_logged(session):
        for mark in _marks(session, key):
            await _acreate(mark)
            for old in _old_marks(mark):
                await old.adelete()


def has_ended(session: SessionBase) -> bool:
    """Return whether the end of a session that was just saved is recorded.

    The session is saved already, so an error of the engine is logged, at its first time.
    """
    with _failures_logged(session):
        for mark in _marks(session, session.session_key):
            if mark.exists(mark.session_key):
                return not mark.exists(_key_of_nothing())
    return False


async def ahas_ended(session: SessionBase) -> bool:
    """Return whether the end of a session that was just saved is recorded, as `has_ended` does."""
    with _failures_logged(session):
        for mark in _marks(session, session.session_key):
            if await mark.aexists(mark.session_key):
                return not await mark.aexists(_key_of_nothing())
    return False


def _key_of_nothing() -> str:
    """Return a key that looks like one of a mark and is not stored."""
    return secrets.token_hex(_KEY_LENGTH // 2)


@contextlib.contextmanager
def _failures_logged(session: object) -> Iterator[None]:
    """Log an exception instead of raising it, once for each engine."""
    try:
        yield
    except Exception:
        engine = f"{type(session).__module__}.{type(session).__qualname__}"
        if engine not in _reported:
            _reported.add(engine)
            logger.warning(
                "The session engine %s cannot record which sessions have ended; a WebSocket that "
                "saves a session while it ends may store it again",
                engine,
                exc_info=True,
            )


def _marks(session: Any, key: str | None) -> list[Any]:
    """Return the marks of a session, not stored; no marks if a save cannot undo its deletion."""
    kind = class_of_marks(type(session))
    if kind is None or not key:
        return []
    return [kind(digest[:_KEY_LENGTH]) for digest in keyed_digests(_SALT, key)]


def _create(mark: Any) -> None:
    with contextlib.suppress(CreateError):  # it is recorded already
        _fill(mark).save(must_create=True)


async def _acreate(mark: Any) -> None:
    with contextlib.suppress(CreateError):  # it is recorded already
        await _fill(mark).asave(must_create=True)


def _fill(mark: Any) -> Any:
    mark._session_cache = {}  # Django's attribute; without it, the session would be loaded
    # Not a number of seconds: `clearsessions` never removes such a session of the engine `file`.
    mark.set_expiry(timedelta(seconds=_LIFETIME))
    return mark


def _old_marks(new: Any) -> list[Any]:
    """Return marks of this process to delete, and remember a new one.

    They are two at most: so the old ones become fewer, and no logout has to delete many.
    """
    if derives_from_engine(type(new), "cache"):
        return []  # a cache forgets them itself
    now = monotonic()
    _kept.append((now, new))
    old = []
    for _ in range(2):
        # Taken before the look at its time: two threads must not take one each for the same look.
        made, mark = _kept.popleft()
        if now - made <= _LIFETIME:
            _kept.appendleft((made, mark))
            break
        old.append(mark)
    return old
