"""Set up Django for a case, the same for ours, for upstream and for Django alone."""

from typing import Any, Final

__all__ = ["MEMORY", "set_up"]

MEMORY: Final = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def set_up(**changes: Any) -> None:
    """Configure and load Django, by default without a channel layer or a database."""
    import django
    from django.conf import settings

    settings.configure(
        **{
            "ALLOWED_HOSTS": ["*"],
            "CHANNEL_LAYERS": {},
            "DATABASES": {},
            "INSTALLED_APPS": [],
            "LOGGING_CONFIG": None,
            "SECRET_KEY": "not a secret",
            "USE_TZ": True,
            **changes,
        }
    )
    django.setup()
