"""The headers of what answers a client: whether they reach it, and what they say to caches."""

from collections.abc import Collection
from typing import Final

from channels_core.typing import Message, Scope

__all__ = ["WITH_HEADERS", "is_failure", "sends_headers", "vary_on_cookie"]

#: The messages with the headers of a response.
WITH_HEADERS: Final = ["http.response.start", "websocket.accept", "websocket.http.response.start"]


def sends_headers(scope: Scope) -> bool:
    """Tell whether the server sends the headers of an accepted handshake.

    Source: ASGI, "Accept - send event": since version 2.1 of the WebSocket specification.
    """
    if scope["type"] != "websocket" or "asgi" not in scope:
        return True  # the latter: made by hand, as in a test
    version = str(scope["asgi"].get("spec_version", "2.0"))
    return version not in ("1.0", "2.0")


def is_failure(message: Message) -> bool:
    """Tell whether a message starts a response that puts the blame on the server."""
    return bool(message.get("status", 200) >= 500)


def vary_on_cookie(headers: Collection[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers by which caches keep the responses to different cookies apart.

    Source: `django.utils.cache.patch_vary_headers`.
    """
    others = [(name, value) for name, value in headers if name.lower() != b"vary"]
    given = [value for name, value in headers if name.lower() == b"vary"]
    fields = [field.strip() for value in given for field in value.split(b",") if field.strip()]
    if b"*" in fields:
        return [*others, (b"vary", b"*")]
    if b"cookie" not in [field.lower() for field in fields]:
        fields.append(b"Cookie")
    return [*others, (b"vary", b", ".join(fields))]
