"""System checks of the order of the middleware, of origin validators, and of login tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from django.apps import apps
from django.conf import settings
from django.core import checks

from channels_auth.auth import AuthMiddleware
from channels_auth.cookies import CookieMiddleware
from channels_auth.disconnection import EndsWithLoginMiddleware
from channels_auth.guards import Guard
from channels_auth.login_tokens import forgets_used_tokens
from channels_auth.sessions import SessionMiddleware
from channels_auth.tokens import TokenAuthMiddleware
from channels_core.applications import name_that_thing
from channels_core.documentation import see
from channels_core.inspection import Place, consumer_of, walk
from channels_core.routing import get_default_application
from channels_core.security.websocket import OriginValidator

__all__ = ["check_login_tokens", "check_middleware", "check_origins"]

_IN_DATABASE: Final = frozenset(
    {"django.contrib.sessions.backends.db", "django.contrib.sessions.backends.cached_db"}
)

#: The middleware that sets the user.
_FINDERS: Final = (AuthMiddleware, TokenAuthMiddleware)

#: How many applications a message names.
_SHOWN: Final = 5

#: Packages whose wrappers are known to add nothing to the scope but what they are named for.
_OUR_PACKAGES: Final = frozenset({"channels_auth", "channels_core"})


def _places() -> list[Place]:
    try:
        application = get_default_application()
    except (Exception, SystemExit):  # noqa: BLE001 - any error of a program's module; core's check reports it
        return []
    return list(walk(application))


def check_middleware() -> list[checks.CheckMessage]:
    """Check the order of the middleware: see `channels_auth.checks`."""
    messages: dict[str, checks.CheckMessage] = {}
    for place in _places():
        for check in _CHECKS:
            for message in check(place):
                messages.setdefault(str(message.id), message)
    return [messages[key] for key in sorted(messages)]


def _check_auth(place: Place) -> Iterator[checks.CheckMessage]:
    if _lacks(place, AuthMiddleware, SessionMiddleware):
        yield checks.Error(
            "AuthMiddleware has no SessionMiddleware around it, so it finds no session.",
            hint="Wrap the application in AuthMiddlewareStack, which adds cookies, session and "
            "user in this order. "
            + see("Sockets that end with the login", "The order of the middleware"),
            id="channels_auth.E001",
        )


def _check_sessions(place: Place) -> Iterator[checks.CheckMessage]:
    if _lacks(place, SessionMiddleware, CookieMiddleware):
        yield checks.Error(
            "SessionMiddleware has no CookieMiddleware around it, so it finds no cookies.",
            hint="Wrap the application in SessionMiddlewareStack or AuthMiddlewareStack. "
            + see("Sockets that end with the login", "The order of the middleware"),
            id="channels_auth.E002",
        )


def _check_end(place: Place) -> Iterator[checks.CheckMessage]:
    if _lacks(place, EndsWithLoginMiddleware, *_FINDERS):
        yield checks.Error(
            "EndsWithLoginMiddleware has no middleware around it that sets the user.",
            hint="Put it inside: AuthMiddlewareStack(EndsWithLoginMiddleware(...)), or "
            "AuthMiddlewareStack(..., ends_with_login=True). "
            + see("Sockets that end with the login", "The order of the middleware"),
            id="channels_auth.E003",
        )


def _check_table(place: Place) -> Iterator[checks.CheckMessage]:
    if (
        isinstance(place.application, SessionMiddleware)
        and settings.SESSION_ENGINE in _IN_DATABASE
        and not apps.is_installed("django.contrib.sessions")
    ):
        yield checks.Error(
            f"SESSION_ENGINE {settings.SESSION_ENGINE!r} keeps sessions in a table that is not "
            "installed.",
            hint="Add 'django.contrib.sessions' to INSTALLED_APPS and migrate, or choose another "
            "SESSION_ENGINE. " + see("Sessions and cookies", "Sessions and cookies"),
            id="channels_auth.E004",
        )


def _check_order(place: Place) -> Iterator[checks.CheckMessage]:
    if not isinstance(place.application, AuthMiddleware) or not _is_certain(place):
        return
    # The outermost one decides. A TokenAuthMiddleware with `required` never leaves a connection
    # anonymous, so AuthMiddleware inside it is harmless.
    finders = (each for each in place.around if isinstance(each, _FINDERS))
    first = next(finders, None)
    if isinstance(first, TokenAuthMiddleware) and not first.required:
        yield checks.Error(
            "AuthMiddleware has a TokenAuthMiddleware around it, which sets an anonymous user for "
            "connections without a token. So a cookie logs nobody in.",
            hint="Put them the other way round: AuthMiddlewareStack(TokenAuthMiddleware(...)). "
            + see("Sockets that end with the login", "The order of the middleware"),
            id="channels_auth.E005",
        )


def _check_guard(place: Place) -> Iterator[checks.CheckMessage]:
    if _lacks(place, Guard, *_FINDERS):
        yield checks.Error(
            "login_required or permission_required has no middleware around it that sets the user.",
            hint="Put it inside: AuthMiddlewareStack(URLRouter([path(..., login_required(...))])). "
            + see("Who may connect", "Guards"),
            id="channels_auth.E006",
        )


_CHECKS: Final = (
    _check_auth,
    _check_sessions,
    _check_end,
    _check_table,
    _check_order,
    _check_guard,
)


def _lacks(place: Place, kind: type, *needed: type) -> bool:
    """Return whether an application is of a kind and is not inside what that kind needs."""
    # A program's subclass may have other needs.
    needs = isinstance(place.application, kind) and _is_ours(place.application)
    return needs and _is_certain(place) and not place.is_inside(*needed)


def _is_ours(application: object) -> bool:
    """Return whether an application's class is one of Channels, and not a program's subclass."""
    return type(application).__module__.partition(".")[0] in _OUR_PACKAGES


def _is_certain(place: Place) -> bool:
    """Return whether every wrapper is ours, so that no other one can have added to the scope."""
    return all(_is_ours(each) for each in place.around)


def check_origins() -> list[checks.CheckMessage]:
    """Check that WebSockets with a session have an origin validator: see `channels_auth.checks`."""
    unguarded = list(dict.fromkeys(_name(each) for each in _places() if _is_unguarded(each)))
    if not unguarded:
        return []
    names = ", ".join(unguarded[:_SHOWN])
    if len(unguarded) > _SHOWN:
        names += f" and {len(unguarded) - _SHOWN} more"
    return [
        checks.Warning(
            "WebSockets that are authenticated by cookies have no origin validator. Pages of any "
            f"site can open them with the cookies of their visitors: {names}.",
            hint="Wrap the WebSocket application in AllowedHostsOriginValidator. "
            + see("Security", "Origins"),
            id="channels_auth.W001",
        )
    ]


def check_login_tokens() -> list[checks.CheckMessage]:
    """Check that used login tokens are remembered: see `channels_auth.checks`."""
    if not forgets_used_tokens():
        return []
    return [
        checks.Warning(
            "A token of create_login_token works until it expires, not once: the user model has no "
            "last_login, and the default cache is a DummyCache, which remembers nothing.",
            hint="Set CACHES['default'] to a cache that all processes share, or give the user "
            "model a last_login. "
            + see("Users, logging in and out", "Logging in on an open WebSocket"),
            id="channels_auth.W002",
        )
    ]


def _is_unguarded(place: Place) -> bool:
    return (
        place.is_last
        and place.protocol in ("websocket", None)
        and place.is_inside(SessionMiddleware, AuthMiddleware)
        and not place.is_inside(OriginValidator)
    )


def _name(place: Place) -> str:
    return name_that_thing(consumer_of(place.application) or place.application)
