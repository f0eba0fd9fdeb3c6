"""What is accepted from who wants to log in over a WebSocket."""

from django.contrib.auth.forms import AuthenticationForm, UsernameField

from chat.forms import TextField, require_unicode

__all__ = ["SocketLoginForm"]


class NameField(TextField, UsernameField):
    """A name, in the form in which the sign-up page keeps it: one letter has several spellings."""


class SocketLoginForm(AuthenticationForm):
    """Check a name and a password as the log-in page does, though they come as JSON."""

    username = NameField(max_length=150, validators=[require_unicode])
    password = TextField(max_length=4096, strip=False, validators=[require_unicode])
