"""What Channels knows of Daphne: what waits in it for the client of a WebSocket."""

from __future__ import annotations

from channels_core._uvicorn import Outgoing

__all__ = ["DaphneOutgoing"]


class DaphneOutgoing(Outgoing):
    """What waits in Daphne for one client: its `send` never waits, so all of it."""

    __slots__ = ()

    def allow(self, size: int) -> None:
        """Do nothing: as many bytes may wait as there are."""

    def waiting(self) -> int:
        """Return the number of bytes that wait, in a transport or in those that it wraps.

        Source: `twisted.internet.abstract.FileDescriptor`, Twisted 26.
        """
        size, transport = 0, self.protocol.transport
        while transport is not None:
            size += len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
            size += getattr(transport, "_tempDataLen", 0)
            transport = getattr(transport, "transport", None)
        return size

    def abort(self) -> None:
        """Drop the connection, with what waits."""
        self.protocol.transport.abortConnection()
