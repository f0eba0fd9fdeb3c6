"""Decide where a session's data is stored."""

from django.contrib.sessions.backends.base import SessionBase

__all__ = ["derives_from_engine", "keeps_data_in_cookie"]


def derives_from_engine(kind: type[SessionBase], name: str) -> bool:
    """Return whether a class of sessions is that of an engine of Django, or derives from it.

    By name, since an import would load an engine that the site does not use.

    Args:
        kind: The class.
        name: The engine's name, such as `db`.
    """
    module = f"django.contrib.sessions.backends.{name}"
    return any(
        base.__name__ == "SessionStore" and base.__module__ == module for base in kind.__mro__
    )


def keeps_data_in_cookie(session: SessionBase) -> bool:
    """Return whether a session is stored in the browser, where only a response can change it."""
    # `__class__`, which a proxy has of its session.
    return derives_from_engine(session.__class__, "signed_cookies")
