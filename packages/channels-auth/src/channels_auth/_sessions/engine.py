"""Sessions that live as long as a connection: any engine's, loaded and saved with that in mind."""

import asyncio
import contextlib
import copy
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextvars import copy_context
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from asgiref.sync import AsyncToSync
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import SuspiciousOperation, SynchronousOnlyOperation
from django.db import connections

__all__ = [
    "INTERRUPTED",
    "ConnectionSession",
    "SessionGone",
    "keeps_data_in_cookie",
    "merge",
    "session_class",
]

#: Django's words, and those that programs know.
INTERRUPTED: Final = (
    "The request's session was deleted before the request completed. The user may have logged "
    "out in a concurrent request, for example."
)

# Seconds that an event loop is held up at most by a program that reads its session without await.
_LOAD_SECONDS: Final = 10


def session_class() -> type["ConnectionSession"]:
    """Return the session class of the setting `SESSION_ENGINE`, fit for a connection.

    It is a subclass of the engine's own, which keeps everything else as it is.
    """
    return _connected(import_module(settings.SESSION_ENGINE).SessionStore)


@lru_cache(maxsize=8)
def _connected(engine: type[SessionBase]) -> type["ConnectionSession"]:
    # The qualified name is a part of the salt that Django signs session data with.
    names = {"__module__": engine.__module__, "__qualname__": engine.__qualname__}
    return type(engine.__name__, (ConnectionSession, engine), names)


def keeps_data_in_cookie(session: SessionBase) -> bool:
    """Tell whether a session is stored in the browser, where only a response can change it."""
    from django.contrib.sessions.backends import signed_cookies

    return isinstance(session, signed_cookies.SessionStore)


def merge(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Return what is stored now, with our own changes made to it.

    Args:
        base: The data as it was when we loaded or saved it last.
        ours: The same with our changes.
        theirs: The data as it is stored now. It wins where we have changed nothing.
    """
    merged = {key: value for key, value in theirs.items() if key in ours or key not in base}
    merged.update(
        (key, value)
        for key, value in ours.items()
        if key not in base or not _same(base[key], value)
    )
    return merged


def _same(one: Any, other: Any) -> bool:
    """Compare values as they are stored: 1, 1.0 and True are three of them."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


class SessionGone(UpdateError, SessionInterrupted, SuspiciousOperation):
    """A session was deleted before the changes of an open connection could be saved.

    Django raises `SessionInterrupted`; programs of earlier Channels catch `SuspiciousOperation`.
    """


class ConnectionSession(SessionBase):
    """A session as an open connection needs it, mixed into an engine's class.

    A request lasts milliseconds, and Django saves its session as a whole. A connection lasts
    hours: what other requests have stored meanwhile is kept, since a save that comes after the
    response's headers stores our own changes only. A read without `await` works in the event
    loop's thread as well, which it then holds up.
    """

    modified: bool
    _session_cache: dict[str, Any]  # Django's, once the data is loaded

    _channels_late = False
    _channels_saves = False
    _channels_base: dict[str, Any] | None = None

    def end_of_headers(self) -> None:
        """Take note that the response's headers are out: from here on, saves merge."""
        self._channels_late = True

    def note_created(self) -> None:
        """Take note that the save which has made this session needs no other one after it.

        Django's `create` sets `modified` once it has saved. It stays set if the data was changed
        during the save.
        """
        self.modified = self._session_cache != self._channels_base

    def load(self) -> dict[str, Any]:
        """Load the data; in an event loop's thread as well.

        Raises:
            SynchronousOnlyOperation: It took too long to hold up the event loop for.

        Source: `django.contrib.sessions.backends.base.SessionBase.load`.
        """
        load: Callable[[], dict[str, Any]] = super().load
        # Asked beforehand: some engines take the error of a forbidden query for a missing session.
        data = _run_elsewhere(load) if self._channels_must_not_wait() else load()
        return self._channels_remember(data)

    async def aload(self) -> dict[str, Any]:
        """Load the data.

        Source: `django.contrib.sessions.backends.base.SessionBase.aload`.
        """
        return self._channels_remember(await super().aload())

    def save(self, must_create: bool = False) -> None:
        """Save the data; once the headers are out, our changes to it.

        Raises:
            UpdateError: The session was deleted meanwhile.

        Source: `django.contrib.sessions.backends.base.SessionBase.save`.
        """
        if self._channels_merges(must_create):
            stored = type(self)(self.session_key)
            self._channels_merge(stored.load(), stored)
        with self._channels_saving():
            super().save(must_create)

    async def asave(self, must_create: bool = False) -> None:
        """Save the data; once the headers are out, our changes to it.

        Raises:
            UpdateError: The session was deleted meanwhile.

        Source: `django.contrib.sessions.backends.base.SessionBase.asave`.
        """
        if self._channels_merges(must_create):
            stored = type(self)(self.session_key)
            self._channels_merge(await stored.aload(), stored)
        with self._channels_saving():
            await super().asave(must_create)

    def _channels_remember(self, data: dict[str, Any]) -> dict[str, Any]:
        self._channels_base = copy.deepcopy(data)
        return data

    def _channels_merges(self, must_create: bool) -> bool:
        return (
            self._channels_late
            and not self._channels_saves
            and not must_create
            and self.session_key is not None
            and self._channels_base is not None
            and not keeps_data_in_cookie(self)
        )

    def _channels_merge(self, data: dict[str, Any], stored: SessionBase) -> None:
        if stored.session_key is None:  # the engines' way to say that there is no such session
            raise SessionGone(INTERRUPTED)
        assert self._channels_base is not None
        self._session_cache = merge(self._channels_base, self._session_cache, data)

    @contextlib.contextmanager
    def _channels_saving(self) -> Iterator[None]:
        """Take note of what is saved before it is: a task may make further changes meanwhile."""
        if self._channels_saves:
            # The one method of some engines calls the other one.
            yield
            return
        before, modified = self._channels_base, self.modified
        self._channels_saves = True
        self._channels_remember(getattr(self, "_session_cache", {}))
        if self._channels_late:
            self.modified = False
        try:
            yield
        except BaseException as error:
            self._channels_base = before
            self.modified = modified
            if self._channels_late and type(error) is UpdateError:
                raise SessionGone(INTERRUPTED) from error
            raise
        finally:
            self._channels_saves = False

    def _channels_must_not_wait(self) -> bool:
        if keeps_data_in_cookie(self) or os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):
            return False
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True


def _run_elsewhere(load: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Call a function in another thread, and hold up this one until it has returned."""
    outer = getattr(AsyncToSync.executors, "current", None)
    if outer is not None:
        # As in a Django TestCase: only the thread of that `async_to_sync` sees its transaction.
        future: Future[dict[str, Any]] = outer.submit(load)
    else:
        future = Future()
        context = copy_context()
        threading.Thread(target=context.run, args=(_finish, future, load), daemon=True).start()
    try:
        return future.result(_LOAD_SECONDS)
    except TimeoutError:
        future.cancel()
        raise SynchronousOnlyOperation(
            "The session could not be loaded while its event loop waits for it; "
            "read it with await, as in `await session.aget(key)`"
        ) from None


def _finish(future: Future[dict[str, Any]], load: Callable[[], dict[str, Any]]) -> None:
    future.set_running_or_notify_cancel()  # it cannot be cancelled any more
    try:
        try:
            data = load()
        finally:
            connections.close_all()
    except BaseException as error:  # noqa: BLE001 - it is the waiting thread's
        future.set_exception(error)
    else:
        future.set_result(data)
