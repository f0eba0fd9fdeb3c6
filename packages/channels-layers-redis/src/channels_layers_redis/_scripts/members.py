"""Who is in which group.

A *person* is one id in one group; a person has one or more *connections*, each a channel of some
process. The keys, in the order of `Keys.members`:

1. `leases`: the processes, by the time until which each must renew its lease.
2. `connections`: a hash, `group channel` -> `id process number data`.
3. `of-process`: `process group channel`, to find the connections of a process that was killed.
4. `of-person`: `group id number channel`, to find the newest connection of a person.
5. `people`: a hash, `group id` -> `number connections data`; the data are those of the newest
   connection, and stay while the person is absent.
6. `listing`: `group id`, to find the people of a group.
7. `absent`: `group id` of those who have no connection, by the time when they count as gone.
8. `count`: the number that was given last.

3, 4 and 6 are sorted sets in which all scores are 0, so that Redis sorts by the text. An id here is
a digest of the id that the program gave, so it has a fixed length and no space; the data are
opaque.

All these keys are used by all scripts here, and the lease command of each process renews how long
they live. So one command for a process is enough, however many members it has; the members of a
process that was killed are removed by the next process that notices; and when the last process is
gone, all keys expire. When no process at all has renewed its lease in time, the reason is the way
to Redis, not the processes: then all of them get one lease more.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from channels_layers_redis._scripts.calls import Argument, Call, given_time, script
from channels_layers_redis._scripts.keys import Keys

__all__ = [
    "Joined",
    "Left",
    "Notices",
    "Person",
    "Renewed",
    "end_process",
    "join",
    "leave",
    "people",
    "renew",
]

# How many connections and how many people one call removes at most besides its own.
_BOUND: Final = 200

_MEMBERS: Final = (
    f"local bound = {_BOUND}\n"
    """
local leases, connections, of_process, of_person = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local people, listing, absent, count = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local to, joined_head, left_head = ARGV[1], ARGV[2], ARGV[3]
local lease, linger = tonumber(ARGV[4]), tonumber(ARGV[5])
local now = time(ARGV[6])
local process = ARGV[7]
local lifetime = 4 * lease + linger

local function live_on()
  for _, key in ipairs(KEYS) do
    redis.call('PEXPIRE', key, lifetime)
  end
end

local function tell(head, person, data)
  local group = string.match(person, '^%S+')
  local where = string.gsub(to, '%*', group)
  redis.call('PUBLISH', where, head .. group .. ' ' .. data)
end

local function read_connection(record)
  local id, owner, number, start = string.match(record, '^(%S+) (%S+) (%d+) ()')
  return id, owner, number, string.sub(record, start)
end

local function read_person(person)
  local record = redis.call('HGET', people, person)
  if not record then
    return
  end
  local number, several, start = string.match(record, '^(%d+) (%d+) ()')
  return number, tonumber(several), string.sub(record, start)
end

local function write_person(person, number, several, data)
  redis.call('HSET', people, person, number .. ' ' .. several .. ' ' .. data)
end

local function ordered(number)
  return string.format('%016.0f', tonumber(number))
end

local function newest_of(person)
  local entry = redis.call(
    'ZREVRANGEBYLEX', of_person, '(' .. person .. '!', '[' .. person .. ' ', 'LIMIT', 0, 1)[1]
  return entry and string.match(entry, '%S+$')
end

local function goes(person)
  local _, _, data = read_person(person)
  redis.call('HDEL', people, person)
  redis.call('ZREM', listing, person)
  redis.call('ZREM', absent, person)
  if data then
    tell(left_head, person, data)
  end
end

-- Removes a connection; a person without one is absent for `patience`, and then gone.
local function part(group, channel, record, patience)
  local at = group .. ' ' .. channel
  local id, owner, number = read_connection(record)
  local person = group .. ' ' .. id
  redis.call('HDEL', connections, at)
  redis.call('ZREM', of_process, owner .. ' ' .. at)
  redis.call('ZREM', of_person, person .. ' ' .. ordered(number) .. ' ' .. channel)
  local order, several, data = read_person(person)
  if not order then
    redis.call('ZREM', listing, person)
    return
  end
  if several > 1 then
    local other = newest_of(person)
    local its = other and redis.call('HGET', connections, group .. ' ' .. other)
    if its then
      local _, _, _, newer = read_connection(its)
      data = newer
    end
    write_person(person, order, several - 1, data)
  elseif patience > 0 then
    write_person(person, order, 0, data)
    redis.call('ZADD', absent, whole(now + patience), person)
    redis.call('PEXPIRE', absent, lifetime)
  else
    goes(person)
  end
end

