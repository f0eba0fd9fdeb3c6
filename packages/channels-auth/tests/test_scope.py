from types import SimpleNamespace
from typing import Any

import pytest
from django.utils.functional import SimpleLazyObject

from channels_auth._scope import cookie_can_change, is_unresolved, session_of, set_user, user_of
from channels_auth.auth import UserLazyObject


def test_the_session() -> None:
    assert session_of({"session": "a session"}) == "a session"
    with pytest.raises(ValueError, match=r"Cannot find session in scope\. You should wrap your"):
        session_of({})


@pytest.mark.parametrize("can", [True, False])
def test_the_cookie_of_a_session_of_ours(can: bool) -> None:
    wrapper = SimpleNamespace(can_set_cookie=can)
    assert cookie_can_change({"channels_auth.session": wrapper}) is can


def test_the_cookie_of_any_other_session() -> None:
    assert cookie_can_change({"session": "a session"})


def test_what_is_unresolved() -> None:
    resolved = UserLazyObject()
    resolved._wrapped = "anna"

    def fail() -> None:
        raise NotImplementedError

    assert is_unresolved(UserLazyObject())
    assert is_unresolved(SimpleLazyObject(fail))
    assert not is_unresolved(resolved)
    assert not is_unresolved("anna")
    assert not is_unresolved(None)


def test_the_user() -> None:
    assert user_of({}) is None
    assert user_of({"user": UserLazyObject()}) is None
    assert user_of({"user": "anna"}) == "anna"


async def test_the_watch_learns_of_a_new_user() -> None:
    told: list[Any] = []

    class LoginWatch:
        async def user_changed(self, scope: Any) -> None:
            told.append(scope["user"])

    scope = {"channels_auth.disconnection": LoginWatch()}
    await set_user(scope, "anna")
    assert told == ["anna"]
    lonely: dict[str, Any] = {}
    await set_user(lonely, "ben")
    assert lonely == {"user": "ben"}
