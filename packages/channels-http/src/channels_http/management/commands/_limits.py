"""The limits of Daphne that its own `runserver` has no options for."""

import argparse
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

__all__ = ["add_limits", "limits"]


class _Limit(NamedTuple):
    """A parameter of Daphne's `Server`, which is an option of the same name."""

    name: str
    help: str


_LIMITS: Final = (
    _Limit(
        "websocket_timeout",
        "Seconds after which a WebSocket is closed, in use or not; -1 for never (default: a day)",
    ),
    _Limit(
        "websocket_connect_timeout",
        "Seconds in which the application has to accept a WebSocket or refuse it (default: 20)",
    ),
    _Limit(
        "ping_interval",
        "Seconds of silence after which a WebSocket's client is pinged (default: 20)",
    ),
    _Limit(
        "ping_timeout",
        "Seconds after which a WebSocket is closed whose client answers no ping (default: 30)",
    ),
    _Limit(
        "application_close_timeout",
        "Seconds that the application has to end after its client has left (default: 10)",
    ),
    _Limit(
        "request_buffer_size",
        "Bytes of a request's body that the application gets at a time (default: 8192)",
    ),
)

#: What Daphne's command keeps on itself, by the names of the parameters; not all are there in
#: each of its versions.
_KEPT: Final = (
    "http_timeout",
    "websocket_handshake_timeout",
    "websocket_max_message_size",
    "websocket_max_frame_size",
)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add an option for each, in both spellings that Daphne has for its own."""
    for limit in _LIMITS:
        spellings = {f"--{limit.name.replace('_', '-')}", f"--{limit.name}"}
        parser.add_argument(*sorted(spellings), dest=limit.name, type=int, help=limit.help)


def limits(command: object, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for Daphne's `Server`; what is not set has the server's default."""
    kept = {name: getattr(command, name) for name in _KEPT if hasattr(command, name)}
    chosen = {limit.name: options.get(limit.name) for limit in _LIMITS}
    return kept | {name: value for name, value in chosen.items() if value is not None}
