"""The Django application that `INSTALLED_APPS = ["channels"]` names."""

from django.apps import AppConfig

__all__ = ["ChannelsConfig"]


class ChannelsConfig(AppConfig):
    """Set up all packages of Channels in a Django project."""

    name = "channels"
    verbose_name: str = "Channels"

    def ready(self) -> None:
        """Set up the packages, which need not be in `INSTALLED_APPS` themselves."""
        # Imported here, because models can be imported only now.
        from channels_auth import apps as auth
        from channels_core import apps as core
        from channels_http import apps as http

        core.set_up()
        auth.set_up()
        http.set_up()
