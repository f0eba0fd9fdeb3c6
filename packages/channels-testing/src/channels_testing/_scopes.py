"""The scopes of connections under test: with the keys that tests of Channels have always met.

What the ASGI specification leaves optional is left out unless a test gives it. Programs branch on
whether a `client` or a `server` is there, and their tests count on the branch that they know.
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

#: What `query` takes: a mapping or pairs, with lists for several values; or an encoded str.
Query: TypeAlias = Mapping[str, Any] | Iterable[tuple[str, Any]] | str | None

_DENIAL: Final = "websocket.http.response"

#: What precedes the path in a whole URL.
_ORIGIN: Final = re.compile(r"(?:http|ws)s?://[^/?#]*", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\0-\x1f\x7f]")


def http_scope(
    method: str, path: str, headers: HeadersArgument = None, query: Query = None
) -> Scope:
    """Return the scope of an HTTP request.

    Args:
        method: The HTTP method.
        path: Path, percent-encoded where it must be, with a query string perhaps. Of a whole URL
            the path and the query string are used.
        headers: As in `given_headers`.
        query: What is added to the query string.

    Raises:
        TypeError: The path is no str.
        ValueError: The path holds a control character; or a header of str CR, LF or NUL.
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
        subprotocols: What the client offers; a list or a tuple is used as it is.
        query: As in `http_scope`.
        spec_version: What `scope["spec_version"]` is to be.
        denial_response: Whether the server can refuse a handshake by an HTTP response.

    Raises:
        TypeError: The path is no str.
        ValueError: The path holds a control character; or a header of str CR, LF or NUL.
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
    # By hand: `urlsplit` takes the beginning of "//a/b" and of "room:1/" for a host and a scheme.
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
        headers: Pairs of bytes, which stay what they are: their order, the case of names, lists
            and tuples. Or a mapping, or pairs with str, which are encoded as a server passes
            them on: bytes, with names in lower case.

    Raises:
        TypeError: They are something else.
        ValueError: A header that has to be encoded holds CR, LF or NUL, or its name is none.
    """
    if isinstance(headers, Mapping | str | bytes):
        return encode_headers(headers)  # which refuses the last two
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
        encoder: The class that encodes what JSON has no type for; None for Django's, which knows
            dates, `Decimal`, `UUID` and translations.
    """
    if encoder is None:
        # Brings Django's models along, which importing this package does not.
        from django.core.serializers.json import DjangoJSONEncoder

        encoder = DjangoJSONEncoder
    return json.dumps(data, cls=encoder)


def add_cookies(scope: Scope, cookies: Mapping[str, Any]) -> None:
    """Add cookies to the `cookie` header of a scope, in place.

    Args:
        scope: The scope.
        cookies: Values by name; a `http.cookies.SimpleCookie` too.

    Raises:
        ValueError: A cookie holds a character that would end it.
    """
    if not cookies:
        return
    # A morsel knows how its value is written: quoted, for example, if it holds a ';'.
    pairs = [f"{name}={getattr(value, 'coded_value', value)}" for name, value in cookies.items()]
    for pair in pairs:
        if any(character in pair for character in ";\r\n\0"):
            raise ValueError(f"A cookie must not contain ';', a line end or NUL: {pair!r}")
    headers = [*scope.get("headers", ())]
    earlier = [value for name, value in headers if name.lower() == b"cookie"]
    others = [pair for pair in headers if pair[0].lower() != b"cookie"]
    line = b"; ".join([*earlier, *(pair.encode() for pair in pairs)])
    scope["headers"] = [*others, (b"cookie", line)]
