from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends import signed_cookies
from django.contrib.sessions.backends.cache import SessionStore
from django.core.cache import cache

from accounts.models import Member
from channels_auth._disconnection.logins import Login, read_login
from channels_auth._disconnection.messages import (
    password_digest,
    session_digest,
    session_group,
    user_groups,
)
from channels_core.typing import Message
from group_messages import disconnect_message, revalidate_message, user_group
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
    assert await read(ANNA) == Login(ANNA, user_groups(ANNA), None, None, password_digest(ANNA))


@pytest.mark.parametrize("user", [ANNA, MEMBER, Visitor()])
async def test_it_is_by_the_session_that_names_the_user(user: Any, session: Any) -> None:
    session["_auth_user_id"] = str(user.pk)
    login = await read(user, session=session)
    digest = session_digest(session.session_key)
    assert login == Login(user, user_groups(user), session, digest, password_digest(user))


@pytest.mark.parametrize("key", [None, "2"])
async def test_a_session_of_another_user_does_not_count(key: Any, session: Any) -> None:
    session["_auth_user_id"] = key
    assert (await read(ANNA, session=session)).session is None


async def test_a_session_that_is_not_stored_does_not_count() -> None:
    session = SessionStore()
    session["_auth_user_id"] = "1"
    assert (await read(ANNA, session=session)).session is None
    assert (await read(ANNA, session={})).session is None


async def test_a_session_may_have_unsaved_changes(session: Any) -> None:
    session["_auth_user_id"] = "1"
    login = await read(ANNA, session=session)
    for modified in (True, False):
        session.modified = modified
        assert login.has_unsaved_session == modified
    assert not (await read(ANNA)).has_unsaved_session


async def test_a_connection_may_end_its_login_itself(session: Any) -> None:
    session["_auth_user_id"] = "1"
    login = await read(ANNA, session=session)
    assert not await login.was_ended_by_application()
    await session.aflush()
    assert await login.was_ended_by_application()
    assert not await (await read(ANNA)).was_ended_by_application()


HERS = user_group(ANNA)
OF_SESSION = session_group(session_digest("k1"))
BY_SESSION = Login(ANNA, (HERS,), object(), session_digest("k1"), "p1")
BY_TOKEN = Login(ANNA, (HERS,), None, None, "p1")
BY_OTHERS = Login(Visitor(), (HERS,), None, None, None)


@pytest.mark.parametrize(
    ("login", "message", "ends"),
    [
        (BY_SESSION, disconnect_message(HERS, 4401), True),
        (BY_TOKEN, disconnect_message(HERS, 4401), True),
        (BY_SESSION, disconnect_message(HERS, 4401, "k1"), True),
        (BY_SESSION, disconnect_message(HERS, 4401, "k2"), None),
        (BY_TOKEN, disconnect_message(HERS, 4401, "k1"), False),
        (BY_SESSION, disconnect_message(HERS, 4401, unless="p1"), False),
        (BY_TOKEN, disconnect_message(HERS, 4401, unless="p1"), False),
        (BY_TOKEN, disconnect_message(HERS, 4401, unless="p2"), True),
        (BY_OTHERS, disconnect_message(HERS, 4401, unless="p2"), None),
        (BY_SESSION, revalidate_message(HERS), None),
        (BY_TOKEN, revalidate_message(HERS), None),
        (BY_SESSION, revalidate_message("another"), False),
        (BY_SESSION, revalidate_message(OF_SESSION), None),
        (BY_TOKEN, revalidate_message(OF_SESSION), False),
        (BY_SESSION, disconnect_message("another", 4401), False),
        (BY_SESSION, {"type": "chat.message", "group": HERS}, False),
        (BY_SESSION, {"group": HERS}, False),
    ],
)
def test_which_messages_end_it(login: Login, message: Message, ends: bool | None) -> None:
    assert login.is_ended_by(message) is ends


def test_it_is_reached_by_its_user_and_by_its_session() -> None:
    assert BY_SESSION.groups == (HERS, OF_SESSION)
    assert BY_TOKEN.groups == (HERS,)
    # The key is the content of the session, so it changes.
    assert BY_SESSION._replace(session=signed_cookies.SessionStore()).groups == (HERS,)
