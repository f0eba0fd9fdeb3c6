from typing import Any

from channels_auth._challenges import add_challenges, challenge_headers


def test_the_default_challenge_is_a_cookie() -> None:
    assert challenge_headers({}) == [("www-authenticate", "Cookie")]


def test_outer_challenges_come_first_and_each_once() -> None:
    scope: dict[str, Any] = {}
    add_challenges(scope, ["Bearer"])
    outer = dict(scope)
    add_challenges(scope, ["Token", "Bearer"])
    assert challenge_headers(outer) == [("www-authenticate", "Bearer")]
    assert challenge_headers(scope) == [
        ("www-authenticate", "Bearer"),
        ("www-authenticate", "Token"),
    ]
