"""The scopes that a server would make, spelled out in full."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote, unquote, urlencode

from channels_core.headers import HeadersArgument, encode_headers
from channels_core.typing import Scope

__all__ = ["Query", "add_cookies", "encode_form", "encode_json", "http_scope", "websocket_scope"]

#: What `query` takes: a mapping or pairs, with lists for several values; or an encoded str.
Query: TypeAlias = Mapping[str, Any] | Iterable[tuple[str, Any]] | str | None

_HTTP_SPEC: Final = "2.5"
_DENIAL: Final = "websocket.http.response"

#: What precedes the path in a whole URL.
_ORIGIN: Final = re.compile(r"(?:http|ws)s?://[^/?#]*", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\0-\x1f\x7f]")

#: Whom Django's own test client speaks to.
_SERVER: Final = ("testserver", 80)
_CLIENT: Final = ("127.0.0.1", 0)


def http_scope(
    method: str, path: str, headers: HeadersArgument = None, query: Query = None
) -> Scope:
    """Return the scope of an HTTP request.

    Args:
        method: The HTTP method.
        path: Path, percent-encoded where it must be, with a query string perhaps. Of a whole URL
            the path and the query string are used.
        headers: Headers: pairs or a mapping, of str or bytes.
        query: What is added to the query string.

    Raises:
        TypeError: The path is no str.
        ValueError: The path holds a control character; or a header CR, LF or NUL.
    """
    common = _common(path, headers, query)
    return {"type": "http", "method": method.upper(), **common, "scheme": "http"}


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
        headers: As in `http_scope`.
        subprotocols: What the client offers.
        query: As in `http_scope`.
        spec_version: Version of the ASGI specification that the server keeps to.
        denial_response: Whether the server can refuse a handshake by an HTTP response.

    Raises:
        TypeError: The path is no str.
        ValueError: The path holds a control character; or a header CR, LF or NUL.
    """
    scope: Scope = {
        "type": "websocket",
        **_common(path, headers, query),
        "scheme": "ws",
        "subprotocols": list(subprotocols or ()),
    }
    if spec_version:
        scope["asgi"]["spec_version"] = str(spec_version)
        # Where programs for the existing communicators look for it.
        scope["spec_version"] = spec_version
    if denial_response:
        scope["extensions"][_DENIAL] = {}
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
    raw_path = quote(bare, safe="%/:=&?~#+!$,;'@()*[]")
    return {
        "asgi": {"version": "3.0", "spec_version": _HTTP_SPEC},
        "http_version": "1.1",
        "path": unquote(bare),
        "raw_path": raw_path.encode("ascii"),
        "root_path": "",
        "query_string": quote(query_string, safe="%/:=&?~#+!$,;'@()*[]").encode("ascii"),
        "headers": encode_headers(headers),
        "client": list(_CLIENT),
        "server": list(_SERVER),
        "extensions": {},
    }


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
