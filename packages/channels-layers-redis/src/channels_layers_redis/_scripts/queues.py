"""Channels whose messages have to be acknowledged.

The messages wait in a list, as those of any worker's channel (see `waiting`). One that a worker has
is in a hash instead, under the token of this attempt, and the token is in a sorted set, with the
time until which the attempt must be acknowledged. Whoever asks for a message first puts back those
whose time is over, or makes them dead letters. So nothing has to run beside the workers, and a
worker that waits needs to look again only when `Nothing.look_again` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from channels_layers_redis._scripts.calls import Call, given_time, script
from channels_layers_redis._scripts.keys import Keys
from channels_layers_redis._scripts.waiting import ELEMENTS, Taken, read_element

__all__ = [
    "DEAD_LETTERS",
    "Delivered",
    "Ended",
    "acknowledge",
    "deliver",
    "give_back",
    "reject",
]

#: How many dead letters of a queue are kept.
DEAD_LETTERS: Final = 10_000

# How many overdue messages one call puts back: the next call goes on.
_BOUND: Final = 100

# The keys of all scripts here: those of Keys.queue.
_QUEUE: Final = (
    ELEMENTS
    + f"""
local waiting, deadlines, attempts, letters = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local kept_letters = {DEAD_LETTERS}
-- How many dead letters were dropped because there were too many.
local dropped = 0
"""
    + """
local function bury(element, err, seconds, publish)
  local _, given, dead, start = read(element)
  -- A dead letter of dead letters has only the last error.
  local before = string.match(dead, '^%d+,[^,]+,(%d+)$')
  local message = string.sub(element, start + tonumber(before or 0))
  local word = given .. ',' .. seconds .. ',' .. #err
  redis.call('PERSIST', letters)
  local count = redis.call('RPUSH', letters, '0 0 ' .. word .. ' ' .. err .. message)
  if count > kept_letters then
    redis.call('LTRIM', letters, -kept_letters, -1)
    dropped = dropped + count - kept_letters
  end
  redis.call(publish, letters, '')
end
local function again(element, fewer)
  local _, given, dead, start = read(element)
  local words = '0 ' .. (given - fewer) .. ' ' .. dead .. ' '
  redis.call('LPUSH', waiting, words .. string.sub(element, start))
  redis.call('PERSIST', waiting)
end
"""
)

_DELIVER: Final = script(
    _QUEUE
    + f"local bound = {_BOUND}\n"
    + """
local seconds, tries, publish = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local now = time(ARGV[4])
local first_token = 5
local was_put_back = false
local patience = math.max(1, math.floor(tonumber(seconds) * 1000))
local overdue = redis.call('ZRANGEBYSCORE', deadlines, '-inf', whole(now), 'LIMIT', 0, bound)
if #overdue > 0 then
  local elements = redis.call('HMGET', attempts, unpack(overdue))
  redis.call('ZREM', deadlines, unpack(overdue))
  redis.call('HDEL', attempts, unpack(overdue))
  -- From the last to the first, which is then the next.
  for i = #overdue, 1, -1 do
    local element = elements[i]
    if element then
      local _, given = read(element)
      if given >= tries then
        bury(element, '', seconds, publish)
      else
        again(element, 0)
        was_put_back = true
      end
    end
  end
end
if was_put_back and #ARGV < first_token then
  redis.call(publish, waiting, '')
