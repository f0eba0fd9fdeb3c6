"""Read the cookies that a client sends; set and delete cookies on messages with headers."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, MutableMapping
from datetime import datetime, timedelta
from http.cookies import CookieError, Morsel
from typing import Any, Final

from django.http import HttpResponse

from channels_core.middleware import BaseMiddleware, at_once
from channels_core.typing import AnyScope, Receive, Scope, Send

__all__ = ["CookieMiddleware", "add_cookie"]

logger: Final = logging.getLogger("django.channels.auth")

_FORBIDDEN: Final = frozenset("\r\n\0;")

_SAMESITE: Final = frozenset({"strict", "lax", "none"})

#: The types of scopes without a client that could send cookies.
WITHOUT_CLIENT: Final = frozenset({"lifespan", "channel"})


def _read_cookies(scope: Scope) -> dict[str, str]:
    """Return the cookies in a client's headers.

    HTTP/2 and HTTP/3 may split them over several `cookie` headers (RFC 9113, section 8.2.3).
    """
    lines = [value for name, value in scope["headers"] if name.lower() == b"cookie"]
    if not lines:
        return {}
    # Loaded with the first client that sends a cookie.
    from channels_auth._cookies.parsing import MAX_LENGTH, parse_cookies

    # The servers limit each line, and some of them not the number of lines.
    if sum(map(len, lines)) > MAX_LENGTH:
        from channels_core.client_log import log_of_client

        text = "%s %.200r: no cookie is read, since all of them have more than %d bytes"
        path = scope.get("path")
        log_of_client(logger, logging.WARNING, scope, text, scope["type"], path, MAX_LENGTH)
        return {}
    # Latin-1, the encoding of HTTP headers, decodes any byte: one cookie with bytes that no
    # browser sends must not lose the cookies beside it.
    return parse_cookies(b"; ".join(lines).decode("latin-1"))


def _with_cookies(scope: Scope) -> Scope:
    if scope.get("type") in WITHOUT_CLIENT:
        return scope
    if "headers" not in scope:
        raise ValueError(
            "CookieMiddleware was passed a scope that did not have a headers key "
            "(make sure it is only passed HTTP or WebSocket connections)"
        )
    return dict(scope, cookies=_read_cookies(scope))


class _InvalidSameSite(AssertionError, ValueError):
    """An invalid `samesite`: Django raises a ValueError, earlier Channels an AssertionError."""


class _InvalidCookie(CookieError, ValueError):
    """An invalid name of a cookie, or on newer Pythons an invalid value."""


def _check(name: str, value: object) -> None:
    if value is not None and (found := _FORBIDDEN.intersection(str(value))):
        raise ValueError(
            f"A cookie's {name} must not contain CR, LF, NUL or a semicolon, which could start "
            f"another header or attribute; it contains {sorted(found)!r}"
        )


#: Programs, and tests of programs, may replace it.
_CALL: Final = BaseMiddleware.__call__


class CookieMiddleware(BaseMiddleware):
    """Put the client's cookies into `scope["cookies"]`, a dict of str.

    If they have more than 64 KiB, the dict is empty, and the log has a warning.

    `set_cookie` and `delete_cookie` change a message that has headers: `http.response.start`,
    `websocket.accept`, `websocket.http.response.start`.
    """

    @at_once
    def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Coroutine[Any, Any, Any]:
        """Serve one connection.

        Scope:
            `headers` is read; `cookies` is added. A `lifespan` or `channel` scope has no client
            and is passed on unchanged.

        Raises:
            ValueError: The scope has no headers.

        Source: `django.http.cookie.parse_cookie`.
        """
        inner = _with_cookies(scope)
        is_plain = type(self) is CookieMiddleware and BaseMiddleware.__call__ is _CALL
        if is_plain and inner is not scope:
            # The base would copy the scope once more.
            application: Any = self.inner
            served: Coroutine[Any, Any, Any] = application(inner, receive, send)
            return served
        return super().__call__(inner, receive, send)

    def _channels_first_step(self, scope: AnyScope) -> Any:
        return super()._channels_first_step(_with_cookies(scope))

    @classmethod
    def set_cookie(
        cls,
        message: MutableMapping[str, Any],
        key: str,
        value: str = "",
        max_age: float | timedelta | None = None,
        expires: str | datetime | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = "lax",
        *,
        partitioned: bool = False,
    ) -> None:
        """Add a cookie to a message that has headers.

        Args:
            message: A message of one of the types above, whose `headers` becomes a new list.
            key: The cookie's name.
            value: The cookie's value.
            max_age: Seconds that the browser keeps it, or a timedelta; None until it is closed.
            expires: When the cookie ends: a formatted str, or a datetime, in UTC if it is naive.
            path: The path that the cookie is sent back to; None for the path of the request.
            domain: The domain that the cookie is sent back to; None for the present host only.
            secure: Whether the cookie is sent back over HTTPS only.
            httponly: Whether scripts in the page cannot read the cookie.
            samesite: "Lax", "Strict" or "None", in upper or lower case. None omits the attribute,
                and the browser decides.
            partitioned: Whether the browser keeps one such cookie for each top-level site (CHIPS).

        Raises:
            AssertionError: `samesite` is another word; the error is a ValueError as well.
            ValueError: The path, the domain or a str for `expires` contains CR, LF, NUL or a
                semicolon. Or the name is not valid for a cookie; this error is a `CookieError` as
                well.
            NotImplementedError: This version of Python cannot write `Partitioned`; 3.14 can.

        Source: `django.http.HttpResponse.set_cookie`.
        """
        # The value is not checked here, since it is quoted when it is written; an invalid name
        # raises a CookieError below.
        for name, part in {"path": path, "domain": domain, "expires": expires}.items():
            _check(name, part)
        if samesite is not None and samesite.lower() not in _SAMESITE:
            raise _InvalidSameSite("samesite must be either 'strict', 'lax' or 'none'")
        if isinstance(expires, datetime):
            max_age = None  # Django derives it from the time, and refuses both together
        # Written by Django's own response, so that both write the same cookie.
        response = HttpResponse()
        try:
            response.set_cookie(
                key,
                value,
                max_age=max_age,  # type: ignore[arg-type] # Django documents a float as well
                expires=expires,
                path=path,  # type: ignore[arg-type] # None is valid: it omits the attribute
                domain=domain,
                secure=secure,
                httponly=httponly,
                samesite=samesite,  # type: ignore[arg-type] # Django accepts upper and lower case
            )
        except CookieError as error:
            invalid = _InvalidCookie(*error.args)
            invalid.add_note(f"{key!r} with this value cannot be a cookie.")
            raise invalid from error
        add_cookie(message, response.cookies[key], partitioned=partitioned)

    @classmethod
    def delete_cookie(
        cls,
        message: MutableMapping[str, Any],
        key: str,
        path: str | None = "/",
        domain: str | None = None,
        *,
        samesite: str | None = "lax",
        secure: bool | None = None,
    ) -> None:
        """Make the browser delete a cookie.

        Args:
            message: As in `set_cookie`.
            key: The cookie's name.
            path: The path that the cookie was set with.
            domain: The domain that the cookie was set with.
            samesite: The value that the cookie was set with.
            secure: Whether the deletion has the attribute `Secure`; None adds it where browsers
                require it.

        Raises:
            ValueError: As in `set_cookie`.

        Source: `django.http.HttpResponse.delete_cookie`.
        """
        if secure is None:
            prefixed = key.startswith(("__Secure-", "__Host-"))
            secure = prefixed or (samesite or "").lower() == "none"
        cls.set_cookie(
            message,
            key,
            max_age=0,
            expires="Thu, 01-Jan-1970 00:00:00 GMT",
            path=path,
            domain=domain,
            secure=secure,
            samesite=samesite,
        )


def add_cookie(
    message: MutableMapping[str, Any], morsel: Morsel[str], *, partitioned: bool = False
) -> None:
    """Add a cookie to the headers of a message.

    Args:
        message: A message, whose `headers` becomes a new list.
        morsel: The cookie.
        partitioned: As in `CookieMiddleware.set_cookie`.
    """
    # Tests of programs look for this spelling; servers write the one of their protocol.
    header = (b"Set-Cookie", _written(morsel, partitioned))
    # A new list: the message's own list may be a constant of the program.
    message["headers"] = [*(message.get("headers") or ()), header]


def _written(morsel: Morsel[str], partitioned: bool) -> bytes:
    if partitioned:
        try:
            morsel["partitioned"] = True
        except CookieError as error:
            raise NotImplementedError(
                "This version of Python cannot write a cookie's Partitioned attribute; "
                "Python 3.14 can"
            ) from error
    return morsel.OutputString().encode()
