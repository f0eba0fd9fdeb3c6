"""Headers of responses that would end a message elsewhere, or answer a handshake again."""

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message

import pytest

from handshakes import SERVERS, handshake, serve
from served import Served

#: How many headers of the kind the consumers of `handshakes_site` pass on.
FRAMING = 7


@pytest.fixture(params=SERVERS, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(request.param) as served:
        yield served


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
            headers: Message = response.headers
            return headers
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
        status, headers, _ = handshake(server, path, "Origin: http://evil.example")
        assert status in (403, 404)
        if server.server != "daphne":
            assert headers.get_all("x-content-type-options") == ["nosniff"], path
