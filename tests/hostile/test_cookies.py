"""Cookies that took the event loop for seconds, on real servers; the longest hold is reported."""

import urllib.request
from collections.abc import Callable, Iterator

import pytest

from handshakes import SERVERS, handshake, serve
from served import Served


@pytest.fixture(params=SERVERS, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(request.param) as served:
        yield served


def longest_hold(server: Served) -> float:
    """Return the milliseconds for which the event loop served nobody, since the last call."""
    with urllib.request.urlopen(f"{server.origin}/holds/", timeout=30) as response:
        return float(response.read())


def test_quoted_cookies_are_read_at_once(
    server: Served, record_property: Callable[[str, object], None]
) -> None:
    # As much as the server's own limits let through.
    lines = 2 if server.server == "daphne" else 8
    quoted = [f'Cookie: c{number}="' + "\\" * 7880 + '"' for number in range(lines)]
    longest_hold(server)
    assert handshake(server, "cookies", *quoted)[0] == 101
    record_property("longest_hold", longest_hold(server))
    record_property("inputs", lines)
