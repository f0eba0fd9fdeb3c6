"""The form for logging in over a WebSocket."""

from django.contrib.auth.forms import AuthenticationForm, UsernameField

from chat.forms import TextField, require_unicode

__all__ = ["SocketLoginForm"]


class NameField(TextField, UsernameField):
    """A user name, normalised as on the sign-up page: Unicode spells some letters in two ways."""


class SocketLoginForm(AuthenticationForm):
    """Check a name and a password as the log-in page does, from JSON instead of a form."""

    username = NameField(max_length=150, validators=[require_unicode])
    password = TextField(max_length=4096, strip=False, validators=[require_unicode])
