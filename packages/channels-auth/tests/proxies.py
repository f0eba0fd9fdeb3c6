"""A proxy of Django's user, as programs have them for their admin pages."""

from django.contrib.auth.models import User

__all__ = ["Staff"]


class Staff(User):
    """A user by another name."""

    class Meta:
        proxy = True
        # An app with migrations: those of an app without must not need one with.
        app_label = "auth"
