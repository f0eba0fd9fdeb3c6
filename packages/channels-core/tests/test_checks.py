import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core import checks
from django.core.checks.registry import registry
from django.test import override_settings
from django.urls import path

from channels_core._checks import application, frames, json_codec, layers
from channels_core.checks import (
    check_application,
    check_origins,
    register_checks,
)
from channels_core.documentation import see
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.middleware import BaseMiddleware
from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels_core.security.websocket import AllowedHostsOriginValidator


class Chat(AsyncWebsocketConsumer):
    groups = ["chat"]


class Jobs(AsyncWebsocketConsumer):
    groups = ["jobs"]


def ids(messages: list[checks.CheckMessage]) -> list[str | None]:
    for message in messages:
        assert "Documentation: page " in str(message.hint)
    return [message.id for message in messages]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that sets the application of the settings."""
    module = ModuleType("a_site")
    monkeypatch.setitem(sys.modules, "a_site", module)

    def serve(application: Any) -> None:
        module.application = application  # type: ignore[attr-defined] # a program's module has it

    with override_settings(ASGI_APPLICATION="a_site.application", CHANNEL_LAYERS={}):
        yield serve


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that writes the module of the settings, and runs the check."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str) -> checks.CheckMessage:
        (tmp_path / f"{name}.py").write_text(text)
        with override_settings(ASGI_APPLICATION=f"{name}.application"):
            [message] = check_application()
        assert see("System checks", "The application") in str(message.hint)
        return message

    return write


@pytest.mark.parametrize("name", [None, ""])
def test_it_warns_where_there_is_none(name: str | None) -> None:
    with override_settings(ASGI_APPLICATION=name):
        [message] = check_application()
    assert ids([message]) == ["channels_core.W001"]
    assert message.level == checks.WARNING
    assert "'mysite.asgi.application'" in str(message.hint)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("application", "'application' cannot be used: Cannot find ASGI_APPLICATION setting: "),
        ("a_site.app", "Cannot find 'app' in ASGI_APPLICATION module 'a_site'."),
        (
            "nowhere.asgi.application",
            "Cannot import ASGI_APPLICATION module 'nowhere.asgi': No module named 'nowhere'.",
        ),
        ("a_site.application", "TypeError: Expected an ASGI application (a callable, or a"),
        (7, "7 cannot be used: Cannot find ASGI_APPLICATION setting: "),
    ],
)
def test_it_tells_of_a_setting_that_leads_nowhere(served: Any, name: Any, told: str) -> None:
    served("no application")
    with override_settings(ASGI_APPLICATION=name):
        [message] = check_application()
    assert ids([message]) == ["channels_core.E003"]
    assert message.level == checks.ERROR
    assert told in message.msg
    assert "line" not in message.msg


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "import os\nimport no_such_consumers",
            "No module named 'no_such_consumers' (%s, line 2).",
        ),
        ("missing", "NameError: name 'missing' is not defined (%s, line 1)."),
        ("a = 1\n\nb = = 2", "SyntaxError: invalid syntax (%s, line 3)."),
        ("import sys\nsys.exit('no key')", "SystemExit: no key (%s, line 2)."),
    ],
)
def test_it_tells_of_a_module_that_fails(
    written: Any, text: str, told: str, tmp_path: Path
) -> None:
    name = f"module_of_{tmp_path.name}"
    message = written(name, text)
    assert message.id == "channels_core.E003"
    assert message.msg.startswith(f"ASGI_APPLICATION '{name}.application' cannot be used: ")
    assert message.msg.endswith(told % (tmp_path / f"{name}.py"))


@pytest.mark.django_db
def test_a_module_that_needs_a_table_does_not_keep_it_from_being_made(written: Any) -> None:
    text = "from django.db import connection\nconnection.cursor().execute('SELECT * FROM absent')"
    message = written("asks_a_database", text)
    assert message.id == "channels_core.W002"
    assert message.level == checks.WARNING
    assert "OperationalError: no such table: absent" in message.msg
    assert "run migrate" in str(message.hint)


def test_it_looks_at_each_consumer_once(served: Any) -> None:
    served(
        ProtocolTypeRouter(
            {
                "websocket": BaseMiddleware(
                    URLRouter([path("a/", Chat.as_asgi()), path("b/", Chat.as_asgi())])
                ),
                "channel": ChannelNameRouter({"jobs": Jobs}),
            }
        )
    )
    messages = check_application()
    assert ids(messages) == ["channels_core.E004", "channels_core.E004"]
    assert sorted(message.msg.partition(" ")[0] for message in messages) == [
        f"{__name__}.Chat",
        f"{__name__}.Jobs",
    ]
    with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": "fakes.LocalLayer"}}):
        assert check_application() == []


def test_open_doors_are_told_once_and_only_for_a_deployment(served: Any, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    doors = [AllowedHostsOriginValidator(Chat.as_asgi()) for _ in range(2)]
    served(ProtocolTypeRouter({"websocket": URLRouter([path("a/", each) for each in doors])}))
    assert ids(check_origins()) == ["channels_core.W010"]
    assert "channels_core.W010" not in ids(check_application())
    settings.ALLOWED_HOSTS = ["example.com"]
    assert check_origins() == []


def test_an_application_that_cannot_be_imported_is_told_by_another_check() -> None:
    with override_settings(ASGI_APPLICATION="nowhere.application"):
        assert check_origins() == []


def test_they_are_registered_once() -> None:
    register_checks()
    before = len(registry.registered_checks), len(registry.deployment_checks)
    register_checks()
    assert (len(registry.registered_checks), len(registry.deployment_checks)) == before
    found: Any = [*registry.registered_checks, *registry.deployment_checks]
    ours = [check for check in found if check.__module__.startswith("channels_core.")]
    assert sorted(check.tags for check in ours) == [("channels",), ("channels", "security")]


def test_all_of_them_are_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    def recorded(name: str) -> Callable[[], list[Any]]:
        def check() -> list[Any]:
            called.append(name)
            return []

        return check

    for module in (application, frames, json_codec, layers):
        for name in vars(module):
            if name.startswith("check_"):
                monkeypatch.setattr(module, name, recorded(name))
    checks.run_checks(tags=["channels"])
    assert sorted(called) == [
        "check_application",
        "check_frame_setting",
        "check_json_codec",
        "check_layers",
    ]
    called.clear()
    checks.run_checks(tags=["security"], include_deployment_checks=True)
    assert sorted(called) == ["check_frame_limits", "check_origins"]


def test_django_runs_those_for_deployments(served: Any) -> None:
    served(Chat)
    found = checks.run_checks(tags=["security"], include_deployment_checks=True)
    assert "channels_core.W011" in [message.id for message in found]


def test_django_runs_them(served: Any) -> None:
    served(Chat)
    with override_settings(CHANNEL_LAYERS={"other": {}}):
        found = ids(checks.run_checks(tags=["channels"]))
    assert sorted(map(str, found)) == ["channels_core.E001", "channels_core.E004"]


def test_a_handler_of_the_wrong_colour_is_told_of(served: Any) -> None:
    class Wrong(AsyncWebsocketConsumer):
        def connect(self) -> None:  # type: ignore[override] # the mistake
            pass

    served(Wrong)
    assert ids(check_application()) == ["channels_core.W006"]
