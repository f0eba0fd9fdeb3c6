"""Choose the log line, its level and its style for each event of the development server."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

__all__ = ["AccessEntry", "access_entry"]

_HTTP: Final = "HTTP %(method)s %(path)s %(status)s [%(time_taken).2f, %(client)s]"

#: The word for an event of a WebSocket, by Daphne's name for it.
_WEBSOCKET: Final = {
    "connecting": "HANDSHAKING",
    "connected": "CONNECT",
    "rejected": "REJECT",
    "disconnected": "DISCONNECT",
}

#: Django's style for a response, by the first digit of its status; others have an error's style.
_STYLES: Final = {
    1: "HTTP_INFO",
    2: "HTTP_SUCCESS",
    3: "HTTP_REDIRECT",
    4: "HTTP_BAD_REQUEST",
}
_STYLES_OF: Final = {304: "HTTP_NOT_MODIFIED", 404: "HTTP_NOT_FOUND"}


class AccessEntry(NamedTuple):
    """One line for the log."""

    level: int
    #: The line, with places for the details.
    message: str
    details: dict[str, Any]
    #: The name of the style that Django's commands use for it, or None.
    style: str | None = None


def access_entry(protocol: str, action: str, details: Mapping[str, Any]) -> AccessEntry | None:
    """Return the log entry for an event; None if the event is not logged.

    Args:
        protocol: `http` or `websocket`.
        action: `complete` for HTTP; `connecting`, `connected`, `rejected` or `disconnected`.
        details: `path` and `client`; for HTTP `method`, `status` and `time_taken` as well.

    Source: The arguments with which Daphne's `Server` calls its `action_logger`.
    """
    # The client chooses the path; control characters in it must not reach the terminal.
    shown = {key: _escaped(value) for key, value in details.items()}
    if protocol == "websocket" and action in _WEBSOCKET:
        message = f"WebSocket {_WEBSOCKET[action]} %(path)s [%(client)s]"
        return AccessEntry(logging.INFO, message, shown)
    if protocol == "http" and action == "complete":
        status = details["status"]
        style = _STYLES_OF.get(status) or _STYLES.get(status // 100, "HTTP_SERVER_ERROR")
        return AccessEntry(_level(status), _HTTP, shown, style)
    return None


def _level(status: int) -> int:
    if status < 400:
        return logging.INFO
    return logging.WARNING if status < 500 else logging.ERROR


def _escaped(value: Any) -> Any:
    return value.encode("unicode_escape").decode("ascii") if isinstance(value, str) else value
