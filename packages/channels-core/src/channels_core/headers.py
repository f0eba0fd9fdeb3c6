"""Convert headers from the forms that programs write to the form that ASGI requires."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

__all__ = [
    "HeadersArgument",
    "encode_accept_headers",
    "encode_headers",
    "encode_response_headers",
    "may_add_headers",
    "pass_on_headers",
]

_Pair: TypeAlias = tuple[str | bytes, str | bytes]

#: What `headers` arguments take: pairs or a mapping, of str or bytes.
HeadersArgument: TypeAlias = Iterable[_Pair] | Mapping[Any, str | bytes] | None

#: RFC 9110, section 5.6.2: the characters of a header's name.
_TOKEN: Final = b"!#$%&'*+.^_`|~-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

#: As numbers: Python looks for one in 0.02 us, and for a bytes object in 0.14.
_LF, _CR, _NUL = b"\n\r\0"

#: Headers that say where a message ends and how the connection goes on (RFC 9110, section 7.6.1).
#: The server writes them itself. A second one, with other content, makes a proxy and the server
#: disagree about where the next response begins.
_FRAMING: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        # The answer to a handshake (RFC 6455, section 11.3).
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
    }
)


def encode_headers(headers: HeadersArgument) -> list[tuple[bytes, bytes]]:
    """Return headers in the form that ASGI requires: pairs of bytes, with names in lower case.

    Args:
        headers: Pairs or a mapping; str is encoded as Latin-1.

    Raises:
        TypeError: They are something else, or a name or value is, such as a number.
        ValueError: A name or a value holds CR, LF or NUL, which could start another header, or
            HTTP does not allow the name.
    """
    if isinstance(headers, Mapping):
        headers = headers.items()
    elif isinstance(headers, str | bytes):
        raise _not_pairs(headers)
    encoded = []
    for pair in headers or ():
        try:
            name, value = pair
        except (TypeError, ValueError):
            raise _not_pairs(headers) from None
        known = name if type(name) in (str, bytes) else _encode_value(name)
        encoded.append((_encode_name(known), _encode_value(value)))
    return encoded


def _not_pairs(headers: object) -> TypeError:
    return TypeError(f"Headers are pairs or a mapping, of str or bytes, not {headers!r:.200}")


# Cached, since most responses have the same few names.
@lru_cache(maxsize=256)
def _encode_name(name: str | bytes) -> bytes:
    encoded = _encode_value(name)
    if not encoded or encoded.strip(_TOKEN):
        raise ValueError(f"A header's name has letters, digits and hyphens only, not {encoded!r}")
    return encoded.lower()


def _encode_value(value: str | bytes) -> bytes:
    given: object = value  # a program without type checks may pass anything
    if isinstance(given, str):
        try:
            encoded = given.encode("latin-1")
        except UnicodeEncodeError:
            raise ValueError(
                f"A header has Latin-1 characters only, not {given!r:.200}; encode the others"
            ) from None
    elif isinstance(given, bytes | bytearray | memoryview):
        encoded = bytes(given)
    else:
        raise TypeError(f"A header's name and value are str or bytes, not {given!r:.200}")
    if _is_forbidden(encoded):
        raise ValueError(f"A header must not contain CR, LF or NUL: {encoded!r:.200}")
    return encoded


def _is_forbidden(encoded: bytes) -> bool:
    return _LF in encoded or _CR in encoded or _NUL in encoded


def pass_on_headers(headers: HeadersArgument) -> list[Any]:
    """Return headers in the program's form: their order, the case of names, the type of pairs.

    Only str is encoded, as Latin-1. Programs and tests written for Channels compare the headers
    that a consumer sends with those that it was given.

    Args:
        headers: Pairs or a mapping.

    Raises:
        TypeError: They are something else.
        ValueError: A name or a value holds CR, LF or NUL, which could start another header.
    """
    if type(headers) is list:
        pass  # Nearly always; the question for a mapping takes long.
    elif isinstance(headers, Mapping):
        headers = headers.items()
    elif isinstance(headers, str | bytes):
        raise _not_pairs(headers)
    passed: list[Any] = []
    for pair in headers or ():
        try:
            name, value = pair
        except (TypeError, ValueError):
            raise _not_pairs(headers) from None
        if (
            type(pair) is tuple
            and type(name) is bytes
            and type(value) is bytes
            # As in `_is_forbidden`, without its two calls: 0.15 us for each header.
            and not (_LF in name or _CR in name or _NUL in name)
            and not (_LF in value or _CR in value or _NUL in value)
        ):
            passed.append(pair)
            continue
        kind = list if isinstance(pair, list) else tuple
        passed.append(kind((_encode_value(name), _encode_value(value))))
    return passed


def encode_accept_headers(headers: HeadersArgument, subprotocol: str | None) -> list[Any]:
    """Return the headers of an accepted handshake in the program's form, as `pass_on_headers` does.

    Those that the server writes itself, such as `Connection` and `Sec-WebSocket-Accept`, are left
    out.

    Args:
        headers: Pairs or a mapping.
        subprotocol: The subprotocol that the server is told to announce.

    Raises:
        TypeError: As in `pass_on_headers`.
        ValueError: As in `pass_on_headers`.
    """
    dropped = _FRAMING | {b"sec-websocket-protocol"} if subprotocol else _FRAMING
    # Names of this form are not checked, and some servers drop a space at the end of one.
    return [pair for pair in pass_on_headers(headers) if pair[0].strip().lower() not in dropped]


def encode_response_headers(headers: HeadersArgument, content: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers of a whole response, with its length, and its type if that is missing.

    Headers that would frame it in another way, such as `Transfer-Encoding` or another
    `Content-Length`, are left out.

    Raises:
        TypeError: As in `encode_headers`.
        ValueError: As in `encode_headers`.
    """
    fields = [pair for pair in encode_headers(headers) if pair[0] not in _FRAMING]
    if b"content-type" not in {name for name, _ in fields}:
        fields.append((b"content-type", b"text/plain; charset=utf-8"))
    fields.append((b"content-length", str(len(content)).encode()))
    return fields


def may_add_headers(scope: Mapping[str, Any]) -> bool:
    """Return whether a response may get headers of ours that the program has not asked for.

    A test compares the headers of its response exactly, and its scope has no `asgi`, which each
    server sets.

    Source: ASGI, "Connection Scope".
    """
    return "asgi" in scope
