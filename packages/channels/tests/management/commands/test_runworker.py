import logging
from typing import Any

import channels.management.commands.runworker
import pytest
from channels.layers import InMemoryChannelLayer
from django.core.management import call_command, get_commands, load_command_class

import channels_core.management.commands.runworker
from channels_core.worker import Worker


def test_it_is_the_module_of_channels_core() -> None:
    assert channels.management.commands.runworker is channels_core.management.commands.runworker


def test_the_application_brings_the_command() -> None:
    assert get_commands()["runworker"] == "channels"
    command: Any = load_command_class("channels", "runworker")
    assert type(command) is channels_core.management.commands.runworker.Command
    assert command.worker_class is Worker


def test_it_says_where_it_listens(
    settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Stopped(Worker):
        def run(self) -> None:
            assert isinstance(self.channel_layer, InMemoryChannelLayer)

    settings.ASGI_APPLICATION = "client.Client"
    settings.CHANNEL_LAYERS = {"jobs": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    caplog.set_level(logging.INFO, "django.channels.worker")
    command: Any = load_command_class("channels", "runworker")
    monkeypatch.setattr(type(command), "worker_class", Stopped)
    call_command(command, "thumbnails", "--layer=jobs")
    assert [record.getMessage() for record in caplog.records] == [
        "Worker listens on thumbnails (layer 'jobs', concurrency 10)",
        "Worker stopped listening on thumbnails (layer 'jobs', concurrency 10)",
    ]
