"""More of everything than a server expects, on real servers."""

import random
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from attacked import Attacked
from raw_client import CLOSE, PING, TEXT, RawClient, frame, upgrade

Record = Callable[[str, object], None]


def still_serves(site: Attacked) -> None:
    """Check that the bystander and a new client are served during the flood."""
    site.bystander.send(frame(TEXT, b'"meanwhile"'))
    assert site.bystander.text() == '"meanwhile"'
    with site.websocket("/echo/") as client:
        client.send(frame(TEXT, b'"new"'))
        assert client.text() == '"new"'


#: How far a client goes before it leaves.
STAGES: list[Callable[[RawClient], object]] = [
    lambda client: None,
    lambda client: client.status(),
    lambda client: client.send(frame(TEXT, b"[1]")),
    lambda client: (client.send(frame(TEXT, b"[1]")), client.text()),
    lambda client: client.send(frame(TEXT, b"[1]")[:4]),
    lambda client: client.send(frame(CLOSE, b"\x03\xe8")),
    lambda client: client.send(frame(CLOSE)[:3]),
    lambda client: client.send(frame(PING, b"!") * 100),
]


@pytest.mark.parametrize("path", ["/echo/", "/sync/", "/first/", "/pour/"])
def test_a_storm_of_clients_that_leave(site: Attacked, path: str, record_property: Record) -> None:
    rng = random.Random(13)
    record_property("inputs", 150)
    for number in range(150):
        client = site.client(upgrade(site.host, path))
        if rng.random() < 0.7:
            assert client.status() == 101
            rng.choice(STAGES[2:])(client)
        rng.choice([RawClient.close, RawClient.reset])(client)
        if number % 50 == 49:
            still_serves(site)


def test_a_storm_that_comes_at_once(site: Attacked, record_property: Record) -> None:
    record_property("inputs", 200)
    with ExitStack() as stack:
        clients = [
            stack.enter_context(site.client(upgrade(site.host, "/echo/"))) for _ in range(200)
        ]
        still_serves(site)
        assert {client.status() for client in clients} == {101}
        for client in clients:
            client.send(frame(TEXT, b"13"))
        assert {client.text() for client in clients} == {"13"}


@pytest.mark.parametrize(
    ("path", "lines", "origin"),
    [
        ("/nowhere/", (), None),
        ("/echo/", (), "http://evil.example"),
        ("/private/", (), None),
        ("/token/?token=evil", (), None),
    ],
    ids=["path", "origin", "guard", "token"],
)
def test_refused_handshakes(
    site: Attacked,
    path: str,
    lines: tuple[str, ...],
    origin: str | None,
    record_property: Record,
) -> None:
    record_property("inputs", 200)
    before = site.state()["peak"]
    for _ in range(200):
        assert site.handshake(path, *lines, origin=origin) in {401, 403, 404}
    still_serves(site)
    # Nothing of a refused client is kept: 200 of them would be seen otherwise.
    assert site.state()["peak"] - before < 20 * 1024


def test_frames_without_a_pause(site: Attacked, record_property: Record) -> None:
    record_property("inputs", 4000)
    flood = frame(TEXT, b"1") * 200
    with ExitStack() as stack:
        clients = [stack.enter_context(site.websocket("/echo/")) for _ in range(20)]
        for client in clients:
            client.send(flood)
        still_serves(site)
        for client in clients:
            assert [client.text() for _ in range(200)] == ["1"] * 200


def test_requests_in_a_row_on_one_connection(site: Attacked, record_property: Record) -> None:
    record_property("inputs", 100)
    head = f"GET /letter/ HTTP/1.1\r\nHost: {site.host}\r\n\r\n".encode()
    with site.client(head * 100) as client:
        still_serves(site)
        for _ in range(100):
            assert client.status() == 200
            assert client.until(b"0\r\n\r\n") == b"1\r\n0\r\n0\r\n\r\n"


def test_streams_of_events_that_are_opened_and_left(
    site: Attacked, record_property: Record
) -> None:
    record_property("inputs", 200)
    head = f"GET /events/?data=a HTTP/1.1\r\nHost: {site.host}\r\n\r\n".encode()
    for number in range(200):
        client = site.client(head)
        if number % 3:
            client.status()
        if number % 2:
            client.close()
        else:
            client.reset()
    still_serves(site)


def test_random_clients(site: Attacked, record_property: Record) -> None:
    """Thirty clients, each of which does something else at each moment."""
    rng = random.Random(1313)
    record_property("inputs", 1500)
    clients: list[RawClient] = []
    paths = ["/echo/", "/sync/", "/sizes/", "/pour/", "/versions/", "/first/", "/nowhere/"]
    for number in range(1500):
        if len(clients) < 30:
            clients.append(site.client(upgrade(site.host, rng.choice(paths))))
        client = rng.choice(clients)
        action = rng.randrange(6)
        if action == 0:
            clients.remove(client)
            rng.choice([RawClient.close, RawClient.reset])(client)
        elif action == 1:
            client.send(rng.randbytes(rng.randrange(20)))
        else:
            client.send(frame(rng.choice([TEXT, PING, CLOSE, 2, 0]), rng.randbytes(3)))
        if number % 300 == 0:
            still_serves(site)
    for client in clients:
        client.close()
