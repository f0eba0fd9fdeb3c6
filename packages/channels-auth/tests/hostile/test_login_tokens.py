"""A login token logs in once, and only the client for whom it was made."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core import signing
from django.db import connections
from django.http import HttpRequest
from django.test import override_settings

from accounts.models import Guest
from channels_auth.login_tokens import InvalidLoginToken, create_login_token, login_with_token
from http_logins import MODEL_BACKEND, http_session

pytestmark = pytest.mark.django_db

Record = Callable[[str, object], None]

#: Attempts at the same moment.
CLIENTS = 8


def log_in(token: Any) -> Any:
    request = HttpRequest()
    request.session, request.user = http_session(), AnonymousUser()
    return login_with_token(request, token)


def refused(token: Any) -> bool:
    try:
        log_in(token)
    except InvalidLoginToken as error:
        return not isinstance(token, str) or not token or token not in str(error)
    return False


@pytest.fixture
def anna() -> User:
    return User.objects.create_user("anna", password="tea")


def test_no_character_can_be_changed(anna: User, record_property: Record) -> None:
    token = create_login_token(anna)
    forged = [
        token[:place] + other + token[place + 1 :]
        for place in range(len(token))
        for other in ("A" if token[place] != "A" else "B", "")
    ]
    # The last character of Base64 has bits that are not used: none of these may decode alike.
    record_property("inputs", len(forged))
    assert [each for each in forged if not refused(each)] == []
    assert log_in(token) == anna


def test_parts_and_other_values_are_no_tokens(anna: User, record_property: Record) -> None:
    token = create_login_token(anna)
    content, time, signature = token.split(":")
    forged: list[Any] = [
        "",
        ":",
        "::",
        content,
        f"{content}:{time}",
        f"{content}:{time}:",
        f"{content}::{signature}",
        f"{content}:zzzzzz:{signature}",
        f"{time}:{content}:{signature}",
        f".{token}",
        f"{token}:{signature}",
        token + "=",
        token + "\n",
        " " + token,
        token.swapcase(),
        "\ud800" + token,
        "\x00",
        "a" * 100_000,
        ":" * 100_000,
        None,
        0,
        True,
        token.encode(),
        [token],
        {"token": token},
    ]
    record_property("inputs", len(forged))
    assert [each for each in forged if not refused(each)] == []
    assert log_in(token) == anna


def test_a_signature_for_another_purpose_or_secret(anna: User, record_property: Record) -> None:
    ticket = [str(anna.pk), MODEL_BACKEND, "0" * 64, "nonce"]
    salt = "channels_auth.login_tokens"
    forged = [
        signing.dumps(ticket),
        signing.dumps(ticket, salt="django.core.signing"),
        signing.dumps(ticket, key="a guess", salt=salt),
    ]
    with override_settings(SECRET_KEY="a guess"):
        forged.append(create_login_token(anna))
    record_property("inputs", len(forged))
    assert [each for each in forged if not refused(each)] == []


def test_a_former_token_is_void_after_any_login(anna: User) -> None:
    first, second, third = (create_login_token(anna) for _ in range(3))
    log_in(second)
    assert [refused(each) for each in (first, second, third)] == [True] * 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", [User, Guest])
def test_of_many_at_the_same_moment_one_logs_in(
    model: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    settings.AUTH_USER_MODEL = model._meta.label
    # Django decides at its start, by the user model, whether a login sets `last_login`.
    monkeypatch.setattr("django.contrib.auth.signals.user_logged_in.receivers", [])
    field = model.USERNAME_FIELD
    user = model.objects.create(**{field: "anna"})
    barrier = Barrier(CLIENTS)

    def attempt(token: str) -> bool:
        barrier.wait(30)
        try:
            return refused(token)
        finally:
            connections.close_all()

    record_property("inputs", CLIENTS)
    with ThreadPoolExecutor(CLIENTS) as pool:
        outcomes = list(pool.map(attempt, [create_login_token(user)] * CLIENTS))
    assert outcomes.count(False) == 1
