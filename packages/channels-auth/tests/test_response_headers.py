from typing import Any

import pytest

from channels_auth._sessions.response_headers import (
    delete_session_cookie,
    set_session_cookie,
    vary_on_cookie,
)
from channels_auth.sessions import _is_failure


@pytest.fixture(autouse=True)
def cookie(settings: Any) -> None:
    settings.SESSION_COOKIE_PATH = "/shop"
    settings.SESSION_COOKIE_DOMAIN = "shop.example"
    settings.SESSION_COOKIE_SECURE = True
    settings.SESSION_COOKIE_HTTPONLY = False
    settings.SESSION_COOKIE_SAMESITE = False


def line_of(message: dict[str, Any]) -> str:
    [(name, value)] = message["headers"]
    assert name == b"Set-Cookie"
    return str(value.decode())


def test_it_is_set_with_the_attributes_in_the_settings() -> None:
    message: dict[str, Any] = {}
    set_session_cookie(message, "sessionid", "abc", None)
    assert line_of(message) == "sessionid=abc; Domain=shop.example; Path=/shop; Secure"


def test_it_ends_when_the_session_does() -> None:
    message: dict[str, Any] = {}
    set_session_cookie(message, "sessionid", "abc", 60)
    assert "Max-Age=60; " in line_of(message)
    assert "expires=" in line_of(message)


def test_it_is_deleted_where_it_was_set() -> None:
    message: dict[str, Any] = {}
    delete_session_cookie(message, "sessionid")
    line = line_of(message)
    assert line.startswith('sessionid=""; ')
    assert "Domain=shop.example" in line
    assert "Max-Age=0; Path=/shop" in line


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [b"Cookie"]),
        ([b"Accept"], [b"Accept, Cookie"]),
        ([b"Accept, , COOKIE"], [b"Accept, COOKIE"]),
        ([b"Accept", b"Origin"], [b"Accept, Origin, Cookie"]),
        ([b"Accept, *"], [b"*"]),
    ],
)
def test_caches_keep_responses_to_different_cookies_apart(
    before: list[bytes], after: list[bytes]
) -> None:
    headers = [(b"x", b"y"), *((b"Vary", value) for value in before)]
    name = b"Vary" if before else b"vary"
    assert vary_on_cookie(headers) == [(b"x", b"y"), *((name, value) for value in after)]


def test_the_vary_of_the_program_keeps_its_place() -> None:
    headers: list[Any] = [(b"Vary", b"Accept"), [b"X", b"y"], (b"vary", b"Origin")]
    assert vary_on_cookie(headers) == [(b"Vary", b"Accept, Origin, Cookie"), [b"X", b"y"]]


def test_a_status_of_500_or_more_is_a_failure() -> None:
    assert _is_failure({"type": "http.response.start", "status": 500})
    assert not _is_failure({"type": "http.response.start", "status": 404})
    assert not _is_failure({"type": "websocket.accept"})
