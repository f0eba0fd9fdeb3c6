"""Keep connections in their groups, and out of those they left, whatever the layer forgets.

A layer ends a membership after its `group_expiry`; a store may be started again empty; and while
it is away no group can be left. So memberships are renewed, and what was to be left is. A program
may end a membership by `group_discard` as well, in any thread: then it is not renewed any more.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final, TypeAlias

from channels_core._layers.discards import watch_discards
from channels_core._layers.endings import forget_channel
from channels_core._layers.outages import is_outage, mark_as_answered
from channels_core._settings import DEFAULT_GROUP_RENEWAL, group_renewal
from channels_core.forks import call_in_children

__all__ = ["join", "leave", "leave_when_possible"]

logger = logging.getLogger("django.channels.layers")

Membership: TypeAlias = tuple[str, str]

#: Several renewals before a membership ends.
_PER_EXPIRY: Final = 4
#: Seconds until the first try after something failed.
_SOON: Final = 1.0
#: Renewals in one turn of the event loop, where the layer never waits.
_BURST: Final = 50


async def join(layer: Any, group: str, channel: str) -> None:
    """Add a channel to a group, and keep it there until `leave`.

    Args:
        layer: A channel layer with groups.
        group: The group's name.
        channel: The channel's name.
    """
    watch_discards(layer, _forget)
    await layer.group_add(group, channel)
    _of(layer).keep(group, channel)


async def leave(layer: Any, group: str, channel: str) -> None:
    """Remove a channel from a group, and keep it there no more."""
    _of(layer).drop(group, channel)
    await layer.group_discard(group, channel)


async def leave_when_possible(layer: Any, group: str, channel: str) -> None:
    """Remove the channel of a connection that ends; in an outage, as soon as that is over.

    Raises:
        Exception: What the layer raised. In an outage the log has a line of it, and it is marked
            as one that asks for no other answer.
    """
    try:
        await leave(layer, group, channel)
    except Exception as error:
        if is_outage(layer, error):
            _of(layer).owe(group, channel, error)
            mark_as_answered(error)
        raise


def _forget(group: object, channel: object) -> None:
    """Keep a channel in a group no more, whichever layer it joined it on: its name is unique."""
    if not (isinstance(group, str) and isinstance(channel, str)):
        return  # the layer refuses them
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
    """Those of one layer in one event loop."""

    def __init__(self, layer: Any, interval: float | None) -> None:
        self._layer = layer
        self._interval = interval
        self._kept: dict[Membership, None] = {}
        # Could not be left, and whether the connection has ended by now.
        self._owed: dict[Membership, bool] = {}
        self._failures = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._round: asyncio.Task[None] | None = None

    @property
    def empty(self) -> bool:
        return not (self._kept or self._owed)

    def keep(self, group: str, channel: str) -> None:
        self._kept[group, channel] = None
        self._owed.pop((group, channel), None)
        self._schedule(self._interval)

    def drop(self, group: str, channel: str) -> None:
        self._kept.pop((group, channel), None)
        self._tidy()

    def keeps(self, group: str, channel: str) -> bool:
        return (group, channel) in self._kept

    def drop_from_elsewhere(
        self, loop: asyncio.AbstractEventLoop, group: str, channel: str
    ) -> None:
        # At once, so that no renewal begins after this.
        self._kept.pop((group, channel), None)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._tidy)

    def owe(self, group: str, channel: str, error: BaseException) -> None:
        self._owed[group, channel] = True
        self._note(error)
        self._schedule(_SOON)

    def _tidy(self) -> None:
        if self.empty:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            layers = _layers()
            if layers.get(id(self._layer)) is self:
                del layers[id(self._layer)]

    def _schedule(self, seconds: float | None) -> None:
        """Make sure that a round begins within some seconds, unless one is under way."""
        if seconds is None or self._round is not None:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = loop.call_later(seconds, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._round = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        failure: Exception | None = None
        for number, membership in enumerate([*self._owed, *self._kept]):
            try:
                await self._settle(membership)
            except Exception as error:  # noqa: BLE001 - noted below; others are renewed first
                failure = failure or error
                if is_outage(self._layer, error):
                    break
            if number % _BURST == 0:
                await asyncio.sleep(0)
        self._round = None
        self._next(failure)

    async def _settle(self, membership: Membership) -> None:
        """Make the layer know of one membership what we do, though that may change meanwhile."""
        while membership in self._kept or membership in self._owed:
            wanted = membership in self._kept
            call = self._layer.group_add if wanted else self._layer.group_discard
            try:
                await call(*membership)
            finally:
                if wanted and membership not in self._kept:
                    # Left during the call, and nobody knows which of the two was later.
                    self._owed.setdefault(membership, False)
            if wanted is (membership in self._kept):
                if self._owed.pop(membership, False):
                    # What was sent to the group in the meantime.
                    await forget_channel(self._layer, membership[1])
                break

    def _next(self, failure: Exception | None) -> None:
        if failure is None:
            if self._failures:
                logger.info("The channel layer works again; all memberships are renewed")
            self._failures = 0
            self._schedule(self._interval)
        else:
            self._note(failure)
            self._failures += 1
            longest = self._interval or DEFAULT_GROUP_RENEWAL
            self._schedule(min(_SOON * 2.0 ** min(self._failures - 1, 10), longest))
        self._tidy()

    def _note(self, error: BaseException) -> None:
        # One line for an outage, however many connections it concerns.
        if not self._failures:
            self._failures = 1
            logger.error(
                "The channel layer fails; what it forgets of groups is put right when it works: %s",
                f"{type(error).__name__}: {error}",
            )


_loops: Final[dict[asyncio.AbstractEventLoop, dict[int, _Memberships]]] = {}
# The parent process renews its own.
call_in_children(_loops.clear)


def _layers() -> dict[int, _Memberships]:
    loop = asyncio.get_running_loop()
    if loop not in _loops:
        for other in [other for other in _loops if other.is_closed()]:
            # Whoever ran it has left without an end of its connections.
            del _loops[other]
        _loops[loop] = {}
    return _loops[loop]


def _of(layer: Any) -> _Memberships:
    layers = _layers()
    if id(layer) not in layers:
        interval = group_renewal()
        expiry = getattr(layer, "group_expiry", None)
        if interval is not None and isinstance(expiry, int | float):
            interval = min(interval, expiry / _PER_EXPIRY)
        layers[id(layer)] = _Memberships(layer, interval)
    return layers[id(layer)]
