"""Let only pages of allowed origins open a WebSocket, since browsers do not refuse others."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from typing import Any, Final
from urllib.parse import ParseResult

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from channels_core._two_step import Application, first_step
from channels_core.applications import as_asgi3
from channels_core.exceptions import StopConsumer
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.security import _origin
from channels_core.typing import AnyScope, Receive, Scope, Send

__all__ = ["AllowedHostsOriginValidator", "OriginValidator", "WebsocketDenier"]

logger: Final = logging.getLogger("django.channels.security")

# The hosts that Django allows under DEBUG.
_LOCAL_HOSTS: Final = (".localhost", "127.0.0.1", "[::1]")


class OriginValidator(Application):
    """Refuse the handshake of a page whose origin is not allowed, with status 403.

    Browsers let any page open a WebSocket to any site, and send that site's cookies; the `Origin`
    header names the page's site. A handshake without that header comes from another program, and
    is refused too unless every origin is allowed.

    Attributes:
        application: The application inside.
        allowed_origins: The patterns of allowed origins.

    Source: RFC 6455, section 10.2.
    """

    # Of the class as well: a program's subclass may have a constructor of its own.
    _channels_same_origin: bool = False

    def __init__(
        self, application: Any, allowed_origins: Iterable[str], *, same_origin: bool = False
    ) -> None:
        """Wrap an application.

        Args:
            application: An ASGI 3 application, a consumer class, or a two-step application.
            allowed_origins: Patterns: `example.com`; `.example.com` for it and its subdomains;
                `https://example.com`, `https://.example.com:8443`, where the default port may be
                left out; `*` for any origin.
            same_origin: Whether the origin must also be the one that the handshake was sent to:
                the page's scheme, host and port are those of the WebSocket. Behind a proxy, the
                settings `SECURE_PROXY_SSL_HEADER` and `USE_X_FORWARDED_HOST` have the same effect
                as on Django's `request.is_secure()` and `request.get_host()`.

        Raises:
            ImproperlyConfigured: A pattern has another form. `*.example.com` is accepted with a
                warning in the log, and matches nothing.
        """
        # Any: programs test with applications that return something.
        self.application: Callable[[Scope, Receive, Send], Awaitable[Any]] = as_asgi3(application)
        # Lets a URLRouter inside be the view of another URLRouter's route.
        self._path_routing: bool = getattr(application, "_path_routing", False)
        # A single str is iterable too, but its characters are not patterns.
        patterns = [allowed_origins] if isinstance(allowed_origins, str) else allowed_origins
        self.allowed_origins: Collection[str] = [_taken(pattern) for pattern in patterns]
        self._channels_same_origin = same_origin

    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Any:
        """Serve one connection, if its origin is allowed.

        Scope:
            Its header `origin` is checked.

        Raises:
            ValueError: It is not a WebSocket.
        """
        if self._is_allowed(scope):
            return await self.application(scope, receive, send)
        await WebsocketDenier()(scope, receive, send)
        return None

    def _channels_first_step(self, scope: AnyScope) -> Any:
        if self._is_allowed(scope):
            return first_step(self.application, scope)
        return WebsocketDenier(scope)

    def _is_allowed(self, scope: Scope) -> bool:
        """Return whether a handshake may go on, and log the reason if not."""
        if scope["type"] != "websocket":
            raise ValueError(
                "You cannot use OriginValidator on a non-WebSocket connection; "
                f"this one is of the type {scope['type']!r}"
            )
        try:
            parsed_origin = _origin.read_header(scope.get("headers") or ())
        except ValueError as error:
            refusal = str(error)
        else:
            valid = self.valid_origin(parsed_origin)
            if valid and (not self._channels_same_origin or _is_own(parsed_origin, scope)):
                return True
            refusal = "it has no Origin header"
            if parsed_origin is not None:
                fault = "is not that of its own host" if valid else "is not allowed"
                refusal = f"its origin {parsed_origin.geturl()!r:.200} {fault}"
        from channels_core.client_log import log_of_client  # most handshakes are allowed

        text = "A handshake for %.200r was refused: %s"
        log_of_client(logger, logging.WARNING, scope, text, scope.get("path"), refusal)
        return False

    def valid_origin(self, parsed_origin: ParseResult | None) -> bool:
        """Return whether a handshake may go on.

        Args:
            parsed_origin: The parsed `Origin` header; None without that header.
        """
        if parsed_origin is None and _origin.ANY not in self.allowed_origins:
            return False
        return self.validate_origin(parsed_origin)

    def validate_origin(self, parsed_origin: ParseResult | None) -> bool:
        """Return whether any pattern allows an origin."""
        return any(
            pattern == _origin.ANY or self.match_allowed_origin(parsed_origin, pattern)
            for pattern in self.allowed_origins
        )

    def match_allowed_origin(self, parsed_origin: ParseResult | None, pattern: str) -> bool:
        """Return whether one pattern, other than `*`, allows an origin."""
        origin = None if parsed_origin is None else _origin.read_origin(parsed_origin)
        try:
            parsed_pattern = _origin.parse_pattern(pattern)
        except _origin.WildcardError:
            return False
        if origin is None or parsed_pattern is None:
            return False
        return _origin.matches(origin, parsed_pattern)

    def get_origin_port(self, origin: ParseResult) -> int | None:
        """Return the port of an origin, or the default of its scheme; None if it has neither."""
        return _origin.port_of(origin)


def _is_own(parsed_origin: ParseResult | None, scope: Scope) -> bool:
    origin = None if parsed_origin is None else _origin.read_origin(parsed_origin)
    # Loaded with the first such validator.
    from channels_core.security._own_origin import own_origin

    return origin is not None and origin == own_origin(scope)


def allows_every_origin(validator: OriginValidator) -> bool:
    """Return whether a validator refuses no handshake, for a check."""
    return _origin.ANY in validator.allowed_origins and not validator._channels_same_origin


def _taken(pattern: object) -> str:
    """Check a pattern of a program; accept one with a wildcard, as earlier releases did."""
    try:
        return _checked(pattern)
    except _origin.WildcardError as error:
        # Its filter keeps a handler that may block out of an event loop's thread.
        from channels_core import _logging  # noqa: F401 - see above

        logger.warning("OriginValidator: %s. As it is, it matches nothing", error)
        return str(pattern).strip()


def _checked(pattern: object) -> str:
    if not isinstance(pattern, str):
        raise ImproperlyConfigured(f"A pattern for origins must be a str, not {pattern!r}")
    _origin.parse_pattern(pattern)
    return pattern.strip()


class _AllowedHosts(Collection[str]):
    """The current `ALLOWED_HOSTS`, which tests change after the application is made.

    An entry that matches nothing in Django matches nothing here, and is not an error at import.
    """

    def __iter__(self) -> Iterator[str]:
        for host in settings.ALLOWED_HOSTS or (_LOCAL_HOSTS if settings.DEBUG else ()):
            with contextlib.suppress(ImproperlyConfigured):
                if _origin.is_host_entry(pattern := _checked(host)) and pattern == host:
                    yield pattern

    def __contains__(self, host: object) -> bool:
        return any(host == allowed for allowed in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(list(self))


def AllowedHostsOriginValidator(  # noqa: N802 - a given name
    application: Any, *, same_origin: bool = False
) -> OriginValidator:
    """Wrap an application so that only pages of the site's own hosts may connect.

    The hosts are in the setting `ALLOWED_HOSTS`; under `DEBUG`, if it is empty, they are
    `localhost` with its subdomains, `127.0.0.1` and `[::1]`. The settings are read at each
    handshake.

    Args:
        application: As for `OriginValidator`.
        same_origin: As for `OriginValidator`. With it, one host of the site does not admit the
            pages of another one, nor of another port or scheme.
    """
    validator = OriginValidator(application, (), same_origin=same_origin)
    validator.allowed_origins = _AllowedHosts()
    return validator


class WebsocketDenier(AsyncWebsocketConsumer):
    """Refuse every handshake, with status 403; needs no channel layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of any consumer."""
        super().__init__(*args, **kwargs)
        if type(self) is WebsocketDenier:
            # Only for this very class: a program's subclass has its layer.
            vars(self)["channel_layer_alias"] = None

    async def connect(self) -> None:
        """Refuse the handshake, and end at once."""
        from channels_core.headers import may_add_headers

        nosniff = {"X-Content-Type-Options": "nosniff"} if may_add_headers(self.scope) else None
        await self.deny(403, headers=nosniff, body=b"Forbidden")
        raise StopConsumer
