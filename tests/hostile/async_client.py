"""A WebSocket client that misbehaves: each byte that it sends is the test's choice."""

import asyncio
import base64
import contextlib
import os
import socket
import struct
import zlib
from typing import Self

__all__ = ["RawClient", "deflated", "frame"]

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


def frame(
    payload: bytes, opcode: int = TEXT, *, fin: bool = True, compressed: bool = False
) -> bytes:
    """Return a masked frame of a client, whose mask changes nothing."""
    first = (0x80 if fin else 0) | (0x40 if compressed else 0) | opcode
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + bytes(4) + payload


def deflated(payload: bytes) -> bytes:
    """Return a text frame that the server inflates."""
    deflater = zlib.compressobj(9, wbits=-12)
    data = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return frame(data.removesuffix(b"\x00\x00\xff\xff"), compressed=True)


class RawClient:
    """A connection after its handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(
        cls, port: int, path: str, headers: str = "", *, reads: bool = True, inflates: bool = False
    ) -> Self:
        """Open a WebSocket.

        Args:
            port: The server's port on this machine.
            path: The path.
            headers: More headers of the request, each with its line end.
            reads: Whether the client reads after the handshake. If not, its machine takes as
                little as possible.
            inflates: Whether to offer compression.
        """
        connection = socket.socket()
        if not reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        except OSError:
            connection.close()
            raise
        limit = 1 << 16 if reads else 1 << 10
        reader, writer = await asyncio.open_connection(sock=connection, limit=limit)
        key = base64.b64encode(os.urandom(16)).decode()
        if inflates:
            headers += "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
        request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"{headers}\r\n"
        )
        writer.write(request.encode("latin-1"))
        client = cls(reader, writer)
        if reads:
            await client.read_handshake()
        else:
            # So that the server has answered; the reader takes no more than a little ahead.
            await reader.readexactly(1)
        return client

    async def read_handshake(self) -> None:
        """Read the answer of the server."""
        while (line := await self._reader.readuntil(b"\r\n")) != b"\r\n":
            assert not line.startswith(b"HTTP/") or b" 101 " in line, line

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> tuple[int, bytes]:
        """Return the opcode and the payload of the next frame; 8 and b"" after an abrupt end."""
        try:
            first, size = await self._reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack("!H", await self._reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self._reader.readexactly(8))
            return first & 15, await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return CLOSE, b""

    async def ending(self) -> int:
        """Read to the end, and return the close code; 1006 without one."""
        while True:
            opcode, payload = await self.receive()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big") if payload else 1006

    async def read_to_end(self) -> None:
        """Read until the server ends the connection, also by a reset."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(1 << 16):
                pass

    async def drop(self) -> None:
        """Drop the connection."""
        self._writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
