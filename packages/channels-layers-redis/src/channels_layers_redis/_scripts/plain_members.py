"""The members of a group that are channels of no process, such as a worker's channel.

A process hears a group by its subscription, and gives each message to its own channels. A channel
that any process may read is recorded in Redis, by the time when its membership ends.
"""

from __future__ import annotations

from typing import Any, Final

from channels_layers_redis._scripts.calls import Call, given_time, script
from channels_layers_redis._scripts.keys import Keys

__all__ = ["SKEW", "add", "discard", "find", "record", "send"]

#: Seconds by which the clocks of two machines may differ.
SKEW: Final = 60

_ADD: Final = script(
    """
local lifetime = tonumber(ARGV[2])
local now = time(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', whole(now))
redis.call('ZADD', KEYS[1], whole(now + lifetime), ARGV[1])
redis.call('PEXPIRE', KEYS[1], lifetime)
return 1
"""
)

# The key ends after the last group in it, which may be another process's, and that process may have
# another `group_expiry`. Redis 6.2 has no EXPIRE that only makes a life longer.
_RECORD: Final = script(
    """
local lifetime, skew = tonumber(ARGV[2]), tonumber(ARGV[3])
local now = time(ARGV[4])
local function seconds(milliseconds)
  return string.format('%.3f', milliseconds / 1000)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', seconds(now - skew))
redis.call('ZADD', KEYS[1], 'GT', seconds(now + lifetime), ARGV[1])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
redis.call('PEXPIREAT', KEYS[1], whole(tonumber(last) * 1000 + skew))
return 1
"""
)

_DISCARD: Final = script("return redis.call('ZREM', KEYS[1], ARGV[1])")

_NAMES: Final = "return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. whole(time(ARGV[1])), '+inf')"

_FIND: Final = script(_NAMES)

_SEND: Final = script("redis.call(ARGV[2], ARGV[3], ARGV[4])\n" + _NAMES)


def add(
    keys: Keys, group: str, channel: str, *, group_expiry: float, now: int | None = None
) -> Call[bool]:
    """Add a channel, or renew its membership.

    Args:
        keys: The names of the keys.
        group: The name of the group.
        channel: The name of the channel.
        group_expiry: Seconds after which the membership ends.
        now: The time in milliseconds, for tests; that of the server if None.
    """
    arguments = (channel, max(1, round(group_expiry * 1000)), given_time(now))
    return Call(_ADD, (keys.plain_members(group),), arguments, bool)


def record(keys: Keys, group: str, *, group_expiry: float, now: int | None = None) -> Call[bool]:
    """Record that a group has such members, for processes that begin to listen later.

    Args:
        keys: The names of the keys.
        group: The name of the group.
        group_expiry: Seconds after which the membership ends.
        now: The time in milliseconds, for tests; that of the server if None.
    """
    lifetime = max(1, round(group_expiry * 1000))
    return Call(
        _RECORD, (keys.plain_groups,), (group, lifetime, SKEW * 1000, given_time(now)), bool
    )


def discard(keys: Keys, group: str, channel: str) -> Call[bool]:
    """Remove a channel; the answer is whether it was a member."""
    return Call(_DISCARD, (keys.plain_members(group),), (channel,), bool)


def find(keys: Keys, group: str, *, now: int | None = None) -> Call[list[str]]:
    """Return the names of the channels."""
    return Call(_FIND, (keys.plain_members(group),), (given_time(now),), _read_names)


def send(
    keys: Keys, group: str, message: bytes, *, to: str, now: int | None = None
) -> Call[list[str]]:
    """Publish a message to a group, and return the names of the channels.

    Args:
        keys: The names of the keys.
        group: The name of the group.
        message: What is published.
        to: Where it is published.
        now: The time in milliseconds, for tests; that of the server if None.
    """
    arguments = (given_time(now), keys.publish, to, message)
    return Call(_SEND, (keys.plain_members(group),), arguments, _read_names)


def _read_names(answer: Any) -> list[str]:
    return [name.decode() for name in answer]
