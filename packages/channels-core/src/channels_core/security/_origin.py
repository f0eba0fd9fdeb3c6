"""Read an `Origin` header, and compare origins with patterns."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import ParseResult, urlparse, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.http import is_same_domain

__all__ = [
    "ANY",
    "Origin",
    "OriginPattern",
    "WildcardError",
    "matches",
    "parse_pattern",
    "port_of",
    "read_header",
    "read_origin",
]

#: The pattern that allows every origin, and a missing one as well.
ANY: Final = "*"

_MAX_LENGTH: Final = 2048
_DEFAULT_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}

# What a browser writes: no spaces, no control characters, and other scripts as punycode.
_HEADER: Final = re.compile(rb"[\x21-\x7e]*")
_HOST: Final = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|[0-9a-f.]*:[0-9a-f:.]*")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")


class WildcardError(ImproperlyConfigured):
    """A pattern has a wildcard that does not stand alone."""


class Origin(NamedTuple):
    """Where a page comes from, in lower case."""

    scheme: str
    host: str
    #: The scheme's own if none is given; None if it has none.
    port: int | None


class OriginPattern(NamedTuple):
    """Which origins are allowed."""

    #: None for any.
    scheme: str | None
    #: With a period in front: the domain and its subdomains.
    host: str
    #: None for any without a scheme, and for none with one.
    port: int | None


def read_header(headers: Iterable[tuple[bytes, bytes]]) -> ParseResult | None:
    """Return the origin that a request's headers tell, or None if they do not.

    Raises:
        ValueError: It is told more than once, or in a way that no browser would.
    """
    values = [value for name, value in headers if name == b"origin"]
    if not values:
        return None
    if len(values) > 1:
        raise ValueError(f"there are {len(values)} Origin headers")
    value = values[0]
    if len(value) > _MAX_LENGTH:
        raise ValueError(f"its Origin header has {len(value)} bytes")
    if not _HEADER.fullmatch(value):
        raise ValueError(f"its Origin header has characters that do not belong: {value!r:.200}")
    try:
        parsed = urlparse(value.decode("ascii"))
        parsed.port  # noqa: B018 - parsed when it is asked for
    except ValueError as error:
        raise ValueError(f"its Origin header cannot be read: {value!r:.200}") from error
    return parsed


def port_of(parsed: ParseResult) -> int | None:
    """Return the port of an origin, or else its scheme's; None if it has none or a bad one."""
    try:
        port = parsed.port
    except ValueError:
        return None
    return port if port is not None else _DEFAULT_PORTS.get(parsed.scheme.lower())


def read_origin(parsed: ParseResult) -> Origin | None:
    """Return what is compared of an origin; None if it can match nothing."""
    try:
        parsed.port  # noqa: B018 - parsed when it is asked for
        host = _plain_host(parsed.hostname)
    except ValueError:
        return None
    if not _HOST.fullmatch(host):
        return None
    return Origin(parsed.scheme.lower(), host, port_of(parsed))


def _plain_host(host: str | None) -> str:
    # As Django does with a Host header: the period that ends a full domain name says nothing.
    return (host or "").lower().removesuffix(".")


@lru_cache(maxsize=1024)
def parse_pattern(pattern: str) -> OriginPattern | None:
    """Parse a pattern.

    Args:
        pattern: `domain`, `.domain` for it and its subdomains, either with `:port`, or
            `scheme://` and one of these.

    Returns:
        The pattern; None for `*`, which is no question of domains, and for an empty one (as an
        empty setting gives that is split at commas), which matches nothing.

    Raises:
        WildcardError: It has a wildcard that does not stand alone.
        ImproperlyConfigured: It is none of these.
    """
    text = pattern.strip().lower()
    if text in {"", ANY}:
        return None
    scheme, separator, rest = text.rpartition("://")
    if "*" in rest:
        domain = rest.removeprefix("*")
        plain = domain.startswith(".") and "*" not in domain
        raise WildcardError(
            f"{pattern!r} is no pattern for origins: a wildcard stands alone. For a domain and "
            f"its subdomains, write {f'{scheme}{separator}{domain}' if plain else '.example.com'!r}"
        )
    if ":" in rest.partition(":")[2] and not rest.startswith("["):
        rest = f"[{rest}]"  # An IPv6 address, as it may stand in ALLOWED_HOSTS.
    try:
        parsed = urlsplit(f"//{rest}")
        port = parsed.port
        host = _plain_host(parsed.hostname)
    except ValueError:
        host, port = "", None
    if not _HOST.fullmatch(host.removeprefix(".")) or (separator and not _SCHEME.fullmatch(scheme)):
        raise ImproperlyConfigured(
            f"{pattern!r} is no pattern for origins: expected 'example.com', '.example.com', "
            "'https://example.com', 'https://example.com:8443' or '*'"
        )
    if not separator:
        return OriginPattern(None, host, port)
    return OriginPattern(scheme, host, port if port is not None else _DEFAULT_PORTS.get(scheme))


def matches(origin: Origin, pattern: OriginPattern) -> bool:
    """Tell whether a pattern allows an origin.

    Source: `django.utils.http.is_same_domain`, for the host.
    """
    if not is_same_domain(origin.host, pattern.host):
        return False
    if pattern.scheme is None:
        return pattern.port in {None, origin.port}
    return (pattern.scheme, pattern.port) == (origin.scheme, origin.port)
