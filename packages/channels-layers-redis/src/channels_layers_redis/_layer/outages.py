"""Tell of a lost connection once, however many event loops of a process have lost theirs."""

from __future__ import annotations

import logging
import threading
import time

__all__ = ["Outages"]

logger = logging.getLogger("django.channels.layers.redis")


class Outages:
    """The servers that cannot be reached for now, each with the links that miss it."""

    def __init__(self) -> None:
        """Start without an outage."""
        self.start_anew()

    def start_anew(self) -> None:
        """Forget all outages, with a lock that nobody holds."""
        self._lock = threading.Lock()
        # By name of the server: since when it is away, and for which links.
        self._away: dict[str, tuple[float, set[object]]] = {}

    def lost(self, server: str, link: object, error: Exception) -> None:
        """Record that a link has lost a server; the first one is logged."""
        with self._lock:
            known = self._away.get(server)
            if known is not None:
                known[1].add(link)
                return
            self._away[server] = (time.monotonic(), {link})
        logger.warning("Redis at %s cannot be reached, trying again: %s", server, error)

    def ended(self, server: str, link: object) -> None:
        """Record that a link reaches a server again; the last one is logged."""
        with self._lock:
            known = self._away.get(server)
            if known is None or link not in known[1]:
                return
            known[1].discard(link)
            if known[1]:
                return
            del self._away[server]
        logger.info(
            "Redis at %s is reached again, after %.1f s", server, time.monotonic() - known[0]
        )

    def forget(self, link: object) -> None:
        """Forget a link that has ended."""
        with self._lock:
            for server, (_, links) in list(self._away.items()):
                links.discard(link)
                if not links:
                    del self._away[server]
