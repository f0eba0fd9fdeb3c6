"""Decide where a session's data is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    from django.contrib.sessions.backends.base import SessionBase

__all__ = ["class_of_marks", "derives_from_engine", "keeps_data_in_cookie", "read_setting"]


def read_setting(name: str) -> Any:
    """Return a setting that each connection reads.

    Django's proxy, which looks at each value that passes it, takes 0.6 us. It keeps what was read
    before in its own `__dict__`, until a setting changes.

    Source: `django.conf.LazySettings.__getattr__`.
    """
    try:
        return object.__getattribute__(settings, name)
    except AttributeError:
        pass
    # Not there, where an error of the settings would have that one as its context.
    return getattr(settings, name)


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


def class_of_marks(engine: type[SessionBase]) -> type[SessionBase] | None:
    """Return the class of the marks that a session of an engine has ended.

    See `channels_auth._ended_sessions`.

    Returns:
        None if no save can undo a deletion in the engine.
    """
    if derives_from_engine(engine, "cached_db"):
        # Imported here because it needs the settings, as all engines do.
        from django.contrib.sessions.backends import cache

        return cache.SessionStore  # only the cache can bring the session back
    if derives_from_engine(engine, "db") or derives_from_engine(engine, "signed_cookies"):
        return None
    from django.contrib.sessions.backends.base import SessionBase  # the engine has loaded it

    # Without `exists` an engine cannot tell which keys are taken.
    return None if engine.exists is SessionBase.exists else engine


def keeps_data_in_cookie(session: SessionBase) -> bool:
    """Return whether a session is stored in the browser, where only a response can change it."""
    # `__class__`, which a proxy has of its session.
    return derives_from_engine(session.__class__, "signed_cookies")
