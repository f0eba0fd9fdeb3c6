"""The limits of Daphne's server: an option for each, and the smallest value that works."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from django.core.management import CommandError

__all__ = ["add_limits", "limits"]

#: The value of `websocket_timeout` for WebSockets without a limit.
_NEVER: Final = -1


def _number_or_never(text: str) -> int:
    try:
        return _NEVER if text == "never" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a number of seconds, or 'never'; got {text!r}"
        ) from None


class _Limit(NamedTuple):
    """A parameter of Daphne's `Server`, and the option of the same name."""

    name: str
    help: str
    least: int
    type: Callable[[str], int] = int


_LIMITS: Final = (
    _Limit(
        "websocket_timeout",
        "Seconds after which a WebSocket is closed, in use or not; or 'never' (default: a day)",
        least=1,
        type=_number_or_never,
    ),
    _Limit(
        "websocket_connect_timeout",
        "Seconds in which the application has to accept a WebSocket or refuse it (default: 20)",
        least=1,
    ),
    _Limit(
        "ping_interval",
        "Seconds of silence after which a WebSocket's client is pinged (default: 20)",
        least=1,
    ),
    _Limit(
        "ping_timeout",
        "Seconds after which a WebSocket is closed whose client answers no ping; 0 for never "
        "(default: 30)",
        least=0,
    ),
    _Limit(
        "application_close_timeout",
        "Seconds that the application has to end after its client has left (default: 10)",
        least=0,
    ),
    _Limit(
        "request_buffer_size",
        "Bytes of a request's body that the application gets at a time (default: 8192)",
        least=1,
    ),
)

#: Attributes of Daphne's command, named like the parameters; not every version has all of them.
#: In each of them, 0 means no limit.
_KEPT: Final = (
    "http_timeout",
    "websocket_handshake_timeout",
    "websocket_max_message_size",
    "websocket_max_frame_size",
)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add an option for each limit, in both spellings that Daphne uses for its own."""
    for limit in _LIMITS:
        spellings = {f"--{limit.name.replace('_', '-')}", f"--{limit.name}"}
        parser.add_argument(*sorted(spellings), dest=limit.name, type=limit.type, help=limit.help)


def limits(command: object, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for Daphne's `Server`, without those that keep its defaults.

    Raises:
        CommandError: A limit is so small that nothing could be served.
    """
    kept = {name: getattr(command, name) for name in _KEPT if hasattr(command, name)}
    chosen = {limit.name: options.get(limit.name) for limit in _LIMITS}
    for name in _KEPT:
        _check(name, kept.get(name), 0)
    for limit in _LIMITS:
        _check(limit.name, chosen[limit.name], limit.least, or_never=limit.type is _number_or_never)
    return kept | {name: value for name, value in chosen.items() if value is not None}


def _check(name: str, value: int | None, least: int, *, or_never: bool = False) -> None:
    if value is None or value >= least or (or_never and value == _NEVER):
        return
    never = ", or 'never'" if or_never else ""
    raise CommandError(f"The limit {name} has to be {least} or more{never}; got {value}")
