from typing import Any

import pytest

from channels_auth._sessions.response_headers import delete_session_cookie, set_session_cookie


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


def test_it_is_set_as_the_settings_have_it() -> None:
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
