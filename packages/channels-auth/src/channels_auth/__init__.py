"""Cookies, sessions, login and logout on WebSockets and other ASGI connections of Django.

The names below can be imported from here. Each one is loaded from its module on first use, so that
importing the package loads nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from channels_auth.auth import (
        AuthMiddleware,
        AuthMiddlewareStack,
        LoginOnOpenConnectionError,
        LogoutOnOpenConnectionError,
        UserLazyObject,
        get_user,
        login,
        logout,
    )
    from channels_auth.cookies import (
        CookieMiddleware,
    )
    from channels_auth.disconnection import (
        EndsWithLoginMiddleware,
        disconnect_user,
    )
    from channels_auth.guards import (
        login_required,
        permission_required,
    )
    from channels_auth.login_tokens import (
        InvalidLoginToken,
        alogin_with_token,
        create_login_token,
        login_with_token,
    )
    from channels_auth.sessions import (
        SessionMiddleware,
        SessionMiddlewareStack,
    )
    from channels_auth.tokens import (
        FirstMessageToken,
        HeaderToken,
        QueryToken,
        SubprotocolToken,
        TokenAuthenticator,
        TokenAuthMiddleware,
        TokenSource,
    )

__all__ = [
    "AuthMiddleware",
    "AuthMiddlewareStack",
    "CookieMiddleware",
    "EndsWithLoginMiddleware",
    "FirstMessageToken",
    "HeaderToken",
    "InvalidLoginToken",
    "LoginOnOpenConnectionError",
    "LogoutOnOpenConnectionError",
    "QueryToken",
    "SessionMiddleware",
    "SessionMiddlewareStack",
    "SubprotocolToken",
    "TokenAuthMiddleware",
    "TokenAuthenticator",
    "TokenSource",
    "UserLazyObject",
    "__version__",
    "alogin_with_token",
    "create_login_token",
    "disconnect_user",
    "get_user",
    "login",
    "login_required",
    "login_with_token",
    "logout",
    "permission_required",
]

#: Equal to the version in pyproject.toml. A frozen or vendored program lacks the metadata.
__version__: str = "1.0.0"

#: The module of each name.
_MODULES: Final = {
    "AuthMiddleware": "auth",
    "AuthMiddlewareStack": "auth",
    "CookieMiddleware": "cookies",
    "EndsWithLoginMiddleware": "disconnection",
    "FirstMessageToken": "tokens",
    "HeaderToken": "tokens",
    "InvalidLoginToken": "login_tokens",
    "LoginOnOpenConnectionError": "auth",
    "LogoutOnOpenConnectionError": "auth",
    "QueryToken": "tokens",
    "SessionMiddleware": "sessions",
    "SessionMiddlewareStack": "sessions",
    "SubprotocolToken": "tokens",
    "TokenAuthMiddleware": "tokens",
    "TokenAuthenticator": "tokens",
    "TokenSource": "tokens",
    "UserLazyObject": "auth",
    "alogin_with_token": "login_tokens",
    "create_login_token": "login_tokens",
    "disconnect_user": "disconnection",
    "get_user": "auth",
    "login": "auth",
    "login_required": "guards",
    "login_with_token": "login_tokens",
    "logout": "auth",
    "permission_required": "guards",
}

if not TYPE_CHECKING:  # pragma: no branch - a type checker would accept any name otherwise

    def __getattr__(name: str) -> Any:
        """Load a name from its module; not kept here, so that a patch of the module counts."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

    def __dir__() -> list[str]:
        """Include the names that are not loaded yet."""
        return sorted({*globals(), *__all__})
