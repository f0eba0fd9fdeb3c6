"""What to do about a key of the scope that is not there, said in the error that looks for it."""

from typing import Any, Final

from channels_core.documentation import see
from channels_core.typing import Scope

__all__ = ["explain_missing_key"]

_REMEDIES: Final = {
    "user": "AuthMiddlewareStack",
    "session": "SessionMiddlewareStack or AuthMiddlewareStack",
    "cookies": "CookieMiddleware, SessionMiddlewareStack or AuthMiddlewareStack",
}

_WHERE: Final = see("Sockets that end with the login", "The order of the middleware")


def explain_missing_key(error: BaseException, scope: Scope) -> None:
    """Add a note to a `KeyError` for what one of our middleware would have put into the scope."""
    key: Any = error.args[0] if isinstance(error, KeyError) and len(error.args) == 1 else None
    if isinstance(key, str) and key in _REMEDIES and key not in scope:
        error.add_note(
            f"The scope has no {key!r}. If that is what was looked for, wrap the application in "
            f"{_REMEDIES[key]}. {_WHERE}"
        )
