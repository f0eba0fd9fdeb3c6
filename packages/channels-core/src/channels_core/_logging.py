"""The loggers of Channels: log handlers that may block never run in an event loop's thread.

Each logger of ours has a filter. In the thread of a running event loop, the filter looks whether a
handler of the record may block, as one that sends mail does. If so, it stops the record, and
another thread passes the whole record to all its handlers. A connection waits for its records
before it ends, so that they are complete by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from channels_core.forks import call_in_children
from channels_core.typing import Scope

if TYPE_CHECKING:
    from channels_core._pool import BoundedPool

__all__ = ["LOGGERS", "collect_records", "log_of_client", "log_repeated", "records_handled"]

#: The loggers of all packages; the name of a new one is added here.
LOGGERS: Final = (
    "django.channels.auth",
    "django.channels.consumer",
    "django.channels.db",
    "django.channels.drain",
    "django.channels.http",
    "django.channels.layers",
    "django.channels.layers.memory",
    "django.channels.layers.redis",
    "django.channels.lifespan",
    "django.channels.routing",
    "django.channels.security",
    "django.channels.server",
    "django.channels.worker",
)

#: Seconds that a connection waits for its records when it ends, at most.
_LONGEST: Final = 10.0
#: Seconds in which a repeated event is logged once.
_PERIOD: Final = 60.0
#: The number of different events of one source that are counted by themselves within this time.
_MOST_KINDS: Final = 100
#: The number of equal lines that one client can cause within this time.
_LINES_OF_CLIENT: Final = 10
#: Set on a record that was passed to the thread.
_MARK: Final = "_channels_in_thread"

#: Handlers that do not block: they write a line to this machine, or keep it. Exactly these
#: classes, since a subclass may do anything. By name, since `logging.handlers` and
#: `django.utils.log` would load modules for mail and for every kind of socket.
_QUICK: Final = frozenset(
    {
        ("logging", "NullHandler"),
        ("logging", "StreamHandler"),
        ("logging", "FileHandler"),
        ("logging.handlers", "QueueHandler"),
        ("logging.handlers", "RotatingFileHandler"),
        ("logging.handlers", "TimedRotatingFileHandler"),
        ("logging.handlers", "WatchedFileHandler"),
    }
)
#: It is in Django's default settings.
_MAILING: Final = ("django.utils.log", "AdminEmailHandler")
#: The modules of pytest's `caplog` and of `assertLogs`.
_CAPTURING: Final = frozenset({"_pytest.logging", "unittest._log"})


class _Thread:
    """The thread that handles records, one after the other, in their order."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Have no thread; also in a forked process, which has none of its parent's."""
        self._lock = threading.Lock()
        self._pool: BoundedPool | None = None

    @property
    def pool(self) -> BoundedPool:
        """The pool of the one thread, made for the first record that may block."""
        with self._lock:
            if self._pool is None:
                from channels_core._pool import BoundedPool

                self._pool = BoundedPool(1, "channels-log")
            return self._pool


_thread: Final = _Thread()
call_in_children(_thread.forget)


