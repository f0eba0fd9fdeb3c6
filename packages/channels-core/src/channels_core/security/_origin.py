"""Parse an `Origin` header, and compare origins with patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Final, TypeAlias
from urllib.parse import ParseResult, SplitResult, urlparse, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.http import is_same_domain

__all__ = [
    "ANY",
    "Origin",
    "OriginPattern",
    "WildcardError",
    "is_host_entry",
    "matches",
    "parse_pattern",
    "port_of",
    "read_header",
    "read_origin",
]

#: The pattern that allows every origin, and a handshake without one.
ANY: Final = "*"

_MAX_LENGTH: Final = 2048
_DEFAULT_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}

#: The characters of a domain's name, without the periods, and of an IPv6 address.
_IN_LABELS: Final = "abcdefghijklmnopqrstuvwxyz0123456789_-"
_IN_ADDRESSES: Final = "0123456789abcdef:."


@cache
def _entry() -> re.Pattern[str]:
    """Return the expression for an entry of `ALLOWED_HOSTS`; compiled on use: that takes 0.5 ms.

    An entry has one of Django's forms, or one of earlier releases with a scheme or a port, or with
    an IPv6 address without brackets.
    """
    return re.compile(
        r"""
        (?: [a-z][a-z0-9+.-]*:// )?
        (?: \.?[a-z0-9_-]+(?:\.[a-z0-9_-]+)* | \[[0-9a-f:.]+\] )
        (?: :[0-9]+ )?
        | [0-9a-f.]*:[0-9a-f:.]*:[0-9a-f.]+
        """,
        re.VERBOSE | re.IGNORECASE | re.ASCII,
    )


class WildcardError(ImproperlyConfigured):
    """A pattern has a wildcard and something else."""


#: The origin of a page, in lower case: its scheme, its host, and its port. That is the default port
#: of the scheme if none is given; None if the scheme has no default.
Origin: TypeAlias = tuple[str, str, int | None]

#: A parsed pattern for allowed origins. Its scheme is None for any. A period at the start of its
#: host stands for the domain and its subdomains. Without a scheme, the port None allows any port;
#: with one, None means that there is no port.
OriginPattern: TypeAlias = tuple[str | None, str, int | None]


def read_header(headers: Iterable[tuple[bytes, bytes]]) -> ParseResult | None:
    """Return the origin in a request's headers, or None if they have none.

    Raises:
        ValueError: There are several, or it has a form that no browser writes.
    """
    values = [value for name, value in headers if name == b"origin"]
    if not values:
        return None
    if len(values) > 1:
        raise ValueError(f"there are {len(values)} Origin headers")
    value = values[0]
    if len(value) > _MAX_LENGTH:
        raise ValueError(f"its Origin header has {len(value)} bytes")
    # The characters that a browser writes: no spaces, no control characters, punycode for others.
    text = value.decode("latin-1")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError(f"its Origin header has characters that do not belong: {value!r:.200}")
    try:
        parsed = urlparse(text)
        parsed.port  # noqa: B018 - reading it parses it
    except ValueError as error:
        raise ValueError(f"its Origin header cannot be read: {value!r:.200}") from error
    return parsed


def port_of(parsed: ParseResult | SplitResult) -> int | None:
    """Return the port of an origin or the default of its scheme; None without a valid port."""
    try:
        port = parsed.port
    except ValueError:
        return None
    return port if port is not None else _DEFAULT_PORTS.get(parsed.scheme.lower())


def read_origin(parsed: ParseResult | SplitResult) -> Origin | None:
    """Return the comparable parts of an origin; None if no pattern can match it.

    Source: `django.http.request.split_domain_port`, for a colon without a port.
    """
    # No browser writes a user's name, nor anything before the bracket of an IPv6 address, which
    # would not be a part of the host here.
    netloc = parsed.netloc
    if netloc.endswith(":") or "@" in netloc or "[" in netloc[1:] or _follows_bracket(netloc):
        return None
    try:
        parsed.port  # noqa: B018 - reading it parses it
        host = _plain_host(parsed.hostname)
    except ValueError:
        return None
    if not _is_host(host):
        return None
    return parsed.scheme.lower(), host, port_of(parsed)


def _follows_bracket(netloc: str) -> bool:
    """Return whether something but a port follows an address in brackets: `urlsplit` drops it."""
    _, bracket, rest = netloc.partition("]")
    return bool(bracket and rest) and not rest.startswith(":")


def _is_host(host: str) -> bool:
    """Return whether a text is the name of a domain, or has the characters of an IPv6 address."""
    if ":" in host:
        return not host.strip(_IN_ADDRESSES)
    return all(label and not label.strip(_IN_LABELS) for label in host.split("."))


def _plain_host(host: str | None) -> str:
    # As Django does for a Host header: a period at the end of a domain name does not count.
    return (host or "").lower().removesuffix(".")


@lru_cache(maxsize=1024)
def parse_pattern(pattern: str) -> OriginPattern | None:
    """Parse a pattern.

    Args:
        pattern: `domain`, `.domain` for it and its subdomains, either with `:port`, or
            `scheme://` and one of these.

    Returns:
        The pattern; None for `*`, and for an empty one, which matches nothing (an empty setting
        that is split at commas gives one).

    Raises:
        WildcardError: It has a wildcard and something else.
        ImproperlyConfigured: It has another form.
    """
    text = pattern.strip().lower()
    if text in {"", ANY}:
        return None
    scheme, separator, rest = text.rpartition("://")
    if "*" in rest:
        domain = rest.removeprefix("*")
        plain = domain.startswith(".") and "*" not in domain
        instead = f"{scheme}{separator}{domain}" if plain else ".example.com"
        raise WildcardError(
            f"{pattern!r} is not a pattern for origins: a wildcard must stand alone. For a domain "
            f"and its subdomains, write {instead!r}"
        )
    if ":" in rest.partition(":")[2] and not rest.startswith("["):
        rest = f"[{rest}]"  # an IPv6 address in a form that ALLOWED_HOSTS may have
    try:
        parsed = urlsplit(f"//{rest}")
        port = parsed.port
        host = _plain_host(parsed.hostname)
    except ValueError:
        host, port = "", None
    if (
        _follows_bracket(rest)
        or not _is_host(host.removeprefix("."))
        or (separator and not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme))
    ):
        raise ImproperlyConfigured(
            f"{pattern!r} is not a pattern for origins: expected 'example.com', '.example.com', "
            "'https://example.com', 'https://example.com:8443' or '*'"
        )
    if not separator:
        return None, host, port
    return scheme, host, port if port is not None else _DEFAULT_PORTS.get(scheme)


def is_host_entry(entry: str) -> bool:
    """Return whether an entry of `ALLOWED_HOSTS` can match a host.

    Django compares the text as it is. So `localhost:` or `example.com.` matches nothing, although
    a host may end with a period. Neither does `user@example.com`, from which a host can be parsed.

    Source: `django.http.request.validate_host`.
    """
    return entry == ANY or _entry().fullmatch(entry) is not None


def matches(origin: Origin, pattern: OriginPattern) -> bool:
    """Return whether a pattern allows an origin.

    Source: `django.utils.http.is_same_domain`, for the host.
    """
    scheme, host, port = origin
    allowed_scheme, allowed_host, allowed_port = pattern
    if not is_same_domain(host, allowed_host):
        return False
    if allowed_scheme is None:
        return allowed_port in {None, port}
    return (allowed_scheme, allowed_port) == (scheme, port)
