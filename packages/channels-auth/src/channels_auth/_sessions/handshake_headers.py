"""Decide whether the server sends the headers of an accepted handshake, with the cookies in them.

The scope does not say it reliably: Granian announces version 2.3 of the WebSocket specification
and drops the headers. A wrong guess would log the browser out, because the session gets a new key
that the browser never receives. So this module recognises the servers that were tried and do send
them. Nothing in the scope names the server, so it looks at two things that show whose code serves
the connection: the module of the coroutine that the connection's task runs, and the module of
`send`, which middleware may have wrapped in functions of its own.

Tests have no server: their scope has no addresses, or their `send` puts messages into a queue.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from types import CodeType
from typing import Any, Final

from channels_core.typing import Scope, Send

__all__ = ["server_sends_headers"]

#: Two servers that send such headers, as runs have shown, and the packages whose `send` serves
#: tests that have no server.
_SENDING: Final = frozenset({"uvicorn", "hypercorn", "asgiref", "asyncio", "channels_testing"})

#: How many functions of middleware around the server's `send` are looked through.
_WRAPPERS: Final = 20

# The package of each coroutine function, by its file and name. Only a frame tells it, and Python
# keeps a frame, of 0.25 KiB, for each connection that was asked for it.
_packages: Final[dict[tuple[str, str], tuple[CodeType, str]]] = {}
_MOST_PACKAGES: Final = 100


def server_sends_headers(scope: Scope, send: Send) -> bool:
    """Return whether the headers of an accepted handshake reach the client.

    Args:
        scope: The connection's scope.
        send: ASGI send, perhaps wrapped by middleware.

    Source: ASGI, "Accept - send event": since version 2.1 of the WebSocket specification.
    """
    if scope["type"] != "websocket" or "asgi" not in scope:
        return True  # a scope without `asgi` is a test's
    if str(scope["asgi"].get("spec_version", "2.0")) in ("1.0", "2.0"):
        return False
    if "client" not in scope and "server" not in scope:
        return True
    return _package_of_task() in _SENDING or _is_sent_by_one(send)


def _package_of_task() -> str:
    """Return the package whose coroutine runs as the connection's task."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # there is no event loop: a program calls the middleware itself
        return ""
    coroutine: Any = task and task.get_coro()
    code: CodeType | None = getattr(coroutine, "cr_code", None)
    if code is None:
        return ""
    place = code.co_filename, code.co_qualname
    known, package = _packages.get(place, (None, ""))
    if known is not code:
        # A running coroutine has a frame.
        package = _top(coroutine.cr_frame.f_globals.get("__name__"))
        if len(_packages) >= _MOST_PACKAGES:
            _packages.clear()
        _packages[place] = code, package
    return package


def _is_sent_by_one(send: Any) -> bool:
    """Return whether one of the functions that a message passes belongs to such a package.

    A middleware's function holds the next one in its closure, by convention under the name `send`.
    """
    for _ in range(_WRAPPERS):
        if _top(getattr(send, "__module__", None)) in _SENDING:
            return True
        owner = getattr(send, "__self__", None)
        if owner is not None and _top(type(owner).__module__) in _SENDING:
            return True
        code = getattr(send, "__code__", None)
        if code is None or "send" not in code.co_freevars:
            break
        send = send.__closure__[code.co_freevars.index("send")].cell_contents
    return False


@lru_cache(maxsize=256)
def _top(module: str | None) -> str:
    return (module or "").partition(".")[0]
