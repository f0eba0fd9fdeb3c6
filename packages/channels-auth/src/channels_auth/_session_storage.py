"""Decide where a session's data is stored."""

from django.contrib.sessions.backends.base import SessionBase

__all__ = ["keeps_data_in_cookie"]


def keeps_data_in_cookie(session: SessionBase) -> bool:
    """Return whether a session is stored in the browser, where only a response can change it."""
    from django.contrib.sessions.backends import signed_cookies

    return isinstance(session, signed_cookies.SessionStore)
