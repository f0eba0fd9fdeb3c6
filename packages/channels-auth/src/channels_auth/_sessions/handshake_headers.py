"""The headers of what answers a client: whether they reach it, and what they say to caches."""

import asyncio
from collections.abc import Collection, Iterator
from typing import Any, Final

from channels_core.typing import Message, Scope, Send

__all__ = ["WITH_HEADERS", "is_failure", "server_sends_headers", "vary_on_cookie"]

#: The messages with the headers of a response.
WITH_HEADERS: Final = ["http.response.start", "websocket.accept", "websocket.http.response.start"]

#: The packages of which it is known, from runs, that such headers go out: two servers, and those
#: by which tests run an application without a server.
_SENDING: Final = frozenset({"uvicorn", "hypercorn", "asgiref", "asyncio", "channels_testing"})

#: How many functions of middleware are looked through at most.
_WRAPPERS: Final = 20


def server_sends_headers(scope: Scope, send: Send) -> bool:
    """Return whether the server sends the headers of an accepted handshake.

    A version of the specification does not answer that: Granian says 2.3 and drops the headers.
    So a server has to be one that is known to send them. Tests have no server: their scope has no
    addresses, or their `send` puts messages into a queue.

    Args:
        scope: The connection's scope.
        send: ASGI send, perhaps within the functions of middleware.

    Source: ASGI, "Accept - send event": since version 2.1 of the WebSocket specification.
    """
    if scope["type"] != "websocket" or "asgi" not in scope:
        return True  # the latter: made by hand, as in a test
    if str(scope["asgi"].get("spec_version", "2.0")) in ("1.0", "2.0"):
        return False
    if "client" not in scope and "server" not in scope:
        return True
    return not _SENDING.isdisjoint((_package_of_task(), *_packages_of(send)))


def _package_of_task() -> str:
    """Return the package that has started the task of the connection."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop: a middleware is made by hand
        return ""
    frame = getattr(task and task.get_coro(), "cr_frame", None)
    return "" if frame is None else _top(frame.f_globals.get("__name__"))


def _packages_of(send: Any) -> Iterator[str]:
    """Yield the packages of the functions through which a message passes, the server's last."""
    for _ in range(_WRAPPERS):
        owner = getattr(send, "__self__", None)
        yield _top(getattr(send, "__module__", None))
        yield _top(type(owner).__module__)
        code = getattr(send, "__code__", None)
        if code is None or "send" not in code.co_freevars:
            break
        send = send.__closure__[code.co_freevars.index("send")].cell_contents


def _top(module: str | None) -> str:
    return (module or "").partition(".")[0]


def is_failure(message: Message) -> bool:
    """Tell whether a message starts a response that puts the blame on the server."""
    return bool(message.get("status", 200) >= 500)


def vary_on_cookie(headers: Collection[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers by which caches keep the responses to different cookies apart.

    Source: `django.utils.cache.patch_vary_headers`.
    """
    given = [value for name, value in headers if name.lower() == b"vary"]
    fields = [field.strip() for value in given for field in value.split(b",") if field.strip()]
    if b"*" in fields:
        fields = [b"*"]
    elif b"cookie" not in [field.lower() for field in fields]:
        fields.append(b"Cookie")
    merged: bytes | None = b", ".join(fields)
    result = []
    for pair in headers:
        if pair[0].lower() != b"vary":
            result.append(pair)
        elif merged is not None:
            # In the place and under the name that the program chose.
            result.append((pair[0], merged))
            merged = None
    return result if merged is None else [*result, (b"vary", merged)]