-- Gives a lease, and returns whether this process had none.
local function renew()
  local last = redis.call('ZREVRANGE', leases, 0, 0, 'WITHSCORES')
  if last[2] and tonumber(last[2]) <= now then
    for _, other in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
      redis.call('ZADD', leases, whole(now + lease), other)
    end
  end
  return redis.call('ZADD', leases, whole(now + lease), process) == 1
end

-- Removes up to `bound` connections of a process, and returns whether none is left.
local function remove_process(ended, patience)
  local found = redis.call(
    'ZRANGEBYLEX', of_process, '[' .. ended .. ' ', '(' .. ended .. '!', 'LIMIT', 0, bound)
  for _, entry in ipairs(found) do
    local group, channel = string.match(entry, '^%S+ (%S+) (%S+)$')
    local record = redis.call('HGET', connections, group .. ' ' .. channel)
    if record then
      part(group, channel, record, patience)
    else
      redis.call('ZREM', of_process, entry)
    end
  end
  if #found == bound then
    return false
  end
  redis.call('ZREM', leases, ended)
  return true
end

-- Removes what is overdue, within bounds, and returns whether more of it is left.
local function sweep()
  local ended = redis.call('ZRANGEBYSCORE', leases, '-inf', whole(now), 'LIMIT', 0, 1)[1]
  local more = false
  if ended then
    more = not remove_process(ended, 0)
      or #redis.call('ZRANGEBYSCORE', leases, '-inf', whole(now), 'LIMIT', 0, 1) > 0
  end
  local gone = redis.call('ZRANGEBYSCORE', absent, '-inf', whole(now), 'LIMIT', 0, bound)
  for _, person in ipairs(gone) do
    goes(person)
  end
  return more or #gone == bound
end
"""
)

_JOIN: Final = script(
    _MEMBERS
    + """
local group, channel, id, data = ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local at, person = group .. ' ' .. channel, group .. ' ' .. id
local fresh = false
if not redis.call('ZSCORE', leases, process) then
  fresh = renew()
end
local record = redis.call('HGET', connections, at)
local number
if record then
  local old_id, owner, old_number = read_connection(record)
  if old_id == id and owner == process then
    number = old_number
  else
    -- Another person, who was here under this channel, or a process that took it over.
    part(group, channel, record, linger)
  end
end
local order, several = read_person(person)
local first = not order
if not (number and order) then
  number = redis.call('INCR', count)
  if first then
    redis.call('ZADD', listing, 0, person)
  elseif several == 0 then
    redis.call('ZREM', absent, person)
  end
  redis.call('ZADD', of_process, 0, process .. ' ' .. at)
  redis.call('ZADD', of_person, 0, person .. ' ' .. ordered(number) .. ' ' .. channel)
  write_person(person, order or number, (several or 0) + 1, data)
elseif newest_of(person) == channel then
  -- The same connection tells new data, which count only if it is the newest.
  write_person(person, order, several, data)
end
redis.call('HSET', connections, at, id .. ' ' .. process .. ' ' .. number .. ' ' .. data)
if fresh or redis.call('HLEN', connections) == 1 then
  live_on()
end
if first then
  tell(joined_head, person, data)
end
return {fresh and 1 or 0, first and 1 or 0}
"""
)

_LEAVE: Final = script(
    _MEMBERS
    + """
local group, channel = ARGV[8], ARGV[9]
local record = redis.call('HGET', connections, group .. ' ' .. channel)
if not record then
  return {0, 0}
end
local id = read_connection(record)
part(group, channel, record, linger)
local lingers = redis.call('ZSCORE', absent, group .. ' ' .. id)
return {1, lingers and 1 or 0}
"""
)

_RENEW: Final = script(
    _MEMBERS
    + """
local fresh = renew()
local more = sweep()
live_on()
local first = redis.call('ZRANGE', leases, 0, 0, 'WITHSCORES')
local known = redis.call('HLEN', connections) + redis.call('ZCARD', absent)
return {fresh and 1 or 0, more and 1 or 0, tonumber(first[2]) - now, known}
"""
)

_END_PROCESS: Final = script(
    _MEMBERS
    + """
if not remove_process(process, linger) then
  return 0
end
if redis.call('EXISTS', leases) == 0 then
  -- Nobody is left who could do it later.
  local waits = redis.call('ZRANGE', absent, 0, bound - 1)
  for _, person in ipairs(waits) do
    goes(person)
  end
  if #waits == bound then
    return 0
  end
  redis.call('DEL', unpack(KEYS))
end
return 1
"""
)

_PEOPLE: Final = script(
    _MEMBERS
    + """
for _ = 1, 10 do
  if not sweep() then
    break
  end