end
local given = {}
while first_token + #given <= #ARGV do
  local element = redis.call('LPOP', waiting)
  if not element then
    break
  end
  local expires, before, dead, start = read(element)
  -- Only what was sent before this channel was a queue expires.
  if expires == 0 or expires > now then
    element = '0 ' .. (before + 1) .. ' ' .. dead .. ' ' .. string.sub(element, start)
    local token = ARGV[first_token + #given]
    redis.call('HSET', attempts, token, element)
    redis.call('ZADD', deadlines, whole(now + patience), token)
    given[#given + 1] = element
  end
end
local first = redis.call('ZRANGE', deadlines, 0, 0, 'WITHSCORES')
local pause = patience
if first[2] then
  pause = math.max(0, math.min(pause, tonumber(first[2]) - now))
end
return {given, pause, dropped, first[2] and 1 or 0}
"""
)

# An attempt whose time is over has failed, though nobody may have asked for a message since.
_END: Final = """
local token = ARGV[1]
local deadline = redis.call('ZSCORE', KEYS[2], token)
local element = redis.call('HGET', KEYS[3], token)
if not (deadline and element) or tonumber(deadline) <= time(ARGV[2]) then
  return {0, 0}
end
redis.call('ZREM', KEYS[2], token)
redis.call('HDEL', KEYS[3], token)
"""

_ACKNOWLEDGE: Final = script(_END + "return {1, 0}")

_REJECT: Final = script(
    _QUEUE
    + _END
    + """
local err, seconds, tries, publish = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local _, given = read(element)
if given >= tries then
  bury(element, err, seconds, publish)
else
  -- It waits for its time under a name that nobody can acknowledge.
  local rejected = 'rejected ' .. token
  redis.call('HSET', attempts, rejected, element)
  redis.call('ZADD', deadlines, deadline, rejected)
end
return {1, dropped}
"""
)

_GIVE_BACK: Final = script(
    _QUEUE
    + _END
    + """
again(element, 1)
redis.call(ARGV[3], waiting, '')
return {1, dropped}
"""
)


class Delivered(NamedTuple):
    """The answer of `deliver`.

    Attributes:
        taken: The messages with their attempts, one for each of the first tokens.
        look_again: Seconds after which to ask again, even if nothing was published.
        dropped: How many dead letters were dropped because there were too many.
        attempted: Whether somebody has a message that is not acknowledged yet.
    """

    taken: list[Taken]
    look_again: float
    dropped: int
    attempted: bool


class Ended(NamedTuple):
    """The answer of what ends an attempt.

    Attributes:
        current: Whether the attempt had not ended before.
        dropped: How many dead letters were dropped because there were too many.
    """

    current: bool
    dropped: int


def deliver(
    keys: Keys,
    queue: str,
    tokens: Sequence[str],
    *,
    redeliver_after: float,
    tries: int,
    now: int | None = None,
) -> Call[Delivered]:
    """Take the next messages, and keep each until it is acknowledged.

    Args:
        keys: The names of the keys.
        queue: The name of the queue.
        tokens: As many as messages are wanted; each names one attempt, and must not have been used
            before. None to look only for messages whose time is over.
        redeliver_after: Seconds after which a message that was not acknowledged is given again.
        tries: The number of attempts after which it is a dead letter.
        now: The time in milliseconds, for tests; that of the server if None.
    """
    arguments = (str(redeliver_after), tries, keys.publish, given_time(now), *tokens)
    return Call(_DELIVER, keys.queue(queue), arguments, _read_delivered)


def acknowledge(keys: Keys, queue: str, token: str, *, now: int | None = None) -> Call[Ended]:
    """Forget a message: its attempt has succeeded."""
    return Call(_ACKNOWLEDGE, keys.queue(queue), (token, given_time(now)), _read_ended)


def reject(
    keys: Keys,
    queue: str,
    token: str,
    error: bytes,
    *,
    redeliver_after: float,
    tries: int,
    now: int | None = None,
) -> Call[Ended]:
    """End an attempt that has failed: the message is given again in its time, or is a dead letter.

    Args:
        keys: The names of the keys.
        queue: The name of the queue.
        token: Names the attempt.
        error: What a dead letter tells of its last attempt, opaque here.
        redeliver_after: As in `deliver`.
        tries: As in `deliver`.
        now: The time in milliseconds, for tests; that of the server if None.
    """
    arguments = (token, given_time(now), error, str(redeliver_after), tries, keys.publish)
    return Call(_REJECT, keys.queue(queue), arguments, _read_ended)


def give_back(keys: Keys, queue: str, token: str, *, now: int | None = None) -> Call[Ended]:
    """Put a message back as the next one, as if it had not been given.

    Args:
        keys: The names of the keys.
        queue: The name of the queue.
        token: Names the attempt.
        now: The time in milliseconds, for tests; that of the server if None.
    """
    arguments = (token, given_time(now), keys.publish)
    return Call(_GIVE_BACK, keys.queue(queue), arguments, _read_ended)


def _read_delivered(answer: Any) -> Delivered:
    given, pause, dropped, attempted = answer
    taken = [read_element(element) for element in given]
    return Delivered(taken, pause / 1000, dropped, bool(attempted))


def _read_ended(answer: Any) -> Ended:
    current, dropped = answer
    return Ended(bool(current), dropped)