class _Records:
    """The records of a connection. Once the last one is handled, all are."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last: Future[None] | None = None


_records: ContextVar[_Records | None] = ContextVar("channels_records", default=None)
# A forked process has no thread for the records of a connection that was served at the fork.
call_in_children(lambda: _records.set(None))


class _OutOfTheLoop(logging.Filter):
    """Stop a record in the thread of an event loop, and pass it to the other thread."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._logger = logger

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is handled in the current thread."""
        # Faster than to catch the exception of `get_running_loop`.
        if hasattr(record, _MARK) or asyncio._get_running_loop() is None:
            return True
        if not any(_may_block(handler) for handler in _handlers(self._logger, record.levelno)):
            return True
        setattr(record, _MARK, True)
        # With the context, from which handlers read the request or trace of a record.
        future = _thread.pool.submit(copy_context().run, _handle, self._logger, record)
        if (records := _records.get()) is not None:
            records.last = future
        return False


def _handlers(logger: logging.Logger, level: int) -> Iterator[logging.Handler]:
    """Yield the handlers of a record.

    Source: `logging.Logger.callHandlers`.
    """
    source: logging.Logger | None = logger
    while source is not None:
        for handler in source.handlers:
            if level >= handler.level:
                yield handler
        source = source.parent if source.propagate else None


def _may_block(handler: logging.Handler) -> bool:
    kind = type(handler)
    name = kind.__module__, kind.__qualname__
    if name == _MAILING:
        from django.conf import settings  # most consumers never log to it

        # It does nothing without an address.
        return bool(settings.ADMINS)
    return name not in _QUICK and kind.__module__ not in _CAPTURING


def _handle(logger: logging.Logger, record: logging.LogRecord) -> None:
    try:
        logger.handle(record)
    except Exception:  # noqa: BLE001 - from a handler that does not catch its own
        logging.Handler().handleError(record)
    from django.db import connections  # with the first record that may block

    # A handler that writes to a database has opened a connection in this thread.
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()


def collect_records() -> _Records:
    """Collect the records of this connection, unless an application around it does.

    Returns:
        What holds the last one; if there is one at the end, `records_handled` is to be awaited.
    """
    records = _records.get()
    if records is None:
        records = _Records()
        _records.set(records)
    return records


async def records_handled() -> None:
    """Wait until the records of this connection are handled, but not longer than a bound."""
    records = _records.get()
    if records is None or records.last is None or records.last.done():
        return
    loop = asyncio.get_running_loop()
    handled = asyncio.Event()

    def wake(future: Future[None]) -> None:
        # RuntimeError: the loop did not wait longer, and is closed.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(handled.set)

    records.last.add_done_callback(wake)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST):
            await handled.wait()


class _Repeated:
    """The repeated events of one event loop within the present minute."""

    def __init__(self) -> None:
        # How often each event has happened.
        self.counts: dict[tuple[object, object], int] = {}
        # How many different events each source has.
        self.kinds: Counter[object] = Counter()


#: By event loop, so that a test with its own loop does not depend on the tests before it.
_repeated: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Repeated]] = WeakKeyDictionary()


def log_repeated(
    logger: logging.Logger,
    level: int,
    key: tuple[object, object],
    message: str,
    *args: object,
    burst: int = 1,
    stacklevel: int = 2,
) -> None:
    """Log an event that may happen with each message: at once, then once a minute with a count.

    Args:
        logger: A logger of ours.
        level: The level of the record.
        key: Identifies the event by its source and its kind, for example a consumer class and the
            type of a message. If a source has very many kinds, the further ones are one event.
        message: The format, as for `logging`.
        args: The arguments of the format.
        burst: The number of lines within a minute before the counting begins.
        stacklevel: As for `logging`; 2 for the caller of this function.
    """
    # What is not logged is not counted either, or it would use up the kinds of its source.
    if not logger.isEnabledFor(level):
        return
    loop = asyncio.get_running_loop()
    repeated = _repeated.get(loop)
    if repeated is None:
        repeated = _repeated[loop] = _Repeated()
    counts, source = repeated.counts, key[0]
    more = "more times"
    if key not in counts and repeated.kinds[source] >= _MOST_KINDS:
        key, more = (source, _Repeated), "others"
    if key in counts:
        counts[key] += 1
        if counts[key] <= burst:
            logger.log(level, message, *args, stacklevel=stacklevel)
        return
    counts[key] = 1
    repeated.kinds[source] += 1
    logger.log(level, message, *args, stacklevel=stacklevel)

    def tell() -> None:
        repeated.kinds[source] -= 1
        if not repeated.kinds[source]:
            del repeated.kinds[source]
        if (count := counts.pop(key) - burst) > 0:
            again = message + " (%d %s within a minute)"
            logger.log(level, again, *args, count, more)

    # Not in the context of this connection, which may have ended by then.
    loop.call_later(_PERIOD, tell, context=_EMPTY)


def log_of_client(
    logger: logging.Logger,
    level: int,
    scope: Scope,
    message: str,
    *args: object,
    kind: object = None,
) -> None:
    """Log what a client has caused: some lines a minute for each address, then a count.

    So a client that comes again and again cannot fill the log.

    Args:
        logger: A logger of ours.
        level: The level of the record.
        scope: The connection's scope.
        message: The format, as for `logging`. What the client chose must be cut short in it, and
            escaped: `%.200r`.
        args: The arguments of the format.
        kind: What distinguishes events with the same format, such as the class of an error.
    """
    client = scope.get("client")
    address = _source_of(client[0]) if isinstance(client, list | tuple) and client else None
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        logger.log(level, message, *args, stacklevel=2)
    else:
        # Each message is a source, so many lines of one kind cannot keep another from the log.
        key = (logger.name, level, message), (address, kind)
        log_repeated(logger, level, key, message, *args, burst=_LINES_OF_CLIENT, stacklevel=3)


def _source_of(address: object) -> str:
    """Return what the addresses of one client have in common: it may have a whole IPv6 /64."""
    text = str(address)
    if ":" in text:
        from ipaddress import ip_network

        with contextlib.suppress(ValueError):
            return str(ip_network((text, 64), strict=False))
    return text


_EMPTY: Final = Context()

for _name in LOGGERS:
    _logger = logging.getLogger(_name)
    # As the first filter: the program's filters see each record once, where it is handled.
    _logger.filters.insert(0, _OutOfTheLoop(_logger))
