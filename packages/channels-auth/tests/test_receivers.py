import asyncio
import copy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.conf import settings
from django.contrib.auth import aget_user, alogout, get_user_model, login, logout
from django.contrib.auth.models import AnonymousUser, Permission
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.cache import cache
from django.core.signals import request_finished
from django.db import OperationalError, connection, transaction
from django.db.models.signals import post_save
from django.http import HttpRequest
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils.functional import SimpleLazyObject

from channels_auth._disconnection.messages import (
    password_digest,
    session_digest,
    session_group,
)
from channels_auth._sessions.engine import session_class
from channels_auth.apps import set_up
from channels_core.typing import Message
from group_messages import disconnect_message, revalidate_message, user_group
from http_logins import MODEL_BACKEND, http_session, logged_in_request
from layers import GroupLayer, default_layer
from proxies import Staff

pytestmark = pytest.mark.django_db(transaction=True)

User: Any = get_user_model()


class Reached(GroupLayer):
    """Keeps with each message the stored state at that time."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.look: Any = lambda: None

    async def group_send(self, group: str, message: Message) -> None:
        await super().group_send(group, message)
        self.seen.append(self.look())


@pytest.fixture
def layer() -> Iterator[Reached]:
    set_up()
    with default_layer(Reached()) as layer:
        yield layer


@pytest.fixture
def user() -> Any:
    return User.objects.create_user("anna", password="old")


def disconnect_all(user: Any) -> list[tuple[str, Message]]:
    group = user_group(user)
    return [(group, disconnect_message(group, 4401))]


def disconnect_other_passwords(user: Any) -> list[tuple[str, Message]]:
    """Return the announcement of a new password."""
    group = user_group(user)
    return [(group, disconnect_message(group, 4401, unless=password_digest(user)))]


def revalidate(user: Any) -> list[tuple[str, Message]]:
    group = user_group(user)
    return [(group, revalidate_message(group))]


def disconnect_session(user: Any, key: str | None) -> list[tuple[str, Message]]:
    group = user_group(user)
    return [(group, disconnect_message(group, 4401, key))]


class TestLogout:
    def test_the_sockets_of_the_session_are_disconnected(self, layer: Reached, user: Any) -> None:
        request = logged_in_request(user)
        key = request.session.session_key
        logout(request)
        assert layer.sent == disconnect_session(user, key)

    def test_it_works_in_asynchronous_code(self, layer: Reached, user: Any) -> None:
        request = logged_in_request(user)
        key = request.session.session_key
        async_to_sync(alogout)(request)
        assert layer.sent == disconnect_session(user, key)

    @pytest.mark.parametrize("colour", [logout, async_to_sync(alogout)])
    def test_the_announcement_follows_the_deletion_of_the_session(
        self, layer: Reached, user: Any, colour: Any
    ) -> None:
        engine = "django.contrib.sessions.backends.cache"
        with override_settings(SESSION_ENGINE=engine):
            request = logged_in_request(user)
            key = request.session.session_key
            layer.look = lambda: http_session(key).exists(key)
            assert layer.look()
            colour(request)
        assert layer.seen == [False]
        cache.clear()

    def test_the_announcement_follows_the_commit(self, layer: Reached, user: Any) -> None:
        request = logged_in_request(user)
        with transaction.atomic():
            logout(request)
            assert layer.sent == []
        assert len(layer.sent) == 1

    def test_the_session_of_a_connection_in_a_lazy_object(self, layer: Reached, user: Any) -> None:
        request: Any = logged_in_request(user)
        key = request.session.session_key
        session = session_class()(key)
        request.session = SimpleLazyObject(lambda: session)
        logout(request)
        assert layer.sent == disconnect_session(user, key)
        assert "flush" not in vars(session)

    def test_a_session_is_restored_after_a_flush(self, layer: Reached, user: Any) -> None:
        request = logged_in_request(user)
        session: Any = request.session
        user_logged_out.send(User, request=request, user=user)
        user_logged_out.send(User, request=request, user=user)
        session.flush()
        assert not {"flush", "aflush"} & set(vars(session))
        assert len(layer.sent) == 2
        session.flush()
        assert len(layer.sent) == 2

    def test_a_failing_flush_announces_nothing(
        self, layer: Reached, user: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(session: Any) -> None:
            raise OperationalError("no server")

        request = logged_in_request(user)
        monkeypatch.setattr(type(request.session), "flush", fail)
        with pytest.raises(OperationalError):
            logout(request)
        assert layer.sent == []

    def test_without_a_session_key_the_sockets_revalidate(self, layer: Reached, user: Any) -> None:
        for _ in range(2):
            # As with a token: the request has no session, or has flushed it before.
            request = logged_in_request(user)
            request.session = http_session()
            logout(request)
        assert layer.sent == revalidate(user) * 2

    def test_the_sockets_revalidate_after_the_commit(self, layer: Reached, user: Any) -> None:
        request = logged_in_request(user)
        with transaction.atomic():
            request.session.flush()
            user_logged_out.send(User, request=request, user=user)
            assert layer.sent == []
        assert layer.sent == revalidate(user)

    def test_without_a_flush_the_sockets_revalidate_after_the_request(
        self, layer: Reached, user: Any
    ) -> None:
        request = logged_in_request(user)
        user_logged_out.send(User, request=request, user=user)
        assert layer.sent == []
        for _ in range(2):
            request_finished.send(None)
        assert layer.sent == revalidate(user)

    def test_after_a_flush_the_request_announces_nothing(self, layer: Reached, user: Any) -> None:
        logout(logged_in_request(user))
        request_finished.send(None)
        assert len(layer.sent) == 1

    @pytest.mark.parametrize("name", ["flush", "aflush"])
    def test_a_later_flush_of_another_session_announces_nothing(
        self, layer: Reached, user: Any, name: str
    ) -> None:
        request = logged_in_request(user)
        session: Any = request.session
        user_logged_out.send(User, request=request, user=user)
        session.cycle_key()
        flush = getattr(session, name)
        async_to_sync(flush)() if name == "aflush" else flush()
        assert session.session_key is None
        assert layer.sent == []

    def test_a_session_in_the_cookie_disconnects_all_sockets(
        self, layer: Reached, user: Any
    ) -> None:
        with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"):
            logout(logged_in_request(user))
        assert layer.sent == disconnect_all(user)

    @pytest.mark.parametrize("request_", [None, SimpleNamespace(session={})])
    def test_without_a_session_all_sockets_are_disconnected(
        self, layer: Reached, user: Any, request_: Any
    ) -> None:
        user_logged_out.send(User, request=request_, user=user)
        assert layer.sent == disconnect_all(user)

    def test_a_logout_of_an_anonymous_user_announces_nothing(
        self, layer: Reached, user: Any
    ) -> None:
        request = logged_in_request(user)
        request.user = AnonymousUser()
        logout(request)
        user_logged_out.send(AnonymousUser, request=request, user=AnonymousUser())
        assert layer.sent == []

    def test_a_layer_that_fails_breaks_no_logout(
        self, layer: Reached, user: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        layer.faults["group_send"] = OSError("no server")
        request = logged_in_request(user)
        logout(request)
        assert request.user == AnonymousUser()
        assert len(caplog.records) == 1

    async def test_in_the_thread_of_a_loop_it_does_not_wait(self, layer: Reached) -> None:
        with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.cache"):
            request = HttpRequest()
            request.session = http_session()
            request.user = User(pk=3)
            logout(request)
            assert layer.sent == []
            await layer.until(lambda: bool(layer.sent))
            assert layer.sent == revalidate(User(pk=3))
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)


class TestLogin:
    """A login in a browser that somebody is logged in with already."""

    def log_in(self, user: Any, key: str | None) -> None:
        request = HttpRequest()
        request.session = http_session(key)
        if key is not None:
            request.COOKIES = {settings.SESSION_COOKIE_NAME: key}
        login(request, user, MODEL_BACKEND)

    def test_the_sockets_of_the_previous_session_revalidate(
        self, layer: Reached, user: Any
    ) -> None:
        ben = User.objects.create_user("ben")
        key = logged_in_request(user).session.session_key
        assert key is not None
        with transaction.atomic():
            self.log_in(ben, key)
            assert layer.sent == []
        group = session_group(session_digest(key))
        assert layer.sent == [(group, revalidate_message(group))]

    def test_they_revalidate_after_its_deletion(self, layer: Reached, user: Any) -> None:
        engine = "django.contrib.sessions.backends.cache"
        with override_settings(SESSION_ENGINE=engine):
            key = logged_in_request(user).session.session_key
            layer.look = lambda: http_session(key).exists(key)
            assert layer.look()
            self.log_in(User.objects.create_user("ben"), key)
        assert layer.seen == [False]
        cache.clear()

    def test_without_a_previous_session_nothing_is_announced(
        self, layer: Reached, user: Any
    ) -> None:
        self.log_in(user, None)
        self.log_in(user, "")
        assert layer.sent == []

    def test_a_session_that_stays_announces_nothing(self, layer: Reached, user: Any) -> None:
        self.log_in(user, logged_in_request(user).session.session_key)
        assert layer.sent == []

    def test_a_previous_session_in_the_cookie_announces_nothing(
        self, layer: Reached, user: Any
    ) -> None:
        with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"):
            self.log_in(user, logged_in_request(user).session.session_key)
        assert layer.sent == []

    def test_signals_of_programs_cause_no_error(self, layer: Reached, user: Any) -> None:
        cookies = {settings.SESSION_COOKIE_NAME: "k"}
        for request in (
            None,
            HttpRequest(),
            SimpleNamespace(COOKIES=cookies),
            SimpleNamespace(COOKIES=cookies, session={}),
        ):
            user_logged_in.send(User, request=request, user=user)
        assert layer.sent == []


class TestUser:
    def test_a_new_password_is_announced(self, layer: Reached, user: Any) -> None:
        user.set_password("new")
        assert layer.sent == []
        user.save()
        assert layer.sent == disconnect_other_passwords(user)
        user.save()
        assert len(layer.sent) == 1

    def test_it_works_in_asynchronous_code(self, layer: Reached, user: Any) -> None:
        async def change() -> None:
            found = await User.objects.aget()
            found.set_password("new")
            await found.asave()

        async_to_sync(change)()
        assert layer.sent == disconnect_other_passwords(User.objects.get())

    def test_deactivation_is_announced_and_activation_is_not(
        self, layer: Reached, user: Any
    ) -> None:
        user.is_active = False
        user.save()
        assert layer.sent == disconnect_all(user)
        user.is_active = True
        user.save()
        assert len(layer.sent) == 1

    def test_deletion_is_announced(self, layer: Reached, user: Any) -> None:
        expected = disconnect_all(user)
        user.delete()
        assert layer.sent == expected

    def test_deletion_of_several_is_announced(self, layer: Reached, user: Any) -> None:
        other = User.objects.create_user("ben")
        expected = [*disconnect_all(user), *disconnect_all(other)]
        User.objects.order_by("pk").delete()
        assert sorted(layer.sent, key=str) == sorted(expected, key=str)

    def test_other_changes_are_not_announced(self, layer: Reached, user: Any) -> None:
        user.email = "anna@example.com"
        user.save()
        user.set_password("new")
        user.save(update_fields=["email"])
        user.user_permissions.add(Permission.objects.all()[0])
        User.objects.create_user("ben", password="b", is_active=False)
        assert layer.sent == []
        user.save(update_fields=["password"])
        assert layer.sent == disconnect_other_passwords(user)

    def test_a_change_that_is_not_announced_needs_no_secret(
        self, layer: Reached, user: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        with override_settings(SECRET_KEY=""):
            user.email = "anna@example.com"
            user.save()
        assert User.objects.get().email == "anna@example.com"
        assert caplog.records == []

    @pytest.mark.parametrize(
        ("field", "value", "stored"),
        [("pk", None, 0), ("is_active", False, 1), ("password", "!new", 1)],
    )
    def test_an_announcement_without_a_secret_breaks_no_change(
        self,
        layer: Reached,
        user: Any,
        caplog: pytest.LogCaptureFixture,
        field: str,
        value: Any,
        stored: int,
    ) -> None:
        with override_settings(SECRET_KEY=""), transaction.atomic():
            if field == "pk":
                user.delete()
            else:
                setattr(user, field, value)
                user.save()
        assert User.objects.filter(**{field: value}).count() == stored
        [record] = caplog.records
        assert "could not be announced" in record.getMessage()
        assert layer.sent == []

    def test_a_fixture_is_not_announced(self, layer: Reached, user: Any) -> None:
        user.set_password("new")
        user.save_base(raw=True)
        assert layer.sent == []

    def test_it_waits_for_the_commit(self, layer: Reached, user: Any) -> None:
        with transaction.atomic():
            user.set_password("new")
            user.save()
            assert layer.sent == []
        assert layer.sent == disconnect_other_passwords(user)

    def test_a_change_is_announced_when_repeated_after_a_rollback(
        self, layer: Reached, user: Any
    ) -> None:
        with transaction.atomic():
            user.set_password("new")
            user.save()
            transaction.set_rollback(True)
        assert layer.sent == []
        user.save()
        assert layer.sent == disconnect_other_passwords(user)
        user.save()
        assert len(layer.sent) == 1

    def test_it_costs_no_query(self, layer: Reached, user: Any) -> None:
        with CaptureQueriesContext(connection) as queries:
            found = User.objects.only("username").get()
            found.username = "ben"
            found.save()
        assert len(queries) == 2
        assert layer.sent == []

    def test_a_new_password_in_a_deferred_field_is_announced(
        self, layer: Reached, user: Any
    ) -> None:
        found = User.objects.defer("password", "is_active").get()
        found.set_password("new")
        found.save()
        assert layer.sent == disconnect_other_passwords(found)

    def test_a_copy_knows_the_stored_values_of_its_original(
        self, layer: Reached, user: Any
    ) -> None:
        other = copy.copy(user)
        other.set_password("new")
        other.save()
        assert layer.sent == disconnect_other_passwords(other)
        copy.copy(other).save()
        assert len(layer.sent) == 1

    def test_a_better_hash_of_the_same_password_ends_sessions_too(
        self, layer: Reached, user: Any
    ) -> None:
        # Django's sessions hold a hash of the hash, so all of them become invalid.
        with override_settings(
            PASSWORD_HASHERS=[
                "django.contrib.auth.hashers.PBKDF2PasswordHasher",
                "django.contrib.auth.hashers.MD5PasswordHasher",
            ]
        ):
            request = logged_in_request(user)
            assert user.check_password("old")
            assert not async_to_sync(aget_user)(request).is_authenticated
        assert layer.sent == disconnect_other_passwords(user)

    def test_a_stale_instance_makes_sockets_revalidate(self, layer: Reached, user: Any) -> None:
        user.is_active = False
        user.save()
        User.objects.update(is_active=True)
        user.refresh_from_db()
        layer.sent.clear()
        user.is_active = False
        user.save()
        assert layer.sent == revalidate(user)

    def test_a_refreshed_instance_announces_a_harmless_message(
        self, layer: Reached, user: Any
    ) -> None:
        found = User.objects.get()
        user.set_password("new")
        user.save()
        layer.sent.clear()
        found.refresh_from_db()
        for _ in range(2):
            found.save()
        # Sockets that the new password has let in stay.
        assert layer.sent == disconnect_other_passwords(user)

    def test_an_instance_that_loads_a_deferred_field_does_as_well(
        self, layer: Reached, user: Any
    ) -> None:
        found = User.objects.only("username").get()
        assert found.password
        found.save()
        assert layer.sent == disconnect_other_passwords(user)

    def test_a_change_and_its_reversal_in_one_transaction_are_announced(
        self, layer: Reached, user: Any
    ) -> None:
        with transaction.atomic():
            user.is_active = False
            user.save()
            user.is_active = True
            user.save()
        assert layer.sent == disconnect_all(user)
        user.is_active = False
        user.save()
        assert layer.sent == disconnect_all(user) * 2

    def test_a_partial_rollback_is_noticed(self, layer: Reached, user: Any) -> None:
        with transaction.atomic():
            with transaction.atomic():
                user.is_active = False
                user.save()
                transaction.set_rollback(True)
            user.is_active = True
            user.save()
        assert layer.sent == []
        user.is_active = False
        user.save()
        assert layer.sent == disconnect_all(user)

    def test_an_instance_that_was_built_announces_its_values(
        self, layer: Reached, user: Any
    ) -> None:
        built = User(pk=user.pk, username="anna", password="md5$x$new")
        built.save()
        assert layer.sent == disconnect_other_passwords(built)
        built.save()
        assert len(layer.sent) == 1
        layer.sent.clear()
        User(pk=user.pk, username="anna", is_active=False).save()
        assert layer.sent == disconnect_all(user)

    def test_an_inactive_user_makes_sockets_revalidate(self, layer: Reached, user: Any) -> None:
        user.is_active = False
        user.save()
        layer.sent.clear()
        user.save(update_fields=["email"])
        assert layer.sent == []
        user.set_password("new")
        user.save()
        assert layer.sent == revalidate(user) + disconnect_other_passwords(user)

    def test_no_instance_keeps_an_old_password_hash(self, user: Any) -> None:
        secret, user.password = user.password, "gone"
        assert secret not in repr(vars(user))

    def test_an_invalid_password_is_left_to_the_field(self, layer: Reached, user: Any) -> None:
        odd = User(username="ben", password=["no", "str"])
        odd.save()
        assert layer.sent == []

    def test_a_proxy_announces_like_its_model(self, layer: Reached, user: Any) -> None:
        found = Staff.objects.get()
        found.set_password("new")
        found.save()
        assert layer.sent == disconnect_other_passwords(found)
        found.delete()
        assert len(layer.sent) == 2

    def test_a_layer_that_fails_breaks_no_save(
        self, layer: Reached, user: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        layer.faults["group_send"] = OSError("no server")
        user.set_password("new")
        user.save()
        assert User.objects.get().check_password("new")
        assert len(caplog.records) == 1


class TestConnecting:
    def test_connecting_twice_connects_once(self) -> None:
        set_up()
        signals = (post_save, user_logged_in, user_logged_out, request_finished)
        before = [len(each.receivers) for each in signals]
        set_up()
        assert [len(each.receivers) for each in signals] == before

    def test_other_models_have_no_receivers(self) -> None:
        set_up()
        assert not post_save.has_listeners(Permission)
        assert post_save.has_listeners(User)
        assert post_save.has_listeners(Staff)

    @override_settings(AUTH_USER_MODEL="no_such.User")
    def test_without_a_user_model_only_logouts_are_received(self) -> None:
        set_up()

    def test_it_may_be_called_before_the_models_are_loaded(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(apps, "models_ready", False)
        set_up()
