"""Read and set what this package keeps in a connection's scope."""

from typing import TYPE_CHECKING, Any, Final

from django.utils.functional import LazyObject, empty

from channels_core.typing import Scope

__all__ = ["add_cookies", "cookie_can_change", "is_unresolved", "session_of", "set_user", "user_of"]

if TYPE_CHECKING:
    from http.cookies import SimpleCookie

# Set by SessionMiddleware and by EndsWithLoginMiddleware.
_SESSION_WRAPPER: Final = "channels_auth.session"
_WATCH: Final = "channels_auth.disconnection"


def session_of(scope: Scope, cannot_find: str = "Cannot find") -> Any:
    """Return the session in a scope.

    Args:
        scope: A connection's scope.
        cannot_find: How the error begins.

    Raises:
        ValueError: There is none.
    """
    if "session" not in scope:
        raise ValueError(
            f"{cannot_find} session in scope. You should wrap your consumer in SessionMiddleware."
        )
    return scope["session"]


def cookie_can_change(scope: Scope) -> bool:
    """Tell whether the new key of a session would still reach the client.

    A session that did not come from our middleware is its program's own affair.
    """
    wrapper = scope.get(_SESSION_WRAPPER)
    return wrapper is None or wrapper.can_set_cookie


def add_cookies(scope: Scope, cookies: "SimpleCookie") -> None:
    """Have cookies set with the answer to the client, if they can still reach it."""
    if cookies and _SESSION_WRAPPER in scope and cookie_can_change(scope):
        scope[_SESSION_WRAPPER].cookies.update(cookies)


def is_unresolved(user: Any) -> bool:
    """Tell whether an object stands for a user that nobody has looked up yet."""
    # By its type: to ask such an object for its class is to ask for the user.
    return issubclass(type(user), LazyObject) and user._wrapped is empty


def user_of(scope: Scope) -> Any:
    """Return the user in a scope, or None if there is none yet."""
    user = scope.get("user")
    return None if is_unresolved(user) else user


async def set_user(scope: Scope, user: Any) -> None:
    """Put a user into a scope, and tell who watches over the login."""
    scope["user"] = user
    watch = scope.get(_WATCH)
    if watch is not None:
        await watch.user_changed(scope)
