"""The app, which listens to the framework's signals."""

from django.apps import AppConfig


class ParlourConfig(AppConfig):
    name = "parlour"

    def ready(self):
        from . import receivers  # noqa: F401 - it connects them
