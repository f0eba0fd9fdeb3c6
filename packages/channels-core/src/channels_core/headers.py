"""Headers as programs write them, turned into what ASGI wants."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

__all__ = ["HeadersArgument", "encode_headers", "encode_response_headers"]

_Pair: TypeAlias = tuple[str | bytes, str | bytes]

#: What `headers` arguments take: pairs or a mapping, of str or bytes.
HeadersArgument: TypeAlias = Iterable[_Pair] | Mapping[Any, str | bytes] | None

_FORBIDDEN_IN_HEADERS: Final = (b"\r", b"\n", b"\0")


def encode_headers(headers: HeadersArgument) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI wants them: pairs of bytes, names in lower case.

    Args:
        headers: Pairs or a mapping; str is encoded as Latin-1.

    Raises:
        ValueError: A name or a value holds CR, LF or NUL, which could start another header.
    """
    pairs: Iterable[Any] = headers.items() if isinstance(headers, Mapping) else headers or ()
    encoded = [(_header_bytes(name).lower(), _header_bytes(value)) for name, value in pairs]
    for pair in encoded:
        if any(character in part for part in pair for character in _FORBIDDEN_IN_HEADERS):
            raise ValueError(f"A header must not contain CR, LF or NUL: {pair!r}")
    return encoded


def encode_response_headers(headers: HeadersArgument, content: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers of a whole response: as given, and what they lack to describe it.

    Raises:
        ValueError: As in `encode_headers`.
    """
    fields = encode_headers(headers)
    names = {name for name, _ in fields}
    if b"content-type" not in names:
        fields.append((b"content-type", b"text/plain; charset=utf-8"))
    if b"content-length" not in names:
        fields.append((b"content-length", str(len(content)).encode()))
    return fields


def _header_bytes(value: str | bytes) -> bytes:
    return value.encode("latin-1") if isinstance(value, str) else bytes(value)
