"""Logins over HTTP: sessions in the store, as Django's own login leaves them."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

__all__ = ["MODEL_BACKEND", "http_session", "logged_in_request", "session_cookies"]

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def http_session(key: str | None = None) -> Any:
    """Return the session that an HTTP request with this key has."""
    return import_module(settings.SESSION_ENGINE).SessionStore(key)


def logged_in_request(
    user: Any = None, backend: str | None = MODEL_BACKEND, **data: Any
) -> HttpRequest:
    """Return a request whose session is stored, with a login unless there is no user."""
    request = HttpRequest()
    request.session = http_session()
    request.user = AnonymousUser()
    if user is not None:
        login(request, user, backend)
    request.session.update(data)
    request.session.save()
    assert request.session.session_key is not None

    async def auser() -> Any:
        return request.user

    request.auser = auser
    return request


def session_cookies(request: HttpRequest) -> dict[str, str]:
    """Return the cookies of a browser that has sent a request."""
    key = request.session.session_key
    assert key is not None
    return {settings.SESSION_COOKIE_NAME: key}
