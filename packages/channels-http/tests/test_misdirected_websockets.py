from typing import Any

import pytest
from django.core.signals import request_started
from django.test import AsyncClient, AsyncRequestFactory, Client
from django.test.client import AsyncClientHandler

from channels_http import _misdirected_websockets

HEADERS = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_misdirected_websockets._watch, "silent_until", 0.0)


def test_a_websocket_at_a_wsgi_server_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        Client().get("/ws/chat/", headers=HEADERS)
    [line] = [each for each in caplog.records if each.name == "django.channels.http"]
    assert line.levelname == "WARNING"
    assert "'/ws/chat/' has come to a WSGI server" in line.getMessage()
    assert "runserver, without --noasgi" in line.getMessage()


async def test_a_websocket_as_a_request_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    # Not `headers=HEADERS`: the first releases of Django 5.2 spell their names with underscores.
    scope: dict[str, Any] = dict(AsyncRequestFactory().get("/ws/chat/").scope)
    scope["headers"] += [(name.lower().encode(), b"x") for name in HEADERS]
    for _ in range(3):
        await AsyncClientHandler()(dict(scope))
    [line] = [each for each in caplog.records if each.name == "django.channels.http"]
    assert "'/ws/chat/' has come to Django as an HTTP request" in line.getMessage()
    assert "'uvicorn[standard]'" in line.getMessage()


async def test_of_other_requests_it_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    await AsyncClient().get("/ws/chat/")
    request_started.send(None, environ={"PATH_INFO": "/"})
    request_started.send(None)
    assert "django.channels.http" not in {record.name for record in caplog.records}
