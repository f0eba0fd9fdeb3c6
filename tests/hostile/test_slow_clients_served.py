"""Clients that are slow, silent, or gone, on real servers."""

from contextlib import ExitStack

import pytest

from attacked import Attacked
from raw_client import TEXT, RawClient, frame, upgrade

#: Few enough for a test, many enough that one thread or one slot for each would be noticed.
MANY = 100


def still_serves(site: Attacked) -> None:
    """Check that others are served while the slow clients are there."""
    site.bystander.send(frame(TEXT, b'"meanwhile"'))
    assert site.bystander.text() == '"meanwhile"'
    with site.websocket("/sync/") as client:
        client.send(frame(TEXT, b'"in a thread"'))
        assert client.text() == '"in a thread"'
    assert site.get("/log-in/")[2] == b"Log in."


def test_half_a_handshake(site: Attacked) -> None:
    with ExitStack() as stack:
        for number in range(MANY):
            whole = upgrade(site.host, "/echo/")
            stack.enter_context(site.client(whole[: number * len(whole) // MANY]))
        still_serves(site)


def test_a_handshake_byte_by_byte(site: Attacked) -> None:
    clients = [site.client() for _ in range(20)]
    for byte in upgrade(site.host, "/echo/"):
        for client in clients:
            client.send(bytes([byte]))
    still_serves(site)
    for client in clients:
        assert client.status() == 101
        client.close()


def test_a_frame_byte_by_byte(site: Attacked) -> None:
    clients = [site.websocket("/echo/") for _ in range(20)]
    for byte in frame(TEXT, b'"slowly"'):
        for client in clients:
            client.send(bytes([byte]))
    still_serves(site)
    for client in clients:
        assert client.text() == '"slowly"'
        client.close()


def test_half_a_frame(site: Attacked) -> None:
    with ExitStack() as stack:
        for number in range(MANY):
            client = stack.enter_context(site.websocket("/echo/"))
            client.send(frame(TEXT, b"a" * 300)[: 3 * number])
        still_serves(site)


def test_clients_that_only_listen(site: Attacked) -> None:
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(site.websocket("/echo/"))
        still_serves(site)


def test_clients_that_read_nothing(site: Attacked) -> None:
    with ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(site.websocket("/pour/", receive_buffer=4096))
            client.send(frame(TEXT, b"8") * 4)
        still_serves(site)


def test_clients_that_read_nothing_and_are_reset(site: Attacked) -> None:
    for _ in range(10):
        client = site.websocket("/pour/", receive_buffer=4096)
        client.send(frame(TEXT, b"8") * 4)
        client.reset()
    still_serves(site)


def body(site: Attacked, *lines: str) -> bytes:
    head = ["POST /letter/ HTTP/1.1", f"Host: {site.host}", *lines]
    return "".join(f"{line}\r\n" for line in [*head, ""]).encode()


@pytest.mark.parametrize(
    ("line", "part"),
    [("Content-Length: 100", b"a" * 10), ("Transfer-Encoding: chunked", b"a\r\n0123456789\r\n")],
    ids=["length", "chunks"],
)
def test_a_body_that_does_not_end(site: Attacked, line: str, part: bytes) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(site.client(body(site, line) + part)) for _ in range(20)]
        still_serves(site)
        if site.server != "daphne":  # which starts the application when it has the whole body
            assert [client.status() for client in clients] == [408] * 20


def test_a_body_with_another_length_than_promised(site: Attacked) -> None:
    for line, part in (
        ("Content-Length: 100000000", b""),
        ("Content-Length: 70000", b"a" * 70_000),
        ("Transfer-Encoding: chunked", b"ffffffffffffffff\r\n"),
        ("Transfer-Encoding: chunked", b"zz\r\n"),
        ("Transfer-Encoding: chunked", b"-1\r\n"),
        ("Transfer-Encoding: chunked", b"1;" + b"a" * 5000 + b"\r\na\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"1\r\na\r\n" * 5000),
    ):
        with site.client(body(site, line) + part) as client:
            client.finish()
            client.rest()


@pytest.mark.parametrize("way", [RawClient.close, RawClient.reset, RawClient.finish])
def test_held_responses_of_clients_that_leave(site: Attacked, way: object) -> None:
    head = f"GET /poll/ HTTP/1.1\r\nHost: {site.host}\r\n\r\n".encode()
    clients = [site.client(head) for _ in range(MANY)]
    for number, client in enumerate(clients):
        # Some leave before the answer.
        if number % 2:
            assert client.status() == 200
        assert callable(way)
        way(client)
    still_serves(site)
    for client in clients:
        client.close()
