import logging
from typing import Any

import pytest

from channels_http.access_log import access_entry

REQUEST = {
    "method": "GET",
    "path": "/a/?b=1",
    "status": 200,
    "client": "127.0.0.1:50000",
    "time_taken": 0.1234,
    "size": 12,
}


@pytest.mark.parametrize(
    ("status", "level", "style"),
    [
        (101, logging.INFO, "HTTP_INFO"),
        (200, logging.INFO, "HTTP_SUCCESS"),
        (204, logging.INFO, "HTTP_SUCCESS"),
        (302, logging.INFO, "HTTP_REDIRECT"),
        (304, logging.INFO, "HTTP_NOT_MODIFIED"),
        (404, logging.WARNING, "HTTP_NOT_FOUND"),
        (413, logging.WARNING, "HTTP_BAD_REQUEST"),
        (503, logging.ERROR, "HTTP_SERVER_ERROR"),
        (999, logging.ERROR, "HTTP_SERVER_ERROR"),
    ],
)
def test_requests(status: int, level: int, style: str) -> None:
    entry = access_entry("http", "complete", {**REQUEST, "status": status})
    assert entry is not None
    assert (entry.level, entry.style) == (level, style)
    expected = f"HTTP GET /a/?b=1 {status} [0.12, 127.0.0.1:50000]"
    assert entry.message % entry.details == expected


@pytest.mark.parametrize(
    ("action", "word"),
    [
        ("connecting", "HANDSHAKING"),
        ("connected", "CONNECT"),
        ("rejected", "REJECT"),
        ("disconnected", "DISCONNECT"),
    ],
)
def test_websockets(action: str, word: str) -> None:
    entry = access_entry("websocket", action, {"path": "/ws/", "client": "127.0.0.1:50000"})
    assert entry is not None
    assert (entry.level, entry.style) == (logging.INFO, None)
    assert entry.message % entry.details == f"WebSocket {word} /ws/ [127.0.0.1:50000]"


def test_a_path_cannot_write_into_the_terminal() -> None:
    path = "/\x1b[31m\r\nHTTP GET /admin/ 200"
    for protocol, action in (("http", "complete"), ("websocket", "connected")):
        entry = access_entry(protocol, action, {**REQUEST, "path": path})
        assert entry is not None
        line = entry.message % entry.details
        assert line.isprintable()
        assert r"/\x1b[31m\r\nHTTP GET" in line


@pytest.mark.parametrize(
    ("protocol", "action"), [("http", "started"), ("websocket", "complete"), ("mqtt", "connected")]
)
def test_other_events_leave_no_line(protocol: str, action: Any) -> None:
    assert access_entry(protocol, action, REQUEST) is None
