import sys
from importlib.util import find_spec
from typing import Any

import pytest
from django.core import checks
from django.core.checks.registry import registry
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

import channels_http.checks
from channels_http.checks import check_runserver

STATIC = "django.contrib.staticfiles"


@pytest.fixture(autouse=True)
def daphne(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it installed, whether it is or not."""
    monkeypatch.setattr(channels_http.checks, "find_spec", lambda name: name)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what other applications register from other tests."""
    monkeypatch.setattr(registry, "registered_checks", set(registry.registered_checks))


def found(*installed: str) -> list[checks.CheckMessage]:
    with override_settings(INSTALLED_APPS=installed):
        return check_runserver()


@pytest.mark.parametrize(
    "installed",
    [
        [],
        [STATIC],
        ["channels_http"],
        ["channels_http", STATIC],
        ["django.contrib.sessions", "channels_http", "django.contrib.messages", STATIC],
        ["channels_http.apps.ChannelsHttpConfig", f"{STATIC}.apps.StaticFilesConfig"],
    ],
)
def test_it_says_nothing_where_ours_is_used_or_none(installed: list[str]) -> None:
    assert found(*installed) == []


@pytest.mark.parametrize(
    "installed",
    [
        [STATIC, "channels_http"],
        ["django.contrib.sessions", STATIC, "django.contrib.messages", "channels_http"],
        [f"{STATIC}.apps.StaticFilesConfig", "channels_http.apps.ChannelsHttpConfig"],
    ],
)
def test_it_tells_what_to_move(installed: list[str]) -> None:
    [message] = found(*installed)
    assert message.id == "channels_http.E001"
    assert message.level == checks.ERROR
    assert "'channels_http' comes after 'django.contrib.staticfiles'" in message.msg
    assert str(message.hint).startswith(
        "Move 'channels_http' up, before 'django.contrib.staticfiles'. "
    )
    assert "Documentation: page 'The development server'" in str(message.hint)


@pytest.mark.daphne
@pytest.mark.parametrize(
    "installed",
    [
        ["daphne", "channels_http", STATIC],
        ["channels_http", "daphne", STATIC],
        # As sites have it that chose Daphne's.
        ["daphne", STATIC, "channels_http"],
    ],
)
def test_daphne_beside_it_does_no_harm(installed: list[str]) -> None:
    with override_settings(INSTALLED_APPS=installed):
        assert checks.run_checks() == []


def test_nobody_is_told_of_a_server_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels_http.checks, "find_spec", find_spec)
    monkeypatch.setitem(sys.modules, "daphne", None)
    assert found(STATIC, "channels_http") == []


def test_django_runs_it(capsys: Any) -> None:
    call_command("check", tags=["channels"])
    assert "no issues" in capsys.readouterr().out
    with (
        override_settings(INSTALLED_APPS=[STATIC, "channels_http"]),
        pytest.raises(SystemCheckError, match="channels_http"),
    ):
        call_command("check", tags=["channels"])
