from typing import Any

from django.apps import apps
from django.core.checks.registry import registry
from django.core.management import find_commands, get_commands

from channels_core.apps import ChannelsCoreConfig, set_up


def test_the_name_of_the_package_is_enough_in_installed_apps() -> None:
    config = apps.get_app_config("channels_core")
    assert type(config) is ChannelsCoreConfig
    assert config.name == "channels_core"
    assert config.verbose_name == "Channels: consumers, routing and layers"
    assert list(config.get_models()) == []


def test_it_brings_its_command() -> None:
    assert find_commands(f"{apps.get_app_config('channels_core').path}/management") == ["runworker"]
    assert get_commands()["runworker"] == "channels_core"


def test_its_checks_are_registered_once() -> None:
    before: list[Any] = registry.get_checks()
    assert "channels_core.apps" in {check.__module__ for check in before}
    set_up()
    assert len(registry.get_checks()) == len(before)
