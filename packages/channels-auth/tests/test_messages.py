from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.test import override_settings
from django.utils.functional import SimpleLazyObject

from accounts.models import Guest, Member
from channels_auth._disconnection.messages import (
    groups_of_key,
    password_digest,
    session_digest,
    session_group,
    user_groups,
)
from channels_core.layers import BaseChannelLayer
from group_messages import disconnect_message, revalidate_message, user_group
from proxies import Staff

User: Any = get_user_model()
ID = "9b2b6b0c-7c1b-4b6e-9d3b-0a8f1f4d2c11"


class TestGroups:
    def test_each_user_has_one(self) -> None:
        assert user_group(User(pk=3)) == user_group(User(pk=3, username="anna"))
        assert user_group(User(pk=3)) != user_group(User(pk=4))

    def test_the_model_counts(self) -> None:
        assert user_group(User(pk=3)) != user_group(Guest(pk=3))

    def test_any_primary_key_gives_a_valid_name(self) -> None:
        layer = BaseChannelLayer()
        for user in (Member(pk="a b/ä!" * 50), Member(pk=ID), User(pk=2**63), User(pk="\ud800")):
            assert layer.require_valid_group_name(user_group(user))

    def test_the_name_reveals_nothing(self) -> None:
        assert "3" * 8 not in user_group(User(pk=33333333))

    def test_nobody_else_can_compute_it(self) -> None:
        here = user_group(User(pk=3))
        with override_settings(SECRET_KEY="another"):
            assert user_group(User(pk=3)) != here

    def test_while_the_secret_is_replaced_all_processes_have_one_in_common(self) -> None:
        before = user_groups(User(pk=3))
        with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
            during = user_groups(User(pk=3))
        with override_settings(SECRET_KEY="new"):
            after = user_groups(User(pk=3))
        assert during == after + before

    def test_a_lazy_object_is_its_user(self) -> None:
        assert user_group(SimpleLazyObject(lambda: User(pk=3))) == user_group(User(pk=3))

    def test_a_proxy_is_its_model(self) -> None:
        assert user_group(Staff(pk=3)) == user_group(User(pk=3))

    def test_a_user_without_a_model_is_one_of_the_user_model(self) -> None:
        user = SimpleNamespace(pk="3", is_authenticated=True)
        assert user_group(user) == user_group(User(pk=3))

    @pytest.mark.parametrize("user", [User(), AnonymousUser()])
    def test_an_anonymous_user_has_no_group(self, user: Any) -> None:
        with pytest.raises(ValueError, match="Expected a user that is saved in the database, got"):
            user_group(user)


class TestGroupsByKey:
    @pytest.mark.parametrize("key", [3, "3"])
    def test_it_is_the_one_of_the_user(self, key: Any) -> None:
        assert groups_of_key(key) == user_groups(User(pk=3))

    @override_settings(AUTH_USER_MODEL="accounts.Member")
    def test_the_field_of_the_model_reads_it(self) -> None:
        assert groups_of_key(ID) == groups_of_key(ID.replace("-", "")) == user_groups(Member(pk=ID))

    @pytest.mark.parametrize("key", [None, "anna", object()])
    def test_an_invalid_key_is_refused(self, key: Any) -> None:
        with pytest.raises(ValueError, match=r"a primary key of auth\.User, got "):
            groups_of_key(key)


def test_a_message_holds_no_session_key() -> None:
    message = disconnect_message("auth.user.a", 4401, "secret")
    assert "secret" not in str(message)
    assert message["session"] == session_digest("secret")
    assert disconnect_message("auth.user.a", 4401)["session"] is None


def test_a_revalidate_message() -> None:
    assert revalidate_message("g")["type"] != disconnect_message("g", 4401)["type"]


def test_a_session_has_a_group_too() -> None:
    name = session_group(session_digest("secret"))
    assert BaseChannelLayer().require_valid_group_name(name)
    assert "secret" not in name


class TestPasswords:
    def test_each_has_a_digest_that_reveals_nothing(self) -> None:
        digest = password_digest(User(password="md5$salt$hash"))
        assert digest == password_digest(User(pk=4, password="md5$salt$hash"))
        assert digest != password_digest(User(password="md5$salt$other"))
        assert digest is not None
        assert "hash" not in digest
        with override_settings(SECRET_KEY="another"):
            assert digest != password_digest(User(password="md5$salt$hash"))

    def test_a_lazy_object_has_its_users(self) -> None:
        user = User(password="md5$salt$hash")
        assert password_digest(SimpleLazyObject(lambda: user)) == password_digest(user)

    def test_a_deferred_password_is_not_loaded(self) -> None:
        deferred = User.from_db("default", ["id"], [1])
        for user in (deferred, User(password=None), SimpleNamespace(password="plain")):
            assert password_digest(user) is None
