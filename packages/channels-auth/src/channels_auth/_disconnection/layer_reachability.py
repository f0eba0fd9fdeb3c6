"""Follow whether the watched sockets can receive from their channel layer.

Each socket retries by itself, with growing delays. All of them lose the layer at the same moment,
so the process logs one line when the first one fails and one line when the last one recovers.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final
from weakref import WeakSet

from channels_core.backoff import Backoff
from channels_core.forks import call_in_children

__all__ = ["LayerReachability"]

logger = logging.getLogger("django.channels.auth")

#: Seconds to wait after the first error in a row, and the longest wait, both at most.
_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 30.0

#: Seconds without an error after which a layer that delivers nothing counts as recovered. A broken
#: layer fails at once, and a working one waits for messages.
_STEADY: Final = 5.0

# The sockets whose layer fails at present.
_unreachable: WeakSet[LayerReachability] = WeakSet()
call_in_children(_unreachable.clear)


class LayerReachability:
    """Whether one socket can receive from its channel layer."""

    def __init__(self) -> None:
        self._backoff = Backoff(first=_FIRST_DELAY, longest=_LONGEST_DELAY)
        # Runs from a successful retry until the layer counts as recovered.
        self._recovery_timer: asyncio.TimerHandle | None = None

    def failed(self, error: Exception) -> float:
        """Record an error of the layer.

        Returns:
            Seconds to wait before the next attempt.
        """
        self._cancel_timer()
        if not _unreachable:
            logger.error(
                "The channel layer fails, so watched WebSockets stay open when their login ends; "
                "retrying until it works: %r",
                error,
            )
        _unreachable.add(self)
        delay = self._backoff.failed()
        assert delay is not None  # it has no limit
        return delay

    def may_have_recovered(self) -> None:
        """Record a successful retry: without an error in the next seconds, the layer works.

        Nothing may ever arrive over the layer, so a message cannot be required.
        """
        self._cancel_timer()
        self._recovery_timer = asyncio.get_running_loop().call_later(_STEADY, self.recovered)

    def recovered(self) -> None:
        """Record that the layer works."""
        self._cancel_timer()
        self._backoff.worked()
        if self in _unreachable:
            _unreachable.discard(self)
            if not _unreachable:
                logger.info("The channel layer works again")

    def ended(self) -> None:
        """Record that the socket is closed."""
        if self._recovery_timer is not None:
            # The last retry was successful.
            self.recovered()
        _unreachable.discard(self)

    def _cancel_timer(self) -> None:
        if self._recovery_timer is not None:
            self._recovery_timer.cancel()
            self._recovery_timer = None
