from typing import Any

from django.apps import apps
from django.core.checks.registry import registry

from channels_http.apps import ChannelsHttpConfig, set_up
from channels_http.checks import check_runserver


def test_the_name_of_the_package_is_enough_in_installed_apps() -> None:
    config = apps.get_app_config("channels_http")
    assert type(config) is ChannelsHttpConfig
    assert config.name == "channels_http"
    assert config.verbose_name == "Channels: HTTP and the development server"
    assert list(config.get_models()) == []


def test_its_check_is_registered_once() -> None:
    always: Any = registry.registered_checks
    assert check_runserver in always
    before = len(always)
    set_up()
    assert len(always) == before
