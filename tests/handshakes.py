"""Serve `handshakes_site`, and ask it with handshakes that a library for clients would not send."""

import os
import socket
import sys
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Final

from served import Served

__all__ = ["SERVERS", "handshake", "serve"]

_UVICORN: Final = [sys.executable, "-m", "uvicorn", "handshakes_site:application"]
#: Commands without their port.
SERVERS: Final = {
    "websockets-sansio": [*_UVICORN, "--ws", "websockets-sansio", "--port"],
    "websockets": [*_UVICORN, "--ws", "websockets", "--port"],
    "daphne": [sys.executable, "-m", "daphne", "handshakes_site:application", "-p"],
}


def serve(server: str) -> Served:
    """Return one of the servers with the site."""
    return Served(
        server,
        lambda port: [*SERVERS[server], str(port)],
        # Deprecation warnings of `websockets` about its legacy part do not concern us.
        {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"},
        "Listening on TCP" if server == "daphne" else "Uvicorn running on",
        Path(__file__).resolve().parent,
    )


def handshake(server: Served, path: str, *lines: str) -> tuple[int, Message, bytes]:
    """Return the status, the headers and the body of the answer to a handshake.

    Args:
        server: The server.
        path: The path, without the slashes around it.
        lines: Lines of the head; `Host` and `Origin` are added if they are missing.
    """
    given = {line.partition(":")[0].lower() for line in lines}
    usual = {"host": f"Host: {server.host}", "origin": f"Origin: {server.origin}"}
    head = [
        f"GET /{path}/ HTTP/1.1",
        *(line for name, line in usual.items() if name not in given),
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *lines,
    ]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall("\r\n".join([*head, "", ""]).encode("latin-1"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = client.recv(65536)
            assert part, answer
            answer += part
        first, _, rest = answer.partition(b"\r\n")
        fields, _, body = rest.partition(b"\r\n\r\n")
        headers = BytesParser().parsebytes(fields + b"\r\n\r\n", headersonly=True)
        while len(body) < int(headers.get("content-length") or 0):
            part = client.recv(65536)
            assert part, f"less than its Content-Length: {answer!r}"
            body += part
    return int(first.split()[1]), headers, body
