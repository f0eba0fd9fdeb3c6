import logging
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from django.core import signing
from django.core.cache import cache
from django.db import connections
from django.http import HttpRequest
from django.test import override_settings
from django.utils import timezone

from accounts.models import Guest, Member
from channels_auth.login_tokens import (
    InvalidLoginToken,
    alogin_with_token,
    create_login_token,
    login_with_token,
)
from channels_core.exceptions import ChannelsError

pytestmark = pytest.mark.django_db

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"

Exchange = Callable[..., Any]


@pytest.fixture(params=[login_with_token, async_to_sync(alogin_with_token)], ids=["sync", "async"])
def exchange(request: pytest.FixtureRequest) -> Exchange:
    """Log in with a token, from a view of either colour."""

    def run(token: Any, **options: Any) -> HttpRequest:
        view_request = HttpRequest()
        view_request.session = SessionStore()
        view_request.user = AnonymousUser()
        view_request.user = request.param(view_request, token, **options)
        return view_request

    return run


@pytest.fixture
def anna() -> User:
    return User.objects.create_user("anna", password="tea")


def test_it_logs_in_once(anna: User, exchange: Exchange) -> None:
    token = create_login_token(anna)
    request = exchange(token)
    assert request.user == anna
    assert request.session[SESSION_KEY] == str(anna.pk)
    assert request.session["_auth_user_backend"] == MODEL_BACKEND
    with pytest.raises(InvalidLoginToken, match="was used"):
        exchange(token)


def test_a_user_who_has_logged_in_before(anna: User, exchange: Exchange) -> None:
    User.objects.update(last_login=timezone.now())
    anna.refresh_from_db()
    token = create_login_token(anna)
    assert exchange(token).user == anna
    with pytest.raises(InvalidLoginToken):
        exchange(token)


