"""The messages that wait in a channel which any process may read.

A channel of a worker is a list. Each of its elements is the message itself, which is opaque here,
after three words:

- the time when it expires, in milliseconds, or 0 if it never does,
- how often it was given to a worker, if the channel is a queue (see `queues`),
- `-`, or for a dead letter `attempts,seconds,length`: how often it was given, the seconds after
  which a queue gives a message again, and the length of the error that stands before the message.

A queue and a plain channel have the same elements, so a channel may become a queue, or cease to be
one, while messages wait in it. Each append is published under the name of the list, so that
processes that wait for messages look again.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from channels_layers_redis._scripts.calls import Call, given_time, script
from channels_layers_redis._scripts.keys import Keys

__all__ = ["ELEMENTS", "DeadLetter", "Taken", "append", "pop", "put_back", "read_element"]

#: Functions of scripts that handle such a list.
ELEMENTS: Final = """\
-- Returns when it expires, how often it was given, its third word, and where the message begins.
local function read(element)
  local expires, attempts, dead, start = string.match(element, '^(%d+) (%d+) (%S+) ()')
  return tonumber(expires), tonumber(attempts), dead, start
end
-- The list disappears with its last message. `before`: how many messages were in it.
local function outlive(key, before, lifetime)
  if lifetime == 0 then
    if before > 0 then
      redis.call('PERSIST', key)
    end
  elseif before == 0 or redis.call('PTTL', key) >= 0 then
    redis.call('PEXPIRE', key, whole(lifetime))
  end
end
"""

_APPEND: Final = script(
    ELEMENTS
    + """
local key, message, publish = KEYS[1], ARGV[1], ARGV[4]
local capacity, lifetime = tonumber(ARGV[2]), tonumber(ARGV[3])
local now = time(ARGV[5])
local waiting = redis.call('LLEN', key)
local left = waiting
while left >= capacity do
  local expires = read(redis.call('LINDEX', key, 0))
  if expires == 0 or expires > now then
    return 0
  end
  redis.call('LPOP', key)
  left = left - 1
end
local expires = lifetime == 0 and 0 or now + lifetime
redis.call('RPUSH', key, whole(expires) .. ' 0 - ' .. message)
outlive(key, left, lifetime)
redis.call(publish, key, '')
return 1
"""
)

_POP: Final = script(
    ELEMENTS
    + """
local key, count = KEYS[1], tonumber(ARGV[1])
local now = time(ARGV[2])
local taken = {}
while #taken < count do
  local element = redis.call('LPOP', key)
  if not element then
    break
  end
  local expires = read(element)
  if expires == 0 or expires > now then
    taken[#taken + 1] = element
  end
end
return taken
"""
)

_PUT_BACK: Final = script(
    ELEMENTS
    + """
local key, element, publish = KEYS[1], ARGV[1], ARGV[2]
local now = time(ARGV[3])
local expires = read(element)
if expires > 0 and expires <= now then
  return 0
end
local waiting = redis.call('LLEN', key)
redis.call('LPUSH', key, element)
-- What was added since expires later, so the list lives on as it is.
if waiting == 0 or expires == 0 then
  outlive(key, waiting, expires == 0 and 0 or expires - now)
end
redis.call(publish, key, '')
return 1
"""
)


class DeadLetter(NamedTuple):
    """Why a message is a dead letter.

    Attributes:
        attempts: How often it was given to a worker.
        seconds: After how many seconds without an acknowledgement it was given again.
        error: The error of the last attempt, as `queues.reject` took it; empty if it was not
            acknowledged in time.
    """

    attempts: int
    seconds: float
    error: bytes


class Taken(NamedTuple):
    """A message that was taken from a channel.

    Attributes:
        message: The message, as `append` took it.
        dead: Why it is a dead letter; None if it is not one.
        attempt: How often it was given to a worker, if the channel is a queue.
        element: What `put_back` takes.
    """

    message: bytes
    dead: DeadLetter | None
    attempt: int
    element: bytes


def read_element(element: bytes) -> Taken:
    """Read an element of a list."""
    _, attempts, dead, message = element.split(b" ", 3)
    if dead == b"-":
        return Taken(message, None, int(attempts), element)
    given, seconds, length = dead.split(b",")
    end = int(length)
    letter = DeadLetter(int(given), float(seconds), message[:end])
    return Taken(message[end:], letter, int(attempts), element)


def append(
    keys: Keys,
    channel: str,
    message: bytes,
    *,
    capacity: int,
    expiry: float | None,
    now: int | None = None,
) -> Call[bool]:
    """Append a message; the answer is False if the channel is full.

    Args:
        keys: The names of the keys.
        channel: The name of the channel.
        message: The message, packed.
        capacity: How many messages the channel holds; expired ones do not count.
        expiry: Seconds after which the message expires; None for never, as in a queue.
        now: The time in milliseconds, for tests; that of the server if None.
    """
    lifetime = 0 if expiry is None else max(1, round(expiry * 1000))
    arguments = (message, capacity, lifetime, keys.publish, given_time(now))
    return Call(_APPEND, (keys.channel(channel),), arguments, bool)


def pop(keys: Keys, channel: str, *, count: int = 1, now: int | None = None) -> Call[list[Taken]]:
    """Take the messages that have waited longest; the answer is empty if none waits.

    They are no longer in Redis: a process that is killed now has lost them.

    Args:
        keys: The names of the keys.
        channel: The name of the channel.
        count: How many to take at most.
        now: The time in milliseconds, for tests; that of the server if None.
    """
    return Call(_POP, (keys.channel(channel),), (count, given_time(now)), _read_elements)


def put_back(keys: Keys, channel: str, taken: Taken, *, now: int | None = None) -> Call[bool]:
    """Put a message back that `pop` took, as the next one; the answer is False if it has expired.

    Args:
        keys: The names of the keys.
        channel: The name of the channel.
        taken: The message.
        now: The time in milliseconds, for tests; that of the server if None.
    """
    arguments = (taken.element, keys.publish, given_time(now))
    return Call(_PUT_BACK, (keys.channel(channel),), arguments, bool)


def _read_elements(answer: Any) -> list[Taken]:
    return [read_element(element) for element in answer]
