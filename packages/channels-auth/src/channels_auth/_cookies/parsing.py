"""Parse the `Cookie` header of a client, in time that grows with its length only.

Django parses cookies with a function of the standard library that searches the rest of a quoted
value again for each escaped character (CVE-2024-7592). Before Python 3.11.10, 3.12.6 and 3.13, a
client can stop the event loop for seconds with a header of a few kilobytes.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

__all__ = ["MAX_LENGTH", "parse_cookies"]

#: The most bytes that the cookies of one client may have: what the servers allow for all headers.
MAX_LENGTH: Final = 65536


def parse_cookies(header: str) -> dict[str, str]:
    """Return the cookies in a header; of two with the same name, the last one counts.

    Source: `django.http.cookie.parse_cookie`, whose result is the same.
    """
    cookies = {}
    for chunk in header.split(";"):
        name, separator, value = chunk.partition("=")
        if not separator:
            # Browsers send the value alone of a cookie without a name.
            name, value = "", name
        name, value = name.strip(), value.strip()
        if name or value:
            cookies[name] = _unquote(value)
    return cookies


@cache
def _escaped() -> re.Pattern[str]:
    """Return the expression for an escaped character: its octal number, or itself.

    It is compiled on use, since few cookies have one.
    """
    return re.compile(r"\\(?:([0-3][0-7][0-7])|(.))")


def _unquote(value: str) -> str:
    """Return a cookie's value without its quotes and escapes, if it is quoted."""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return _escaped().sub(_unescaped, value[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    octal, character = found.groups()
    return chr(int(octal, 8)) if octal else str(character)
