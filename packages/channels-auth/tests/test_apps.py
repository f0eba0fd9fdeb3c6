from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.core.checks.registry import registry
from django.db.models.signals import post_init, post_save
from django.test import override_settings

from channels_auth.apps import ChannelsAuthConfig, set_up


def test_the_name_of_the_package_is_enough_in_installed_apps() -> None:
    config = apps.get_app_config("channels_auth")
    assert type(config) is ChannelsAuthConfig
    assert config.name == "channels_auth"
    assert config.verbose_name == "Channels: sessions and logins"
    assert list(config.get_models()) == []


def test_its_checks_are_registered() -> None:
    always: Any = registry.registered_checks
    before_deploying: Any = registry.deployment_checks
    assert "_check_middleware" in _ours(always)
    assert "_check_origins" in _ours(before_deploying)


def _ours(found: Any) -> set[str]:
    return {check.__name__ for check in found if check.__module__ == "channels_auth.apps"}


def test_it_connects_the_receivers() -> None:
    assert post_save.has_listeners(get_user_model())
    assert user_logged_out.has_listeners()


def test_setting_up_twice_changes_nothing() -> None:
    signals = (post_init, post_save, user_logged_out)
    before = [len(signal.receivers) for signal in signals]
    set_up()
    assert [len(signal.receivers) for signal in signals] == before


@pytest.mark.parametrize("engine", ["no.such.module", "channels_auth.apps"])
def test_a_wrong_session_engine_is_left_to_django(engine: str) -> None:
    with override_settings(SESSION_ENGINE=engine):
        set_up()


@pytest.mark.parametrize("error", ["ImproperlyConfigured", "RuntimeError"])
def test_an_engine_that_cannot_be_imported_now_stops_no_command(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"from django.core.exceptions import ImproperlyConfigured\n\nraise {error}\n"
    (tmp_path / "failing_engine.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with override_settings(SESSION_ENGINE="failing_engine"):
        set_up()


def test_the_methods_of_an_engine_are_wrapped_once() -> None:
    from django.contrib.sessions.backends.cache import SessionStore

    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.cache"):
        set_up()
        flush = SessionStore.flush
        set_up()
    assert SessionStore.flush is flush


def test_the_engine_in_the_database_is_left_alone() -> None:
    from django.contrib.sessions.backends.base import SessionBase
    from django.contrib.sessions.backends.db import SessionStore

    set_up()
    assert SessionStore.flush is SessionBase.flush