end
local group = ARGV[8]
local found = redis.call('ZRANGEBYLEX', listing, '[' .. group .. ' ', '(' .. group .. '!')
local records = {}
-- Redis takes some thousand arguments at once.
for start = 1, #found, 1000 do
  local some = redis.call('HMGET', people, unpack(found, start, math.min(start + 999, #found)))
  for i = 1, #some do
    if some[i] then
      records[#records + 1] = some[i]
    end
  end
end
return records
"""
)


class Notices(NamedTuple):
    """How a group is told of its members, and how long it waits.

    A notice is published as its head, the group's name, a space, and the data of the person.

    Attributes:
        to: Where notices are published; `*` stands for the name of the group.
        joined: The head of the notice that a person has joined.
        left: The head of the notice that a person has left.
        lease: Seconds after which a process that has not renewed its lease has ended.
        linger: Seconds for which a person without a connection stays.
    """

    to: str
    joined: bytes
    left: bytes
    lease: float
    linger: float


class Joined(NamedTuple):
    """The answer of `join`.

    Attributes:
        fresh: Whether the process had no lease: if it has other members, they are no longer known.
        first: Whether the person was not in the group before.
    """

    fresh: bool
    first: bool


class Left(NamedTuple):
    """The answer of `leave`.

    Attributes:
        known: Whether the channel was that of a member.
        lingers: Whether the person has no connection now and is gone after `linger`: `renew` must
            run then.
    """

    known: bool
    lingers: bool


class Renewed(NamedTuple):
    """The answer of `renew`.

    Attributes:
        fresh: Whether the process had no lease: its members are no longer known.
        more: Whether more is overdue than one call removes: call it again now.
        next_end: Seconds until the first of all leases ends, unless it is renewed.
        known: How many connections and absent people there are, in all groups.
    """

    fresh: bool
    more: bool
    next_end: float
    known: int


class Person(NamedTuple):
    """A person who is in a group.

    Attributes:
        number: People are in the order of these numbers.
        connections: The number of connections; 0 while the group waits for the person's return.
        data: The data of the newest connection.
    """

    number: int
    connections: int
    data: bytes


def join(
    keys: Keys,
    notices: Notices,
    process: str,
    group: str,
    channel: str,
    person: str,
    data: bytes,
    *,
    now: int | None = None,
) -> Call[Joined]:
    """Record the member behind a channel, and tell the group if the person is new in it.

    Args:
        keys: The names of the keys.
        notices: How the group is told.
        process: The process whose lease the member depends on; no space in it.
        group: The name of the group.
        channel: The name of the channel.
        person: A digest of the person's id; no space in it.
        data: The data, packed.
        now: The time in milliseconds, for tests; that of the server if None.
    """
    rest = (group, channel, person, data)
    return Call(_JOIN, keys.members, _arguments(notices, process, now, *rest), _read_joined)


def leave(
    keys: Keys,
    notices: Notices,
    process: str,
    group: str,
    channel: str,
    *,
    now: int | None = None,
) -> Call[Left]:
    """Forget the member behind a channel; the arguments are those of `join`."""
    return Call(_LEAVE, keys.members, _arguments(notices, process, now, group, channel), _read_left)


def renew(keys: Keys, notices: Notices, process: str, *, now: int | None = None) -> Call[Renewed]:
    """Renew the lease of a process, and remove what is overdue, of all processes."""
    return Call(_RENEW, keys.members, _arguments(notices, process, now), _read_renewed)


def end_process(
    keys: Keys, notices: Notices, process: str, *, now: int | None = None
) -> Call[bool]:
    """Forget all members of a process that ends; repeat it until the answer is True."""
    return Call(_END_PROCESS, keys.members, _arguments(notices, process, now), bool)


def people(
    keys: Keys, notices: Notices, process: str, group: str, *, now: int | None = None
) -> Call[list[Person]]:
    """Return who is in a group, in the order of first joining, after removing what is overdue."""
    return Call(_PEOPLE, keys.members, _arguments(notices, process, now, group), _read_people)


def _arguments(
    notices: Notices, process: str, now: int | None, *rest: Argument
) -> tuple[Argument, ...]:
    times = (round(notices.lease * 1000), round(notices.linger * 1000), given_time(now))
    return (notices.to, notices.joined, notices.left, *times, process, *rest)


def _read_joined(answer: Any) -> Joined:
    fresh, first = answer
    return Joined(bool(fresh), bool(first))


def _read_left(answer: Any) -> Left:
    known, lingers = answer
    return Left(bool(known), bool(lingers))


def _read_renewed(answer: Any) -> Renewed:
    fresh, more, pause, known = answer
    return Renewed(bool(fresh), bool(more), pause / 1000, known)


def _read_people(answer: Any) -> list[Person]:
    found = []
    for record in answer:
        number, connections, data = record.split(b" ", 2)
        found.append(Person(int(number), int(connections), data))
    return sorted(found)
