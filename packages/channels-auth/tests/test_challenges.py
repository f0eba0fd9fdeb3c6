from typing import Any

from channels_auth._challenges import add_challenges, challenge_headers


def test_a_cookie_is_the_way_where_nobody_tells_of_another() -> None:
    assert challenge_headers({}) == [("www-authenticate", "Cookie")]


def test_those_from_outside_come_first_and_each_once() -> None:
    scope: dict[str, Any] = {}
    add_challenges(scope, ["Bearer"])
    outer = dict(scope)
    add_challenges(scope, ["Token", "Bearer"])
    assert challenge_headers(outer) == [("www-authenticate", "Bearer")]
    assert challenge_headers(scope) == [
        ("www-authenticate", "Bearer"),
        ("www-authenticate", "Token"),
    ]
