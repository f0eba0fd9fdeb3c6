"""Sessions that live as long as a connection: the project's engine, adapted to load and save late.

`session_class` derives a class from the `SessionStore` of `SESSION_ENGINE`, once for each engine.
A request lasts milliseconds, and Django saves its session as a whole. A connection lasts hours,
and other requests store changes meanwhile. So the derived class remembers the data at the last
load or save. Once the response's headers are sent, a save reads what is stored now and applies
only the connection's own changes to it. A save that has overlapped with the end of the session
deletes it again: see `channels_auth._ended_sessions`.

A session that is read without `await`, in the thread of an event loop, is loaded in another
thread, since Django forbids the query in this one. The event loop waits meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextvars import copy_context
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from asgiref.sync import AsyncToSync
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import SuspiciousOperation, SynchronousOnlyOperation
from django.core.signing import JSONSerializer
from django.db import connections

from channels_auth._session_storage import class_of_marks, keeps_data_in_cookie, read_setting

__all__ = [
    "INTERRUPTED",
    "ConnectionSession",
    "SessionGone",
    "loads_at_once",
    "merge",
    "record_creation",
    "record_headers_sent",
    "session_class",
]

#: Django's own text, which programs may look for.
INTERRUPTED: Final = (
    "The request's session was deleted before the request completed. The user may have logged "
    "out in a concurrent request, for example."
)

#: The engines of Django are in this package.
_DJANGOS: Final = "django.contrib.sessions.backends."

#: Seconds that an event loop waits at most for a session that is read without `await`.
_LOAD_TIMEOUT: Final = 10


def session_class() -> type[ConnectionSession]:
    """Return the session class for connections: a subclass of the one of `SESSION_ENGINE`."""
    name = read_setting("SESSION_ENGINE")
    # `import_module` takes 1.2 us for a module that is there, with each connection.
    engine = sys.modules.get(name) or import_module(name)
    return _derived(engine.SessionStore)


@lru_cache(maxsize=8)
def _derived(engine: type[SessionBase]) -> type[ConnectionSession]:
    if class_of_marks(engine) is not None:
        # Loaded for such an engine: Django's default needs no marks.
        from channels_auth._ended_sessions import record_ends

        record_ends(engine)
    # Django signs session data with a salt that contains the qualified name of the class.
    names = {"__module__": engine.__module__, "__qualname__": engine.__qualname__}
    return type(engine.__name__, (ConnectionSession, engine), names)


def merge(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Apply our own changes to the data that is stored now.

    Args:
        base: The data at our last load or save.
        ours: The same data with our changes.
        theirs: The data that is stored now. It wins where we have changed nothing.
    """
    merged = {key: value for key, value in theirs.items() if key in ours or key not in base}
    merged.update(
        (key, value)
        for key, value in ours.items()
        if key not in base or not _is_stored_alike(base[key], value)
    )
    return merged


def _is_stored_alike(one: Any, other: Any) -> bool:
    """Return whether two values are equal when stored: 1, 1.0 and True are three values then."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            _is_stored_alike(one[key], other[key]) for key in one
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_is_stored_alike, one, other))
    return bool(one == other)


class SessionGone(UpdateError, SessionInterrupted, SuspiciousOperation):
    """A session was deleted before the changes of an open connection could be saved.

    Django raises `SessionInterrupted`; programs for earlier Channels catch `SuspiciousOperation`.
    """


class _SaveState:
    """What a session of a connection remembers from one save to the next."""

    __slots__ = ("headers_are_sent", "is_saving", "stored")

    def __init__(self, *, headers_are_sent: bool) -> None:
        #: Whether the response's headers are sent. Saves merge from then on.
        self.headers_are_sent = headers_are_sent
        #: Whether a save runs. Some engines call `save` from `asave`, or `asave` from `save`.
        self.is_saving = False
        #: A copy of the data at the last load or save; None before the first one.
        self.stored: dict[str, Any] | None = None


# Shared by the sessions that were neither loaded nor saved, such as those of most visitors: each
# idle connection saves 56 bytes. They are not changed.
_FRESH: Final = _SaveState(headers_are_sent=False)
_FRESH_AND_SENT: Final = _SaveState(headers_are_sent=True)


class ConnectionSession(SessionBase):
    """The part of a derived session class that is not the engine's.

    `_channels_state` is the only name that it adds to a session.
    """

    modified: bool
    _session_cache: dict[str, Any]  # Django's; it exists once the data is loaded
    _channels_state: _SaveState = _FRESH

    def load(self) -> dict[str, Any]:
        """Load the data; this works in the thread of an event loop, too.

        Raises:
            SynchronousOnlyOperation: The event loop would have to wait too long.

        Source: `django.contrib.sessions.backends.base.SessionBase.load`.
        """
        load: Callable[[], dict[str, Any]] = super().load
        # Decided before the call: some engines treat the error of a forbidden query as a missing
        # session.
        data = _load_in_thread(load) if _must_not_block(self) else load()
        return _remember(self, data)

    async def aload(self) -> dict[str, Any]:
        """Load the data.

        Source: `django.contrib.sessions.backends.base.SessionBase.aload`.
        """
        if _loads_in_thread(self):
            from channels_core.db import look_up  # with the first session that is stored

            return _remember(self, await look_up(super().load))
        return _remember(self, await super().aload())

    def save(self, must_create: bool = False) -> None:
        """Save the data; once the headers are sent, save our changes only.

        Raises:
            UpdateError: The session was deleted meanwhile.

        Source: `django.contrib.sessions.backends.base.SessionBase.save`.
        """
        if _has_to_merge(self, must_create):
            fresh = type(self)(self.session_key)
            _merge_into(self, fresh.load(), fresh)
        overwrites = _overwrites(self, must_create)
        with _saving(self):
            super().save(must_create)
        if overwrites and class_of_marks(type(self)) is not None:
            from channels_auth._ended_sessions import has_ended

            if has_ended(self):
                self.delete()
                raise SessionGone(INTERRUPTED)

    async def asave(self, must_create: bool = False) -> None:
        """Save the data; once the headers are sent, save our changes only.

        Raises:
            UpdateError: The session was deleted meanwhile.

        Source: `django.contrib.sessions.backends.base.SessionBase.asave`.
        """
        if _has_to_merge(self, must_create):
            fresh = type(self)(self.session_key)
            _merge_into(self, await fresh.aload(), fresh)
        overwrites = _overwrites(self, must_create)
        with _saving(self):
            await super().asave(must_create)
        if overwrites and class_of_marks(type(self)) is not None:
            from channels_auth._ended_sessions import ahas_ended

            if await ahas_ended(self):
                await self.adelete()
                raise SessionGone(INTERRUPTED)


# Functions and not methods: an engine may use any of these names.


def record_headers_sent(session: ConnectionSession) -> None:
    """Record that the response's headers are sent: from now on, saves merge."""
    if session._channels_state is _FRESH:
        session._channels_state = _FRESH_AND_SENT
    else:
        _own_state(session).headers_are_sent = True


