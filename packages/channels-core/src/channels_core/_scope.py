"""What Channels keeps for a connection: keys of its scope, and a variable of its context.

Programs read `url_route`; `channels_core.typing` declares it for type checkers. Keys that begin
with `channels.` are private.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Final, TypeAlias

__all__ = [
    "AFTER_HANDLER",
    "PATH_REMAINING",
    "SERVER",
    "URL_ROUTE",
    "AfterHandler",
    "answers_failures",
]

#: What the patterns of the routes have captured; added by a `URLRouter`.
URL_ROUTE: Final = "url_route"
#: The part of the path that an inner `URLRouter` has to match; added by the outer one.
PATH_REMAINING: Final = "path_remaining"

#: The object of Daphne or Uvicorn for the connection, in an `Outgoing`; see `channels_core.abort`.
SERVER: Final = "channels.server"

#: Called without arguments; returns an awaitable, or None if there is nothing to do.
AfterHandler: TypeAlias = Callable[[], Awaitable[None] | None]
#: The functions that the consumer calls after each of its handlers; a tuple of `AfterHandler`.
AFTER_HANDLER: Final = "channels.after_handler"

#: Set by a `ProtocolTypeRouter` while it serves a connection: the client gets an answer to a
#: failure.
answers_failures: Final[ContextVar[bool]] = ContextVar("channels_answers_failures", default=False)
