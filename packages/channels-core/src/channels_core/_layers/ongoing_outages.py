"""Follow the outages of channel layers: one log line at the start, one at the end, and back-off.

Everybody who meets an outage reports it here: connections whose handshake or handler fails,
memberships that cannot be renewed, and groups that cannot be left. So each outage of a layer has
one `Outage` in the process, and the log has one line about its start and one about its end.

While handshakes of a consumer class fail, `may_try` lets one of them through after each wait, and
the others are refused without asking the layer, which may take its time-outs to fail. Classes whose
handshake does not need the layer are not refused.

An outage is over when the layer has worked, and nothing has failed for some seconds since. If only
some calls fail, since one of several servers is away, this is one outage with two lines, not two
lines for each success.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context
from time import monotonic
from typing import Any, Final
from weakref import ref

from channels_core._layers import channels_redis
from channels_core._layers.outages import is_outage, ongoing
from channels_core.backoff import Backoff

__all__ = ["came_from_layer", "may_try", "record_failure", "record_success"]

logger = logging.getLogger("django.channels.layers")

#: Seconds: the longest wait after a first failure, and the bound of every wait. Short, since it is
#: also how late the first handshake comes through when the layer is back.
_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 0.5
#: Seconds without a failure after which a layer that has worked counts as working.
_STEADY: Final = 3.0

#: Modules whose classes all layers derive from, or whose functions call nothing but a layer.
_BASES: Final = frozenset({"builtins", "channels_core.layers"})
_CALLERS: Final = frozenset({"channels_core._layers.memberships"})


def came_from_layer(layer: Any, error: BaseException, consumer: object) -> bool:
    """Return whether a consumer's exception is an outage of its channel layer.

    A handler may reach other servers too, and their errors are often of the same classes. So the
    exception has to have passed a method of the layer, or of an object of the layer's module.

    Args:
        layer: The channel layer.
        error: The exception.
        consumer: The consumer, whose own methods are no calls of the layer.
    """
    if not is_outage(layer, error):
        return False
    modules = {kind.__module__ for kind in type(layer).__mro__} - _BASES
    traceback = error.__traceback__
    while traceback is not None:
        frame, traceback = traceback.tb_frame, traceback.tb_next
        module = frame.f_globals.get("__name__")
        if module in _CALLERS:
            return True
        code = frame.f_code
        if not code.co_argcount or module not in modules:
            continue
        first = frame.f_locals.get(code.co_varnames[0])
        if first is not consumer and type(first).__module__ in modules:
            return True
    return False


class Outage:
    """An outage of one channel layer in this process.

    Attributes:
        layer: The layer; held here, so that no other object gets its `id`.
    """

    def __init__(self, layer: Any, clock: Callable[[], float]) -> None:
        """Begin with the first failure, which is recorded next."""
        self.layer = layer
        self._clock = clock
        self._began = clock()
        self._backoff = Backoff(first=_FIRST_WAIT, longest=_LONGEST_WAIT, clock=clock)
        self._failures = 0
        # How long the next handshake has to wait, and until when.
        self._wait = 0.0
        self._until = 0.0
        # The consumer classes whose handshakes fail, each with whether they did so after `connect`.
        self._kinds: dict[type, bool] = {}
        self._refused = 0
        # The event loop that was used last.
        self._loop: asyncio.AbstractEventLoop | None = None
        # The number of failures before the latest success; None if there was none.
        self._worked_after: int | None = None

    @property
    def is_stale(self) -> bool:
        """Whether its event loop has ended before the outage, as in a test."""
        return self._loop is not None and self._loop.is_closed()

    def failed(self, kind: type | None, *, connected: bool, refuses: bool) -> None:
        """Record a failure; see `record_failure`."""
        self._loop = asyncio.get_running_loop()
        self._failures += 1
        if kind is not None:
            self._kinds[kind] = connected
        self._refused += refuses or (kind is not None and not connected)
        now = self._clock()
        # Many connections fail at the same moment: they count once.
        if now >= self._until:
            self._wait = self._backoff.failed() or _LONGEST_WAIT
            self._until = now + self._wait

    def lets_in(self, consumer: Any) -> bool:
        """Return whether a handshake may ask the layer; see `may_try`."""
        if type(consumer) not in self._kinds:
            return True
        now = self._clock()
        if now < self._until:
            self._refused += 1
            return False
        # The next one after another wait, also if this one has no answer by then.
        self._until = now + self._wait
        self._look_later(self._end_after_trial, self._failures, ref(consumer))
        return True

    def worked(self, kind: type | None) -> None:
        """Record a success; see `record_success`."""
        if kind is not None and self._kinds.get(kind, True):
            return  # its `connect` works in an outage too
        self._kinds.clear()
        if self._worked_after != self._failures:
            self._worked_after = self._failures
            self._look_later(self._end, self._failures)

    def _look_later(self, function: Callable[..., None], *args: Any) -> None:
        self._loop = asyncio.get_running_loop()
        # Not in the context of this connection, which may have ended by then.
        self._loop.call_later(_STEADY, function, *args, context=Context())

    def _end_after_trial(self, failures: int, trial: ref[Any]) -> None:
        """End the outage if a handshake that was let in did not fail, whatever it has asked for."""
        consumer = trial()
        if consumer is not None and consumer._channels_connection.is_beginning():
            self._look_later(self._end_after_trial, failures, trial)
        else:
            self._end(failures)

    def _end(self, failures: int) -> None:
        if failures == self._failures and ongoing.get(id(self.layer)) is self:
            del ongoing[id(self.layer)]
            logger.info(
                "The channel layer works again, after %.0f seconds; %d connections were refused",
                self._clock() - self._began,
                self._refused,
            )


def _of(layer: Any) -> Outage | None:
    outage: Outage | None = ongoing.get(id(layer))
    if outage is not None and outage.is_stale:
        del ongoing[id(layer)]
        return None
    return outage


def record_failure(
    layer: Any,
    error: BaseException,
    kind: type | None = None,
    *,
    connected: bool = False,
    refuses: bool = False,
) -> None:
    """Record that a layer has failed in an outage; the first failure is logged.

    Args:
        layer: The channel layer.
        error: Its exception.
        kind: The consumer class, if the failure has ended a handshake or comes with each one.
        connected: Whether `connect` had worked before, so that it proves nothing.
        refuses: Whether a handshake is refused that no consumer has seen.
    """
    outage = _of(layer)
    if outage is None:
        for key in [key for key, other in ongoing.items() if other.is_stale]:
            del ongoing[key]
        outage = ongoing[id(layer)] = Outage(layer, monotonic)
        channels_redis.log_outages_once(layer)
        logger.error(
            "The channel layer fails; until it works again, connections that need it are refused "
            "or closed, and memberships and failed removals are repeated: %s",
            f"{type(error).__name__}: {error}",
        )
    outage.failed(kind, connected=connected, refuses=refuses)


def may_try(layer: Any, consumer: Any) -> bool:
    """Return whether the handshake of a consumer may ask a layer that has failed.

    Args:
        layer: The channel layer.
        consumer: The consumer, with its companion.

    Returns:
        False to refuse it. Handshakes of consumer classes that have not failed are not refused.
    """
    outage = _of(layer)
    return outage is None or outage.lets_in(consumer)


def record_success(layer: Any, kind: type | None = None) -> None:
    """Record that a call of a layer has worked.

    Args:
        layer: The channel layer.
        kind: The consumer class, if all that is known is that its `connect` has worked.
    """
    outage = _of(layer)
    if outage is not None:
        outage.worked(kind)
