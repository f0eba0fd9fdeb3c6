from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.cache import SessionStore
from django.core.cache import cache

from accounts.models import Member
from channels_auth._addresses import session_digest, user_group
from channels_auth._logins import Login, read_login
from servers import websocket

User: Any = get_user_model()
ANNA = User(pk=1, username="anna")
MEMBER = Member(pk="9b2b6b0c-7c1b-4b6e-9d3b-0a8f1f4d2c11")


class Visitor:
    """A user that is in no database."""

    pk = "v1"
    is_authenticated = True


@pytest.fixture
def session() -> Any:
    session = SessionStore()
    session.create()
    yield session
    cache.clear()


async def read(user: Any, **extra: Any) -> Login:
    login = await read_login(websocket(user=user, **extra))
    assert login is not None
    return login


async def test_nobody_is_logged_in() -> None:
    assert await read_login(websocket(user=AnonymousUser())) is None


async def test_without_a_session_it_is_by_other_means() -> None:
    assert await read(ANNA) == Login(ANNA, user_group(ANNA), None, None)


@pytest.mark.parametrize("user", [ANNA, MEMBER, Visitor()])
async def test_it_is_by_the_session_that_names_the_user(user: Any, session: Any) -> None:
    session["_auth_user_id"] = str(user.pk)
    login = await read(user, session=session)
    assert login == Login(user, user_group(user), session, session_digest(session.session_key))


@pytest.mark.parametrize("key", [None, "2"])
async def test_one_that_does_not_is_another_matter(key: Any, session: Any) -> None:
    session["_auth_user_id"] = key
    assert (await read(ANNA, session=session)).session is None


async def test_one_that_is_stored_nowhere_as_well() -> None:
    session = SessionStore()
    session["_auth_user_id"] = "1"
    assert (await read(ANNA, session=session)).session is None
    assert (await read(ANNA, session={})).session is None


async def test_a_session_may_be_ahead_of_its_store(session: Any) -> None:
    session["_auth_user_id"] = "1"
    login = await read(ANNA, session=session)
    for modified in (True, False):
        session.modified = modified
        assert login.is_ahead == modified
    assert not (await read(ANNA)).is_ahead


async def test_a_connection_may_end_its_login_itself(session: Any) -> None:
    session["_auth_user_id"] = "1"
    login = await read(ANNA, session=session)
    assert not await login.is_over_here()
    await session.aflush()
    assert await login.is_over_here()
    assert not await (await read(ANNA)).is_over_here()
