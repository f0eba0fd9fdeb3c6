"""Read and set what this package keeps in a connection's scope; the owner of its scope keys.

Three keys belong to this package. They are private: programs use `session` and `user`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.utils.functional import LazyObject, empty

from channels_core.typing import Scope

__all__ = [
    "CHALLENGES",
    "LOGIN_WATCH",
    "SESSION_WRAPPER",
    "add_cookies",
    "cookie_can_change",
    "is_unresolved",
    "session_of",
    "set_user",
    "user_of",
]

if TYPE_CHECKING:
    from http.cookies import SimpleCookie

#: The `InstanceSessionWrapper` that `SessionMiddleware` made for the connection.
SESSION_WRAPPER: Final = "channels_auth.session"

#: The `LoginWatch` that `EndsWithLoginMiddleware` made for the connection.
LOGIN_WATCH: Final = "channels_auth.disconnection"

#: The challenges of a refusal with status 401, a tuple of str: see `channels_auth._challenges`.
CHALLENGES: Final = "channels_auth.challenges"


def session_of(scope: Scope, cannot_find: str = "Cannot find") -> Any:
    """Return the session in a scope.

    Args:
        scope: A connection's scope.
        cannot_find: How the error begins.

    Raises:
        ValueError: The scope has no session.
    """
    if "session" not in scope:
        raise ValueError(
            f"{cannot_find} session in scope. You should wrap your consumer in SessionMiddleware."
        )
    return scope["session"]


def cookie_can_change(scope: Scope) -> bool:
    """Return whether the client would still receive a new session key.

    The answer is True for a session that another middleware has put into the scope: that
    middleware is responsible for its cookie.
    """
    wrapper = scope.get(SESSION_WRAPPER)
    return wrapper is None or wrapper.can_set_cookie


def add_cookies(scope: Scope, cookies: SimpleCookie) -> None:
    """Set cookies with the answer to the client, if they can still reach it."""
    if cookies and SESSION_WRAPPER in scope and cookie_can_change(scope):
        scope[SESSION_WRAPPER].cookies.update(cookies)


def is_unresolved(user: Any) -> bool:
    """Return whether an object is a placeholder for a user that has not been looked up yet."""
    # `isinstance` would read `user.__class__`, which makes a lazy object look up its user.
    # Past Django's proxy as well, which takes longer to read an attribute.
    return issubclass(type(user), LazyObject) and object.__getattribute__(user, "_wrapped") is empty


def user_of(scope: Scope) -> Any:
    """Return the user in a scope, or None if there is no user yet."""
    user = scope.get("user")
    return None if is_unresolved(user) else user


async def set_user(scope: Scope, user: Any) -> None:
    """Put a user into a scope, and report the change to the connection's login watch."""
    scope["user"] = user
    watch = scope.get(LOGIN_WATCH)
    if watch is not None:
        await watch.user_changed(scope)
