"""Which close codes of a WebSocket may be sent, and which ones every server sends.

A consumer may close with any code that is valid. Daphne sends fewer of them for an application:
1000 and those from 3000 on, which are called portable here. Where Channels itself closes with a
lower code, it falls back to `portable_close_code`.

Source: RFC 6455, section 7.4, and IANA, "WebSocket Close Code Number Registry".
"""

from __future__ import annotations

from typing import Final, TypeGuard

__all__ = [
    "is_portable_close_code",
    "portable_close_code",
    "require_portable_close_code",
    "require_valid_close_code",
]

_NORMAL: Final = 1000
#: The others of the protocol that may be sent. The rest up to 2999 is reserved: some codes, such
#: as 1005 and 1006, only tell a program how a connection has ended.
_OF_PROTOCOL: Final = frozenset({_NORMAL, 1001, 1002, 1003, *range(1007, 1015)})
_FIRST_OF_PROGRAMS: Final = 3000
_LAST: Final = 4999


def require_valid_close_code(code: object) -> None:
    """Raise an error for a close code that must not be sent.

    Args:
        code: The code; None and True leave it to the server, which sends 1000.

    Raises:
        ValueError: It is not an int from 1000 to 4999, or it is reserved.
    """
    if code is None or code is True:
        return
    if not (isinstance(code, int) and _NORMAL <= code <= _LAST):
        raise ValueError(f"A close code is an int from {_NORMAL} to {_LAST}, not {code!r}")
    if code < _FIRST_OF_PROGRAMS and code not in _OF_PROTOCOL:
        raise ValueError(
            f"Close code {code!r} is reserved and cannot be sent (RFC 6455, section 7.4); "
            f"programs choose one from {_FIRST_OF_PROGRAMS} to {_LAST}"
        )


def is_portable_close_code(code: object) -> TypeGuard[int]:
    """Return whether every server sends a close code for an application."""
    return isinstance(code, int) and (code == _NORMAL or _FIRST_OF_PROGRAMS <= code <= _LAST)


def require_portable_close_code(code: object) -> None:
    """Raise an error for a close code that some server does not send for an application.

    Raises:
        ValueError: It is neither 1000 nor an int from 3000 to 4999.
    """
    # Not an IntEnum either: the code crosses a channel layer, which may not pack one.
    if type(code) is not int or not is_portable_close_code(code):
        raise ValueError(
            f"A close code is {_NORMAL} or an int from {_FIRST_OF_PROGRAMS} to {_LAST}, not "
            f"{code!r}"
        )


def portable_close_code(code: int) -> int:
    """Return the portable close code that stands for a code of the protocol: 4003 for 1003."""
    return code if is_portable_close_code(code) else code + _FIRST_OF_PROGRAMS
