"""Headers of responses that would end a message elsewhere, or answer a handshake again."""

import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest

from served import Served

#: The folder of `doors_site`.
SITES = Path(__file__).resolve().parent.parent
#: How many headers of the kind its consumers pass on.
FRAMING = 7
UVICORN = [sys.executable, "-m", "uvicorn", "doors_site:application"]
#: Commands without their port.
COMMANDS = {
    "websockets-sansio": [*UVICORN, "--ws", "websockets-sansio", "--port"],
    "websockets": [*UVICORN, "--ws", "websockets", "--port"],
    "daphne": [sys.executable, "-m", "daphne", "doors_site:application", "-p"],
}


@pytest.fixture(params=COMMANDS, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Served]:
    announces = "Listening on TCP" if request.param == "daphne" else "Uvicorn running on"
    served = Served(
        request.param,
        lambda port: [*COMMANDS[request.param], str(port)],
        # Deprecation warnings of `websockets` about its legacy part do not concern us.
        {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"},
        announces,
        SITES,
    )
    with served:
        yield served


def handshake(server: Served, path: str, origin: str = "") -> tuple[int, Message, bytes]:
    """Return the status, the headers and what follows of the answer to a handshake."""
    head = [
        f"GET /{path}/ HTTP/1.1",
        f"Host: {server.host}",
        f"Origin: {origin or server.origin}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
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


def test_an_accepted_handshake_is_answered_once(
    server: Served, record_property: Callable[[str, object], None]
) -> None:
    status, headers, _ = handshake(server, "accepts")
    assert status == 101
    assert headers.get_all("sec-websocket-accept") == ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
    assert [each.lower() for each in headers.get_all("connection") or ()] == ["upgrade"]
    assert [each.lower() for each in headers.get_all("upgrade") or ()] == ["websocket"]
    for name in ("transfer-encoding", "content-length", "keep-alive", "sec-websocket-extensions"):
        assert headers.get_all(name) is None, name
    if server.server != "daphne":
        assert headers["x-own"] == "kept"
    record_property("inputs", FRAMING)


def test_a_refusal_ends_where_its_body_ends(
    server: Served, record_property: Callable[[str, object], None]
) -> None:
    status, headers, body = handshake(server, "denies")
    if server.server == "daphne":  # it sends an answer of its own
        assert status == 403
        return
    assert (status, body) == (401, b"Log in.")
    assert headers.get_all("content-length") == ["7"]
    assert headers.get_all("transfer-encoding") is None
    assert headers.get_all("sec-websocket-accept") is None
    assert headers["x-own"] == "kept"
    record_property("inputs", FRAMING)


def get(server: Served, path: str) -> Message:
    try:
        with urllib.request.urlopen(f"{server.origin}/{path}/", timeout=10) as response:
            response.read()
            return response.headers
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.headers


def test_what_is_one_users_is_not_stored(server: Served) -> None:
    assert get(server, "events").get_all("cache-control") == ["no-store, no-transform"]
    assert get(server, "poll").get_all("cache-control") == ["no-store"]
    assert get(server, "own").get_all("cache-control") == ["private"]
    assert get(server, "holds").get_all("cache-control") is None


def test_a_refusal_is_not_taken_for_a_page(server: Served) -> None:
    assert get(server, "nowhere").get_all("x-content-type-options") == ["nosniff"]
    for path in ("nowhere", "own"):
        status, headers, _ = handshake(server, path, "http://evil.example")
        assert status in (403, 404)
        if server.server != "daphne":
            assert headers.get_all("x-content-type-options") == ["nosniff"], path