def test_a_clock_that_stands_still(
    anna: User, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What claims the token still changes the time of the last login."""
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    monkeypatch.setattr("django.contrib.auth.signals.user_logged_in.receivers", [])
    User.objects.update(last_login=now)
    anna.refresh_from_db()
    token = create_login_token(anna)
    assert exchange(token).user == anna
    with pytest.raises(InvalidLoginToken):
        exchange(token)


def test_it_fits_into_a_url_and_into_html(anna: User) -> None:
    assert re.fullmatch(r"[\w:-]+", create_login_token(anna), re.ASCII)


def test_it_reveals_nothing(anna: User) -> None:
    [pk, backend, state, nonce] = signing.loads(
        create_login_token(anna), salt="channels_auth.login_tokens"
    )
    assert (pk, backend) == (str(anna.pk), MODEL_BACKEND)
    assert anna.get_session_auth_hash() not in (state, nonce)


def test_it_expires(anna: User, exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    token = create_login_token(anna)
    made = time.time()
    monkeypatch.setattr("django.core.signing.time.time", lambda: made + 61)
    for options in ({}, {"max_age": 60}, {"max_age": timedelta(seconds=10)}):
        with pytest.raises(InvalidLoginToken, match="has expired"):
            exchange(token, **options)
    assert exchange(token, max_age=timedelta(minutes=2)).user == anna


@pytest.mark.parametrize(
    "token", ["", ":", "a:b:c", "\ud800", "\x00", None, 3, b"a:b:c", ["a"], "a" * 100_000]
)
def test_a_value_that_is_not_a_token(token: Any, exchange: Exchange) -> None:
    with pytest.raises(InvalidLoginToken, match="This is not a login token") as caught:
        exchange(token)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_token_that_was_changed(anna: User, exchange: Exchange) -> None:
    token = create_login_token(anna)
    for changed in (
        token[:-1],
        token + "a",
        token.swapcase(),
        f" {token}",
        token.rsplit(":", 1)[0],
    ):
        with pytest.raises(InvalidLoginToken) as caught:
            exchange(changed)
        assert changed not in str(caught.value)
        assert caught.value.__context__ is None
    assert exchange(token).user == anna


def test_a_token_that_was_signed_for_another_purpose(anna: User, exchange: Exchange) -> None:
    with pytest.raises(InvalidLoginToken):
        exchange(signing.dumps([str(anna.pk), MODEL_BACKEND, "state", "nonce"]))


def test_the_error_is_a_channels_error_and_a_value_error() -> None:
    assert issubclass(InvalidLoginToken, ChannelsError)
    assert issubclass(InvalidLoginToken, ValueError)


@pytest.mark.parametrize(
    "change",
    [
        lambda user: user.set_password("other"),
        lambda user: setattr(user, "is_active", False),
        lambda user: setattr(user, "last_login", timezone.now()),
    ],
)
def test_a_user_who_has_changed(
    anna: User, exchange: Exchange, change: Callable[[User], object]
) -> None:
    token = create_login_token(anna)
    change(anna)
    anna.save()
    with pytest.raises(InvalidLoginToken):
        exchange(token)


def test_a_user_who_is_gone(anna: User, exchange: Exchange) -> None:
    token = create_login_token(anna)
    anna.delete()
    with pytest.raises(InvalidLoginToken, match="does not exist or may not log in"):
        exchange(token)


def test_no_log_line_has_the_token(
    anna: User, exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = create_login_token(anna)
    exchange(token)
    with pytest.raises(InvalidLoginToken):
        exchange(token)
    assert token not in caplog.text


def test_a_secret_that_was_rotated(anna: User, exchange: Exchange) -> None:
    with override_settings(SECRET_KEY="old"):
        token = create_login_token(anna)
    with pytest.raises(InvalidLoginToken):
        exchange(token)
    with override_settings(SECRET_KEY_FALLBACKS=["older", "old"]):
        assert exchange(token).user == anna


@override_settings(USE_TZ=False)
def test_without_time_zones(anna: User, exchange: Exchange) -> None:
    for _ in range(2):
        anna.refresh_from_db()
        token = create_login_token(anna)
        assert exchange(token).user == anna
        with pytest.raises(InvalidLoginToken):
            exchange(token)


def test_a_user_with_another_kind_of_key(exchange: Exchange, settings: Any) -> None:
    settings.AUTH_USER_MODEL = "accounts.Member"
    member = Member(email="anna@example.com")
    member.save()
    token = create_login_token(member)
    assert exchange(token).user == member
    with pytest.raises(InvalidLoginToken):
        exchange(token)


class TestWithoutALastLogin:
    """The cache keeps the used tokens, so all processes have to share it."""

    @pytest.fixture
    def guest(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        settings.AUTH_USER_MODEL = "accounts.Guest"
        # Django decides at its start, by the user model, whether a login sets `last_login`.
        monkeypatch.setattr("django.contrib.auth.signals.user_logged_in.receivers", [])
        cache.clear()
        guest: Any = Guest(name="anna")
        guest.save()
        return guest

    @pytest.mark.parametrize("options", [{}, {"max_age": timedelta(seconds=2.5)}])
    def test_each_token_works_once(
        self, guest: Any, exchange: Exchange, options: dict[str, Any]
    ) -> None:
        for token in (create_login_token(guest), create_login_token(guest)):
            assert exchange(token, **options).user == guest
            with pytest.raises(InvalidLoginToken, match="was used"):
                exchange(token, **options)

    def test_the_cache_entry_outlives_the_token(
        self, guest: Any, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept: list[Any] = []

        def add(key: str, value: object, timeout: float) -> bool:
            kept.append((key, timeout))
            return True

        monkeypatch.setattr(cache, "add", add)
        token = create_login_token(guest)
        exchange(token, max_age=10)
        [(key, timeout)] = kept
        assert key.startswith("channels_auth.login_token.")
        assert token not in key
        assert timeout > 10

    @pytest.mark.django_db(transaction=True)
    def test_of_simultaneous_uses_exactly_one_succeeds(self, guest: Any) -> None:
        assert race(create_login_token(guest)) == [False, False, False, True]


class TestTheBackend:
    def test_a_backend_that_is_given(self, anna: User, exchange: Exchange, settings: Any) -> None:
        settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, f"{__name__}.Other"]
        token = create_login_token(anna, f"{__name__}.Other")
        assert exchange(token).session["_auth_user_backend"] == f"{__name__}.Other"

    def test_the_backend_of_the_user(self, anna: User, exchange: Exchange, settings: Any) -> None:
        settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, f"{__name__}.Other"]
        anna.backend = f"{__name__}.Other"
        token = create_login_token(anna)
        assert exchange(token).session["_auth_user_backend"] == f"{__name__}.Other"

    def test_an_ambiguous_backend_is_an_error(self, anna: User, settings: Any) -> None:
        settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, f"{__name__}.Other"]
        with pytest.raises(ValueError, match="authenticate"):
            create_login_token(anna)
        with pytest.raises(ValueError, match=r"not 'no\.Such'"):
            create_login_token(anna, "no.Such")

    def test_a_backend_that_was_removed(
        self, anna: User, exchange: Exchange, settings: Any
    ) -> None:
        settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, f"{__name__}.Other"]
        token = create_login_token(anna, f"{__name__}.Other")
        settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND]
        with pytest.raises(InvalidLoginToken, match="not in the settings"):
            exchange(token)

    def test_an_asynchronous_backend(self, anna: User, settings: Any) -> None:
        settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Asynchronous"]
        request = HttpRequest()
        request.session = SessionStore()
        token = create_login_token(anna)
        assert async_to_sync(alogin_with_token)(request, token) == anna


class Other(BaseBackend):
    def get_user(self, user_id: int) -> Any:
        return User.objects.filter(pk=user_id).first()


class Asynchronous(BaseBackend):
    async def aget_user(self, user_id: int) -> Any:
        return await User.objects.filter(pk=user_id).afirst()


@pytest.mark.parametrize("nobody", [User(username="anna"), AnonymousUser(), None])
def test_a_token_needs_a_user(nobody: Any) -> None:
    with pytest.raises(ValueError, match="needs a user who is in the database"):
        create_login_token(nobody)


def race(token: str) -> list[bool]:
    """Use a token in several threads at once, and return which of them were logged in."""
    count = 4
    barrier = threading.Barrier(count)

    def enter() -> bool:
        request = HttpRequest()
        request.session = SessionStore()
        barrier.wait(30)
        try:
            login_with_token(request, token)
        except InvalidLoginToken:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(count) as pool:
        results = [pool.submit(enter) for _ in range(count)]
    return sorted(result.result() for result in results)


@pytest.mark.django_db(transaction=True)
def test_of_simultaneous_uses_exactly_one_succeeds(anna: User) -> None:
    assert race(create_login_token(anna)) == [False, False, False, True]