def record_creation(session: ConnectionSession) -> None:
    """Record that the save which has created a session needs no second save after it.

    Django's `create` sets `modified` after it has saved. `modified` stays set if the data was
    changed during the save.
    """
    session.modified = session._session_cache != session._channels_state.stored


def loads_at_once(session: object) -> bool:
    """Return whether loading a session only decodes its cookie: no query, no thread."""
    from django.contrib.sessions.backends import signed_cookies

    # Exactly Django's: an engine or a serializer of the program may ask the database. Django would
    # take the error of that for a bad cookie.
    return (
        isinstance(session, ConnectionSession)
        and type(session).__mro__[2] is signed_cookies.SessionStore
        and session.serializer is JSONSerializer
    )


def _loads_in_thread(session: ConnectionSession) -> bool:
    """Return whether `aload` enters a thread: it does in Django's engines, which have two twins."""
    engine = type(session).__mro__[2]
    return engine.__module__.startswith(_DJANGOS) and not keeps_data_in_cookie(session)


def _own_state(session: ConnectionSession) -> _SaveState:
    """Return what a session remembers, to be changed."""
    state = session._channels_state
    if state is _FRESH or state is _FRESH_AND_SENT:
        state = _SaveState(headers_are_sent=state.headers_are_sent)
        session._channels_state = state
    return state


def _remember(session: ConnectionSession, data: dict[str, Any]) -> dict[str, Any]:
    _own_state(session).stored = copy.deepcopy(data)
    return data


def _has_to_merge(session: ConnectionSession, must_create: bool) -> bool:
    state = session._channels_state
    return (
        state.headers_are_sent
        and not state.is_saving
        and not must_create
        and session.session_key is not None
        and state.stored is not None
        and not keeps_data_in_cookie(session)
    )


def _overwrites(session: ConnectionSession, must_create: bool) -> bool:
    """Return whether a save, unless it is a part of another one, writes over a stored session."""
    is_part = session._channels_state.is_saving
    return not must_create and not is_part and session.session_key is not None


def _merge_into(session: ConnectionSession, data: dict[str, Any], fresh: SessionBase) -> None:
    if fresh.session_key is None:  # engines report a missing session in this way
        raise SessionGone(INTERRUPTED)
    assert session._channels_state.stored is not None
    session._session_cache = merge(session._channels_state.stored, session._session_cache, data)


@contextlib.contextmanager
def _saving(session: ConnectionSession) -> Iterator[None]:
    """Remember the data before the save: a task may change it again during the save."""
    state = _own_state(session)
    if state.is_saving:
        yield
        return
    stored, modified = state.stored, session.modified
    state.is_saving = True
    _remember(session, getattr(session, "_session_cache", {}))
    if state.headers_are_sent:
        session.modified = False
    try:
        yield
    except BaseException as error:
        state.stored = stored
        session.modified = modified
        if state.headers_are_sent and type(error) is UpdateError:
            raise SessionGone(INTERRUPTED) from error
        raise
    finally:
        state.is_saving = False


def _must_not_block(session: SessionBase) -> bool:
    """Return whether a load would query the database in the thread of an event loop."""
    if keeps_data_in_cookie(session) or os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _load_in_thread(load: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Call a function in another thread, and block this one until it returns."""
    outer = getattr(AsyncToSync.executors, "current", None)
    if outer is not None:
        # As in a Django TestCase: only the thread of that `async_to_sync` sees its transaction.
        future: Future[dict[str, Any]] = outer.submit(load)
    else:
        future = Future()
        context = copy_context()
        threading.Thread(target=context.run, args=(_finish, future, load), daemon=True).start()
    try:
        return future.result(_LOAD_TIMEOUT)
    except TimeoutError:
        future.cancel()
        raise SynchronousOnlyOperation(
            "The session could not be loaded while its event loop waits for it; "
            "read it with await, as in `await session.aget(key)`"
        ) from None


def _finish(future: Future[dict[str, Any]], load: Callable[[], dict[str, Any]]) -> None:
    future.set_running_or_notify_cancel()  # from here on it cannot be cancelled
    try:
        try:
            data = load()
        finally:
            connections.close_all()
    except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
        future.set_exception(error)
    else:
        future.set_result(data)
