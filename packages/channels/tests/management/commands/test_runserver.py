from io import StringIO
from typing import Any

import channels
import channels.management.commands.runserver
import pytest
from django.core.management import call_command, get_commands, load_command_class

import channels_http.management.commands.runserver


def test_it_is_the_module_of_channels_http() -> None:
    assert channels.management.commands.runserver is channels_http.management.commands.runserver


def test_the_application_brings_the_command() -> None:
    assert get_commands()["runserver"] == "channels"
    command = load_command_class("channels", "runserver")
    assert type(command) is channels_http.management.commands.runserver.Command


def test_it_says_which_channels_it_serves(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Server:
        def __init__(self, *, ready_callable: Any, **arguments: Any) -> None:
            self.run = ready_callable

    settings.ASGI_APPLICATION = "client.Client"
    command: Any = load_command_class("channels", "runserver")
    monkeypatch.setattr(command, "server_cls", Server)
    command.stdout._out = out = StringIO()
    call_command(command, "--noreload", "8123")
    line = f"Starting ASGI/Channels version {channels.__version__} development server at "
    assert f"{line}http://127.0.0.1:8123/\n" in out.getvalue()
