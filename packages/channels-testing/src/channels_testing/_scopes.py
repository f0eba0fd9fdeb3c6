"""Make the scopes of connections under test, with the keys that Channels' communicators always set.

Keys that are optional in the ASGI specification are left out unless a test sets them. Programs
check, for example, whether there is a `client` or a `server`, and their tests rely on the result.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, urlencode

from channels_core.headers import HeadersArgument, encode_headers
from channels_core.typing import Scope

__all__ = [
    "Query",
    "add_cookies",
    "encode_form",
    "encode_json",
    "given_headers",
    "http_scope",
    "websocket_scope",
]

#: A query string: a mapping or pairs, with lists for several values; or an encoded str.
Query: TypeAlias = Mapping[str, Any] | Iterable[tuple[str, Any]] | str | None

_DENIAL: Final = "websocket.http.response"

#: The part of a URL before its path.
_ORIGIN: Final = re.compile(r"(?:http|ws)s?://[^/?#]*", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\0-\x1f\x7f]")


def http_scope(
    method: str, path: str, headers: HeadersArgument = None, query: Query = None
) -> Scope:
    """Return the scope of an HTTP request.

    Args:
        method: The HTTP method.
        path: Path, percent-encoded where necessary; may have a query string. Of a whole URL the
            path and the query string are used.
        headers: As in `given_headers`.
        query: Added to the query string.

    Raises:
        TypeError: The path is not a str.
        ValueError: The path holds a control character, or a header of str holds CR, LF or NUL.
    """
    common = _common(path, headers, query)
    return {"type": "http", "http_version": "1.1", "method": method.upper(), **common}


def websocket_scope(
    path: str,
    headers: HeadersArgument = None,
    subprotocols: Iterable[str] | None = None,
    query: Query = None,
    *,
    spec_version: Any = None,
    denial_response: bool = False,
) -> Scope:
    """Return the scope of a WebSocket.

    Args:
        path: As in `http_scope`.
        headers: As in `given_headers`.
        subprotocols: The subprotocols that the client offers; a list or a tuple is not copied.
        query: As in `http_scope`.
        spec_version: The value of `scope["spec_version"]`.
        denial_response: Whether the server can refuse a handshake by an HTTP response.

    Raises:
        TypeError: The path is not a str.
        ValueError: The path holds a control character, or a header of str holds CR, LF or NUL.
    """
    offered = subprotocols or []
    scope: Scope = {
        "type": "websocket",
        **_common(path, headers, query),
        "subprotocols": offered if isinstance(offered, list | tuple) else list(offered),
    }
    if spec_version:
        scope["spec_version"] = spec_version
    if denial_response:
        scope["extensions"] = {_DENIAL: {}}
    return scope


def _common(path: object, headers: HeadersArgument, query: Query) -> Scope:
    if not isinstance(path, str):
        raise TypeError(f"Expected a path as a str, got {path!r}")
    if _CONTROL.search(path):
        raise ValueError(f"A path has no control characters; percent-encode them: {path!r:.200}")
    # Not by `urlsplit`, which finds a host in "//a/b" and a scheme in "room:1/".
    target = _ORIGIN.sub("", path, count=1) if _ORIGIN.match(path) else path
    bare, _, own = target.partition("#")[0].partition("?")
    query_string = "&".join(part for part in (own, encode_form(query)) if part)
    return {
        "path": unquote(bare),
        "query_string": query_string.encode(),
        "headers": given_headers(headers),
    }


def given_headers(headers: HeadersArgument) -> Any:
    """Return headers for a scope.

    Args:
        headers: Pairs of bytes, which are not changed at all. Or a mapping or pairs with str,
            which are encoded as a server passes them on: bytes, with names in lower case.

    Raises:
        TypeError: The headers have another type.
        ValueError: A header that has to be encoded holds CR, LF or NUL, or its name is not valid.
    """
    if isinstance(headers, Mapping | str | bytes):
        return encode_headers(headers)  # which rejects str and bytes
    pairs: Any = headers if isinstance(headers, list | tuple) else list(headers or ())
    if not pairs:
        return []
    if all(_is_pair_of_bytes(pair) for pair in pairs):
        return pairs
    return [pair if _is_pair_of_bytes(pair) else encode_headers([pair])[0] for pair in pairs]


def _is_pair_of_bytes(pair: Any) -> bool:
    return (
        isinstance(pair, list | tuple)
        and len(pair) == 2
        and isinstance(pair[0], bytes)
        and isinstance(pair[1], bytes)
    )


def encode_form(fields: Query) -> str:
    """Return a query string, or the body of a form."""
    if isinstance(fields, str):
        return fields
    pairs: Any = fields.items() if isinstance(fields, Mapping) else fields or ()
    return urlencode(list(pairs), doseq=True)


def encode_json(data: Any, encoder: type[json.JSONEncoder] | None = None) -> str:
    """Return an object as JSON.

    Args:
        data: The object.
        encoder: The class that encodes types unknown to JSON; None for Django's, which knows
            dates, `Decimal`, `UUID` and translations.
    """
    if encoder is None:
        # Imported here, since it imports Django's models.
        from django.core.serializers.json import DjangoJSONEncoder

        encoder = DjangoJSONEncoder
    return json.dumps(data, cls=encoder)


def add_cookies(scope: Scope, cookies: Mapping[str, Any]) -> None:
    """Add cookies to the `cookie` header of a scope, in place.

    Args:
        scope: The scope.
        cookies: Values by name, or a `http.cookies.SimpleCookie`.

    Raises:
        ValueError: A cookie holds a character that ends a cookie.
    """
    if not cookies:
        return
    # The morsel of a SimpleCookie has its value as it is written, for example in quotes.
    pairs = [f"{name}={getattr(value, 'coded_value', value)}" for name, value in cookies.items()]
    for pair in pairs:
        if any(character in pair for character in ";\r\n\0"):
            raise ValueError(f"A cookie must not contain ';', a line end or NUL: {pair!r}")
    headers = [*scope.get("headers", ())]
    earlier = [value for name, value in headers if name.lower() == b"cookie"]
    others = [pair for pair in headers if pair[0].lower() != b"cookie"]
    line = b"; ".join([*earlier, *(pair.encode() for pair in pairs)])
    scope["headers"] = [*others, (b"cookie", line)]
