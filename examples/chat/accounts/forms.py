"""The forms for signing up and logging in, with a limit on attempts."""

from typing import Any

from django.contrib.auth.forms import AuthenticationForm, UserCreationForm, UsernameField
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts.attempts import attempt
from chat.forms import TextField, require_unicode

__all__ = ["LoginForm", "SignUpForm", "SocketLoginForm"]


class LoginForm(AuthenticationForm):
    """Check a name and a password, unless there were too many attempts."""

    def __init__(
        self, request: HttpRequest | None = None, *args: Any, address: str = "", **kwargs: Any
    ) -> None:
        super().__init__(request, *args, **kwargs)
        self.address = request.META.get("REMOTE_ADDR", "") if request else address

    def clean(self) -> dict[str, Any]:
        """Let Django check the password, as one attempt."""
        name = self.cleaned_data.get("username")
        if name is None or not self.cleaned_data.get("password"):
            return super().clean()
        with attempt(self.address, name):
            return super().clean()


class NameField(TextField, UsernameField):
    """A user name, normalised as on the sign-up page: Unicode spells some letters in two ways."""


class SocketLoginForm(LoginForm):
    """Check a name and a password as the log-in page does, from JSON instead of a form."""

    username = NameField(max_length=150, validators=[require_unicode])
    password = TextField(max_length=4096, strip=False, validators=[require_unicode])


class SignUpForm(UserCreationForm):  # type: ignore[type-arg] # it has parameters only in its stubs
    """Create an account, unless this address has made too many attempts."""

    def create(self, address: str) -> User | None:
        """Return the new account, or None if the form has errors."""
        if self.is_valid():
            try:
                # Storing a password takes as long as checking one.
                with attempt(address):
                    member: User = self.save()
                    return member
            except ValidationError as error:
                self.add_error(None, error)
        return None
