from channels.apps import ChannelsConfig
from django.apps import apps
from django.contrib.auth.signals import user_logged_out
from django.core.checks.registry import registry


def test_the_name_of_the_package_is_enough_in_installed_apps() -> None:
    config = apps.get_app_config("channels")
    assert type(config) is ChannelsConfig
    assert config.name == "channels"
    assert config.verbose_name == "Channels"


def test_it_has_no_models() -> None:
    assert list(apps.get_app_config("channels").get_models()) == []


def test_it_sets_up_all_packages() -> None:
    assert not apps.is_installed("channels_auth")
    assert not apps.is_installed("channels_core")
    modules = {check.__module__ for check in registry.get_checks()}
    assert modules >= {
        "channels_core.apps",
        "channels_auth.apps",
        "channels_http.checks",
    }
    assert user_logged_out.has_listeners()


def test_packages_that_are_listed_too_are_set_up_once() -> None:
    before = len(registry.get_checks(include_deployment_checks=True))
    listeners = len(user_logged_out.receivers)
    apps.get_app_config("channels").ready()
    assert len(registry.get_checks(include_deployment_checks=True)) == before
    assert len(user_logged_out.receivers) == listeners
