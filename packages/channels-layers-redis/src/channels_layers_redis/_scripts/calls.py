"""A script, and a call of one."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha1
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

__all__ = ["Argument", "Call", "Script", "script"]

_T = TypeVar("_T")

Argument: TypeAlias = bytes | str | int

# Begins every script. Times are in whole milliseconds, and are those of the server, so that the
# clocks of its clients do not matter; a test may give another.
_PROLOGUE: Final = """\
local function time(given)
  if given ~= '' then
    return tonumber(given)
  end
  local parts = redis.call('TIME')
  return parts[1] * 1000 + math.floor(parts[2] / 1000)
end
-- Redis would write a large number as 1.7e+12.
local function whole(number)
  return string.format('%.0f', number)
end
"""


class Script(NamedTuple):
    """A script of Redis.

    Attributes:
        text: The program, in Lua.
        sha: The name under which Redis keeps it, for EVALSHA.
    """

    text: str
    sha: str


def script(body: str) -> Script:
    """Make a script: its body may use the functions `time(given)` and `whole(number)`."""
    text = _PROLOGUE + body
    # The name that Redis gives it; no secret depends on it.
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


class Call(NamedTuple, Generic[_T]):
    """A call of a script: `EVALSHA script.sha len(keys) *keys *arguments`.

    A call must not be repeated when its connection breaks before the answer: it may have run.

    Attributes:
        script: The script, whose text EVAL takes if the server does not know it.
        keys: The keys that it uses; a cluster has them all in one slot.
        arguments: Its other arguments.
        parse: Reads the answer, which has bytes, ints, lists and None.
    """

    script: Script
    keys: tuple[str, ...]
    arguments: tuple[Argument, ...]
    parse: Callable[[Any], _T]


def given_time(now: int | None) -> Argument:
    """Return the argument for `time()` in a script: empty for the time of the server."""
    return "" if now is None else now
