"""System checks of the order of the middleware, of origin validators, and of login tokens.

Each check imports what it needs, so that one of them can be called without the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks

__all__ = ["check_login_tokens", "check_middleware", "check_origins", "register_checks"]


def register_checks() -> None:
    """Register the checks with Django; once more does nothing."""
    from channels_auth import apps

    apps.register_checks()


def check_middleware(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check the order of session and authentication middleware in `ASGI_APPLICATION`.

    A middleware of the program or of another package around them may do their work. Nothing is
    reported then.

    Returns:
        `channels_auth.E001`, an `AuthMiddleware` outside of `SessionMiddleware`; `E002`, a
        `SessionMiddleware` outside of `CookieMiddleware`; `E003`, an `EndsWithLoginMiddleware`
        outside of the middleware that sets the user; `E004`, sessions in a table that is not
        installed; `E005`, an `AuthMiddleware` inside a `TokenAuthMiddleware`; `E006`, a guard
        outside of the middleware that sets the user.
    """
    from channels_auth._checks import application

    return application.check_middleware()


def check_origins(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check that only pages of allowed origins can open WebSockets with a session.

    Returns:
        `channels_auth.W001`, for applications without an `OriginValidator` around them.
    """
    from channels_auth._checks import application

    return application.check_origins()


def check_login_tokens(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check that something remembers which login tokens were used.

    Returns:
        `channels_auth.W002`, for a user model without `last_login` and a default cache that keeps
        nothing.
    """
    from channels_auth._checks import application

    return application.check_login_tokens()
