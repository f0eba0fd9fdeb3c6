"""Take note of a channel layer that fails: one line in the log for all the sockets it cuts off."""

import asyncio
import logging
from typing import Final
from weakref import WeakSet

from channels_core.forks import call_in_children

__all__ = ["LayerReachability"]

logger = logging.getLogger("django.channels.auth")

#: Seconds to wait after a first error of the layer, and the most.
_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 30.0

#: Seconds that the layer has to work before an outage is over: it fails at once, or it waits.
_STEADY: Final = 5.0

# Whose layer fails at present.
_cut_off: "WeakSet[LayerReachability]" = WeakSet()
call_in_children(_cut_off.clear)


class LayerReachability:
    """Whether one socket hears of its layer."""

    def __init__(self) -> None:
        self._failures = 0
        self._timer: asyncio.TimerHandle | None = None

    def fails(self, error: Exception) -> float:
        """Take note of an error, and return how many seconds to wait before the next try."""
        self._no_timer()
        if not _cut_off:
            logger.error(
                "The channel layer fails, so that watched WebSockets are not told when their "
                "login ends; tried again until it works: %r",
                error,
            )
        _cut_off.add(self)
        delay = min(_FIRST_DELAY * (1 << min(self._failures, 10)), _LONGEST_DELAY)
        self._failures += 1
        return delay

    def seems_to_work(self) -> None:
        """Take a try for a success unless it fails soon: nothing need ever come over the layer."""
        self._no_timer()
        self._timer = asyncio.get_running_loop().call_later(_STEADY, self.works)

    def works(self) -> None:
        """Take note of a success."""
        self._no_timer()
        self._failures = 0
        if self in _cut_off:
            _cut_off.discard(self)
            if not _cut_off:
                logger.info("The channel layer works again")

    def ends(self) -> None:
        """Take note that the socket is no more."""
        if self._timer is not None:
            # Its last try did not fail.
            self.works()
        _cut_off.discard(self)

    def _no_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
