"""A client that speaks HTTP/2 without TLS, and opens WebSockets over it (RFC 8441)."""

import contextlib
import socket
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes

from raw_client import PATIENCE

__all__ = ["Http2Client"]

Headers = list[tuple[str | bytes, str | bytes]]

#: Nothing of ours is checked before it is sent: a hostile client sends what it likes.
UNCHECKED: Final = H2Configuration(
    validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="latin-1"
)


class Http2Client:
    """One connection with many streams."""

    def __init__(self, port: int) -> None:
        """Connect, and wait for the server's settings."""
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.http = H2Connection(UNCHECKED)
        self.http.initiate_connection()
        self._host = f"127.0.0.1:{port}"
        self.status: dict[int, int] = {}
        self.data: dict[int, bytes] = {}
        #: The streams that have ended, by either side.
        self.ended: set[int] = set()
        self.is_open = True
        self.flush()
        while not self.extended_connect and self.is_open:
            self._more()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    @property
    def extended_connect(self) -> bool:
        """Whether the server opens WebSockets."""
        return bool(self.http.remote_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL, 0))

    def flush(self) -> None:
        """Write what `http` has to say."""
        self.raw(self.http.data_to_send())

    def raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)

    def request(self, path: str, extra: Iterable[tuple[str | bytes, str | bytes]] = ()) -> int:
        """Send a request, and return the number of its stream."""
        usual: Headers = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", self._host),
            (":path", path),
        ]
        return self.send([*usual, *extra], ends=True)

    def websocket(
        self,
        path: str,
        extra: Iterable[tuple[str | bytes, str | bytes]] = (),
        origin: str | None = None,
    ) -> int:
        """Ask for a WebSocket, and return the number of its stream."""
        usual: Headers = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":authority", self._host),
            (":path", path),
            ("sec-websocket-version", "13"),
            ("origin", origin or f"http://{self._host}"),
        ]
        return self.send([*usual, *extra], ends=False)

    def send(self, headers: Headers, *, ends: bool) -> int:
        """Send headers on a new stream, and return its number."""
        stream = self.http.get_next_available_stream_id()
        self.http.send_headers(stream, headers, end_stream=ends)
        self.flush()
        return stream

    def write(self, stream: int, data: bytes, *, ends: bool = False) -> None:
        """Send data on a stream."""
        self.http.send_data(stream, data, end_stream=ends)
        self.flush()

    def answer(self, stream: int) -> int | None:
        """Return the status of a stream; None if the server has ended it without one."""
        while self.is_open and stream not in self.status and stream not in self.ended:
            self._more()
        return self.status.get(stream)

    def received(self, stream: int, size: int) -> bytes:
        """Return as much data of a stream, or less if the server has ended it."""
        while self.is_open and len(self.data.get(stream, b"")) < size and stream not in self.ended:
            self._more()
        return self.data.get(stream, b"")

    def body(self, stream: int) -> bytes:
        """Return the data of a stream when it has ended."""
        while self.is_open and stream not in self.ended:
            self._more()
        return self.data.get(stream, b"")

    def _more(self) -> None:
        data = b""
        with contextlib.suppress(ConnectionResetError):
            data = self._socket.recv(2**16)
        if not data:
            self.is_open = False
            return
        for event in self.http.receive_data(data):
            self._note(event)
        self.flush()

    def _note(self, event: Event) -> None:
        match event:
            case ResponseReceived(stream_id=stream, headers=headers):
                assert stream is not None
                self.status[stream] = int(dict(headers or [])[":status"])  # type: ignore[index] # h2 decodes them as told
            case DataReceived(stream_id=stream, data=data):
                assert stream is not None
                self.data[stream] = self.data.get(stream, b"") + (data or b"")
                self.http.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            case StreamEnded(stream_id=stream) | StreamReset(stream_id=stream):
                assert stream is not None
                self.ended.add(stream)
            case ConnectionTerminated():
                self.is_open = False
            case RemoteSettingsChanged():
                pass
