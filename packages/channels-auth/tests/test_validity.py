from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from channels_auth._disconnection.validity import login_holds
from channels_auth._sessions.engine import session_class
from http_logins import MODEL_BACKEND, http_session, logged_in_request

pytestmark = pytest.mark.django_db

User: Any = get_user_model()
ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]


class AsyncBackend(ModelBackend):
    """A backend that means its asynchronous way."""

    calls = 0

    async def aget_user(self, user_id: Any) -> Any:
        AsyncBackend.calls += 1
        return await super().aget_user(user_id)


@pytest.fixture
def user() -> Any:
    return User.objects.create_user("anna", password="old")


def logged_in(user: Any, backend: str = MODEL_BACKEND) -> Any:
    """Return the session of a connection after a login over HTTP."""
    return session_class()(logged_in_request(user, backend).session.session_key)


def holds(user: Any, session: Any) -> bool:
    return async_to_sync(login_holds)(user, session)


def replace_password(user: Any) -> None:
    user.set_password("new")
    user.save()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Any:
    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{request.param}"):
        yield request.param
        cache.clear()


class TestSessions:
    def test_a_login_holds_on_any_engine(self, engine: str, user: Any) -> None:
        assert holds(user, logged_in(user))

    def test_the_object_of_the_connection_is_not_touched(self, user: Any) -> None:
        session = logged_in(user)
        assert holds(user, SimpleLazyObject(lambda: session))
        assert not session.accessed

    # A session in a cookie ends with the cookie.
    @pytest.mark.parametrize("engine", ENGINES[:-1], indirect=True)
    def test_a_logout_ends_it(self, engine: str, user: Any) -> None:
        session = logged_in(user)
        assert session["_auth_user_id"] == str(user.pk)
        http_session(session.session_key).flush()
        assert not holds(user, session)

    def test_a_new_password_ends_it(self, engine: str, user: Any) -> None:
        session = logged_in(user)
        replace_password(user)
        assert not holds(user, session)

    def test_deactivation_and_deletion_end_it(self, user: Any) -> None:
        session = logged_in(user)
        User.objects.update(is_active=False)
        assert not holds(user, session)
        User.objects.update(is_active=True)
        assert holds(user, session)
        User.objects.all().delete()
        assert not holds(user, session)

    def test_expiry_ends_it(self, user: Any) -> None:
        session = logged_in(user)
        Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
        assert not holds(user, session)

    def test_another_user_in_the_session_ends_it(self, user: Any) -> None:
        other = User.objects.create_user("ben")
        assert not holds(user, logged_in(other))

    def test_a_backend_that_is_gone_ends_it(self, user: Any) -> None:
        session = logged_in(user)
        with override_settings(AUTHENTICATION_BACKENDS=[f"{__name__}.AsyncBackend"]):
            assert not holds(user, session)


@pytest.mark.parametrize("backend", [MODEL_BACKEND, f"{__name__}.AsyncBackend"])
class TestReading:
    """What Django changes when it looks up a user stays as it is."""

    @pytest.fixture(autouse=True)
    def _backend(self, backend: str) -> Any:
        with override_settings(AUTHENTICATION_BACKENDS=[backend]):
            yield

    def test_a_session_with_a_wrong_hash_stays(self, user: Any, backend: str) -> None:
        session = logged_in(user, backend)
        replace_password(user)
        assert not holds(user, session)
        assert Session.objects.filter(pk=session.session_key).exists()

    def test_a_session_of_a_fallback_secret_keeps_its_key(self, user: Any, backend: str) -> None:
        # In the cache, whose sessions are not signed.
        with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.cache"):
            with override_settings(SECRET_KEY="the old one"):
                session = logged_in(user, backend)
            stored = http_session(session.session_key).load()
            with override_settings(SECRET_KEY_FALLBACKS=["the old one"]):
                assert holds(user, session)
            assert http_session(session.session_key).load() == stored
            assert not holds(user, session)

    def test_the_backend_looks_the_user_up_in_its_own_way(self, user: Any, backend: str) -> None:
        AsyncBackend.calls = 0
        assert holds(user, logged_in(user, backend))
        assert AsyncBackend.calls == (backend != MODEL_BACKEND)

    def test_it_takes_two_queries(self, user: Any, backend: str) -> None:
        session = logged_in(user, backend)
        with CaptureQueriesContext(connection) as queries:
            assert holds(user, session)
        assert len(queries) == 2


class TestWithoutSession:
    def test_the_account_decides(self, user: Any) -> None:
        assert holds(user, None)
        User.objects.update(is_active=False)
        assert not holds(user, None)
        User.objects.all().delete()
        assert not holds(user, None)

    def test_the_backend_of_the_user_decides(self, user: Any) -> None:
        user.backend = f"{__name__}.AsyncBackend"
        AsyncBackend.calls = 0
        with override_settings(AUTHENTICATION_BACKENDS=[user.backend]):
            assert holds(user, None)
            assert AsyncBackend.calls == 1
            User.objects.update(is_active=False)
            assert not holds(user, None)

    def test_a_backend_of_django_looks_the_user_up_in_a_thread(self, user: Any) -> None:
        user.backend = MODEL_BACKEND
        assert holds(user, None)
        User.objects.update(is_active=False)
        assert not holds(user, None)

    def test_a_user_without_a_model_stays_valid(self) -> None:
        assert holds(SimpleNamespace(pk=3, is_authenticated=True), None)


def test_an_error_of_the_database_is_raised(user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise OperationalError("no server")

    session = logged_in(user)
    monkeypatch.setattr(ModelBackend, "get_user", fail)
    with pytest.raises(OperationalError):
        holds(user, session)
