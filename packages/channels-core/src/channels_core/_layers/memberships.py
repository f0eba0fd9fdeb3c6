"""Keep connections in the groups that they have joined, and out of those that they have left.

A layer ends a membership after its `group_expiry`, and a store may be restarted empty. So each
membership is renewed from time to time. While the store is down, leaving fails. So failed removals
are repeated until they succeed. A program may also end a membership by `group_discard`, in any
thread: such a membership is not renewed any more.

Each layer has one `_Memberships` in each event loop that uses it. `join` adds a membership to it
and starts a timer. When the timer fires, one task goes through all removals to repeat and all
memberships to renew, and then starts the next timer. After a failure the next round comes sooner,
and later with each further failure. Once nothing is left to renew or to remove, the object and its
timer are dropped.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final, TypeAlias

from channels_core._layers.discards import untold_discard, watch_discards
from channels_core._layers.optional_methods import forget_channel
from channels_core._layers.outages import is_outage, mark_as_answered, ongoing
from channels_core._settings import DEFAULT_GROUP_RENEWAL, group_renewal
from channels_core.backoff import Backoff
from channels_core.forks import call_in_children

__all__ = ["join", "leave", "leave_when_possible"]

logger = logging.getLogger("django.channels.layers")

Membership: TypeAlias = tuple[str, str]
Member: TypeAlias = dict[str, Any] | None

#: A tuple, since `int | float` in a call would be made anew each time.
_NUMBERS: Final = (int, float)

#: Number of renewals of a membership within the layer's `group_expiry`.
_PER_EXPIRY: Final = 4
#: Seconds until the first attempt after a failure.
_SOON: Final = 1.0
#: Renewals after which other tasks get their turn: some layers never wait in their calls.
_BURST: Final = 50


async def join(layer: Any, group: str, channel: str, member: Member = None) -> None:
    """Add a channel to a group, and keep it there until `leave`.

    Args:
        layer: A channel layer with groups.
        group: The group's name.
        channel: The channel's name.
        member: The data of the member behind the channel, for a layer that has `members`; None
            keeps those that were given before.
    """
    watch_discards(layer, _forget)
    # As `_add`, without its coroutine.
    if member is None:
        await layer.group_add(group, channel)
    else:
        await layer.group_add(group, channel, member=member)
    if ongoing:
        _record_success(layer)
    _of(layer).keep(group, channel, member)


async def _add(layer: Any, group: str, channel: str, member: Member) -> None:
    if member is None:
        await layer.group_add(group, channel)
    else:
        await layer.group_add(group, channel, member=member)


async def leave(layer: Any, group: str, channel: str) -> None:
    """Remove a channel from a group, and stop renewing its membership."""
    memberships = _layers().get(id(layer))
    if memberships is not None:
        memberships.drop(group, channel)
    await untold_discard(layer)(group, channel)


async def leave_when_possible(layer: Any, group: str, channel: str) -> None:
    """Remove the channel of an ending connection from a group, in an outage as soon as it is over.

    Raises:
        Exception: The layer's exception. In an outage it is recorded and marked as answered.
    """
    # As `leave`, without its coroutine.
    memberships = _layers().get(id(layer))
    if memberships is not None:
        memberships.drop(group, channel)
    try:
        await untold_discard(layer)(group, channel)
    except Exception as error:
        if is_outage(layer, error):
            _record_failure(layer, error)
            _of(layer).owe(group, channel)
            mark_as_answered(error)
        raise


def _record_failure(layer: Any, error: Exception) -> None:
    from channels_core._layers.ongoing_outages import record_failure  # loaded with the first one

    record_failure(layer, error)


def _record_success(layer: Any) -> None:
    from channels_core._layers.ongoing_outages import (
        record_success,  # loaded with the first failure
    )

    record_success(layer)


def _forget(group: object, channel: object) -> None:
    """Stop renewing a membership on all layers, since channel names are unique among them.

    `group_discard` may be called in a thread without an event loop, or in another loop than the
    connection's. Each loop's timer is touched only in that loop.
    """
    if not (isinstance(group, str) and isinstance(channel, str)):
        return  # the layer raises for such names
    here = asyncio._get_running_loop()
    for loop, layers in list(_loops.items()):
        for memberships in list(layers.values()):
            if not memberships.keeps(group, channel):
                continue
            if loop is here:
                memberships.drop(group, channel)
            else:
                memberships.drop_from_elsewhere(loop, group, channel)


class _Memberships:
    """The memberships of one layer in one event loop."""

    def __init__(self, layer: Any, interval: float | None) -> None:
        self._layer = layer
        self._interval = interval
        # The memberships to renew, in the order of joining, each with the data of its member: a
        # store that was emptied does not have them any more.
        self._kept: dict[Membership, Member] = {}
        # The removals to repeat, each with whether its connection has ended.
        self._owed: dict[Membership, bool] = {}
        # None before the first failure.
        self._backoff: Backoff | None = None
        # Starts the next round; None during a round, and without renewals.
        self._timer: asyncio.TimerHandle | None = None
        # When the timer fires, by the clock of the event loop.
        self._due = 0.0
        # The task of the round that runs now; None between two rounds.
        self._round: asyncio.Task[None] | None = None

    def keep(self, group: str, channel: str, member: Member) -> None:
        """Renew a membership from now on; a removal that failed before is not repeated."""
        if member is None:
            self._kept.setdefault((group, channel))
        else:
            self._kept[group, channel] = member
        if self._owed:
            self._owed.pop((group, channel), None)
        if self._backoff is not None and self._backoff.failures:
            # The layer works again, so the others need not wait any longer.
            self._schedule(_SOON)
        elif self._timer is None:
            # One that runs fires within the interval.
            self._schedule(self._interval)

    def drop(self, group: str, channel: str) -> None:
        """Stop renewing a membership."""
        self._kept.pop((group, channel), None)
        if not (self._kept or self._owed):
            self._tidy()

    def keeps(self, group: str, channel: str) -> bool:
        """Return whether a membership is renewed."""
        return (group, channel) in self._kept

    def drop_from_elsewhere(
        self, loop: asyncio.AbstractEventLoop, group: str, channel: str
    ) -> None:
        """Stop renewing a membership that belongs to another event loop than the running one."""
        # In this thread, at once: no renewal may begin after `group_discard` has been called.
        self._kept.pop((group, channel), None)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._tidy)

    def owe(self, group: str, channel: str) -> None:
        """Repeat the failed removal of a connection that has ended, until it succeeds."""
        self._owed[group, channel] = True
        if self._backoff is None or not self._backoff.failures:
            self._failed()
        self._schedule(_SOON)

    def _failed(self) -> float | None:
        """Record a failure, and return the seconds until the next attempt."""
        if self._backoff is None:
            # Without jitter: one process renews for all of its connections, so no crowd forms.
            self._backoff = Backoff(
                first=_SOON, longest=self._interval or DEFAULT_GROUP_RENEWAL, jitter=lambda: 1.0
            )
        return self._backoff.failed()

    def _tidy(self) -> None:
        """Drop the timer, and this object, once there is nothing to renew and to remove."""
        if not (self._kept or self._owed):
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            layers = _layers()
            # Another thread's discard may come late: the layer may have a new object by now.
            if layers.get(id(self._layer)) is self:
                del layers[id(self._layer)]

    def _schedule(self, seconds: float | None) -> None:
        """Start a round within some seconds, unless one is running; never if `seconds` is None."""
        if seconds is None or self._round is not None:
            return  # the end of a round starts the next timer
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = loop.call_at(due, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._round = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        """Do one round: repeat all failed removals, then renew all memberships."""
        failure: Exception | None = None
        for number, membership in enumerate([*self._owed, *self._kept]):
            try:
                await self._settle(membership)
            except Exception as error:  # noqa: BLE001 - `_next` records it, after the other renewals
                failure = failure or error
                if is_outage(self._layer, error):
                    break  # the other calls would fail as well
            if number % _BURST == 0:
                await asyncio.sleep(0)
        self._round = None
        self._next(failure)

    async def _settle(self, membership: Membership) -> None:
        """Add or remove one membership in the layer, until the layer has the state we want.

        The wanted state may change during a call.
        """
        while membership in self._kept or membership in self._owed:
            wanted = membership in self._kept
            try:
                if wanted:
                    await _add(self._layer, *membership, self._kept[membership])
                else:
                    await self._layer.group_discard(*membership)
            finally:
                if wanted and membership not in self._kept:
                    # The connection left the group during the call. Whether the layer has added or
                    # removed it last is unknown, so it is removed again.
                    self._owed.setdefault(membership, False)
            if wanted is (membership in self._kept):
                if self._owed.pop(membership, False):
                    # Drop messages that the group has sent to the ended connection since.
                    await forget_channel(self._layer, membership[1])
                break

    def _next(self, failure: Exception | None) -> None:
        """Start the timer of the next round."""
        if failure is not None:
            _record_failure(self._layer, failure)
            self._schedule(self._failed())
        else:
            if self._backoff is not None and self._backoff.worked():
                _record_success(self._layer)
            self._schedule(self._interval)
        self._tidy()


# For each event loop, the memberships of its layers by the `id` of the layer: a layer need not be
# hashable, and `_Memberships` keeps it alive.
_loops: Final[dict[asyncio.AbstractEventLoop, dict[int, _Memberships]]] = {}
# In a child process: the parent renews the memberships of its connections.
call_in_children(_loops.clear)


def _layers() -> dict[int, _Memberships]:
    """Return the memberships of the running event loop, by the `id` of the layer."""
    loop = asyncio.get_running_loop()
    layers = _loops.get(loop)
    if layers is None:
        for other in [other for other in _loops if other.is_closed()]:
            # It was closed while connections were open, so nothing has dropped their memberships.
            del _loops[other]
        layers = _loops[loop] = {}
    return layers


def _of(layer: Any) -> _Memberships:
    """Return the memberships of a layer in the running event loop."""
    layers = _layers()
    memberships = layers.get(id(layer))
    if memberships is None:
        interval = group_renewal()
        expiry = getattr(layer, "group_expiry", None)
        if interval is not None and isinstance(expiry, _NUMBERS):
            interval = min(interval, expiry / _PER_EXPIRY)
        memberships = layers[id(layer)] = _Memberships(layer, interval)
    return memberships
