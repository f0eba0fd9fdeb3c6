from typing import Any

import pytest

from channels_auth._headers import is_failure, sends_headers, vary_on_cookie


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
    assert vary_on_cookie(headers) == [(b"x", b"y"), *((b"vary", value) for value in after)]


@pytest.mark.parametrize(
    ("scope", "answer"),
    [
        ({"type": "http", "asgi": {"version": "3.0"}}, True),
        ({"type": "websocket"}, True),
        ({"type": "websocket", "asgi": {"version": "3.0"}}, False),
        ({"type": "websocket", "asgi": {"spec_version": "2.0"}}, False),
        ({"type": "websocket", "asgi": {"spec_version": "2.1"}}, True),
        ({"type": "websocket", "asgi": {"spec_version": "2.10"}}, True),
    ],
)
def test_which_servers_send_the_headers_of_an_acceptance(scope: Any, answer: bool) -> None:
    assert sends_headers(scope) is answer


def test_what_is_a_failure() -> None:
    assert is_failure({"type": "http.response.start", "status": 500})
    assert not is_failure({"type": "http.response.start", "status": 404})
    assert not is_failure({"type": "websocket.accept"})
