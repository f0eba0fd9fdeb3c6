from channels.apps import ChannelsConfig
from django.apps import apps


def test_the_name_of_the_package_is_enough_in_installed_apps() -> None:
    config = apps.get_app_config("channels")
    assert type(config) is ChannelsConfig
    assert config.name == "channels"
    assert config.verbose_name == "Channels"


def test_it_has_no_models() -> None:
    assert list(apps.get_app_config("channels").get_models()) == []
