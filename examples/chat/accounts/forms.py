"""The forms for signing up and logging in, with a limit on attempts."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm, UserCreationForm, UsernameField
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts.attempts import attempt
from chat.forms import TextField, require_unicode

__all__ = ["GuestForm", "LoginForm", "SignUpForm", "SocketLoginForm"]


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
                    member: User = self.save(commit=False)
                    # While you try the site, its first member may use the desk.
                    member.is_staff = settings.DEBUG and not User.objects.exists()
                    member.save()
                    return member
            except ValidationError as error:
                self.add_error(None, error)
        return None


class GuestForm(forms.Form):
    """Create an account without a password, which lasts as long as its login."""

    name = forms.CharField(label="Your name", max_length=30, validators=[require_unicode])

    def create(self, address: str) -> User | None:
        """Return the new account, or None if the form has errors."""
        if self.is_valid():
            try:
                with attempt(address):
                    return self.free_account()
            except ValidationError as error:
                self.add_error(None, error)
        return None

    def free_account(self) -> User:
        """Create the account. Nobody can sign up with such a name, because it has brackets."""
        number = 1
        while True:
            name = f"{self.cleaned_data['name']} (guest{f' {number}' if number > 1 else ''})"
            member, is_new = User.objects.get_or_create(
                username=User.normalize_username(name), defaults={"password": make_password(None)}
            )
            if is_new:
                return member
            number += 1
