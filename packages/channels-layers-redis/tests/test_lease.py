"""A lease without a server: what it does when Redis is away, or slow."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from channels_layers_redis._layer.addresses import Addresses
from channels_layers_redis._layer.codec import Codec
from channels_layers_redis._layer.dropped_messages import DroppedMessages
from channels_layers_redis._layer.members import Lease, Member, Members
from channels_layers_redis._scripts import members as scripts
from channels_layers_redis._scripts.calls import Call
from channels_layers_redis._scripts.keys import Keys
from channels_layers_redis._scripts.members import Joined, Left, Renewed

ANN = Member("0" * 32, b"ann")
NAMES = {
    scripts._JOIN.sha: "join",
    scripts._LEAVE.sha: "leave",
    scripts._RENEW.sha: "renew",
    scripts._END_PROCESS.sha: "end",
}


class Redis:
    """Answers calls as it is told to, or waits."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.answers: dict[str, list[Any]] = {}
        self.usual: dict[str, Any] = {
            "join": Joined(fresh=False, first=True),
            "leave": Left(known=True, lingers=False),
            "renew": Renewed(fresh=False, more=False, next_end=20.0, known=0),
            "end": True,
        }

    async def run(self, call: Call[Any]) -> Any:
        name = NAMES[call.script.sha]
        self.calls.append(name)
        answers = self.answers.get(name)
        answer = answers.pop(0) if answers else self.usual[name]
        if isinstance(answer, asyncio.Future):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer


class Fixture:
    def __init__(self) -> None:
        self.redis = Redis()
        self.tasks: list[asyncio.Task[None]] = []
        members = Members(
            keys=Keys("test"),
            addresses=Addresses("test"),
            codec=Codec("msgpack", None),
            dropped=DroppedMessages(),
            lease=20,
            linger=5,
            secret=b"",
        )
        self.lease = Lease(
            members, "p1", self.redis.run, self.start, lambda group, channel: True, 86400
        )

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    def due(self) -> float:
        timer = self.lease._timer
        assert timer is not None
        return timer.when() - asyncio.get_running_loop().time()


@pytest.fixture
async def lease() -> Fixture:
    return Fixture()


async def test_one_that_could_not_join_leaves_later(lease: Fixture) -> None:
    redis = lease.redis
    redis.answers["join"] = [RedisConnectionError("away")]
    redis.answers["leave"] = [RedisConnectionError("away")]
    with pytest.raises(RedisConnectionError):
        await lease.lease.join("room", "c1", ANN)
    assert 0 < lease.due() <= 1
    await lease.lease._look()
    assert 0 < lease.due() <= 1
    await lease.lease._look()
    assert redis.calls == ["join", "leave", "leave", "renew", "end"]
    await lease.lease.close()


async def test_one_that_leaves_in_an_outage_leaves_later_unless_it_is_back(lease: Fixture) -> None:
    redis = lease.redis
    redis.answers["leave"] = [RedisConnectionError("away"), RedisConnectionError("away")]
    for channel in ("c1", "c2"):
        await lease.lease.join("room", channel, ANN)
        await lease.lease.leave("room", channel)
    await lease.lease.join("room", "c1", ANN)
    await lease.lease.leave("room", "c3")
    redis.calls.clear()
    await lease.lease._look()
    assert redis.calls == ["leave", "renew"]
    await lease.lease.close()
    assert redis.calls[-1] == "end"


async def test_a_leave_that_is_cancelled_is_done_later(lease: Fixture) -> None:
    redis = lease.redis
    await lease.lease.join("room", "c1", ANN)
    redis.answers["leave"] = [asyncio.get_running_loop().create_future()]
    leaving = asyncio.create_task(lease.lease.leave("room", "c1"))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await lease.lease._look()
    assert redis.calls == ["join", "leave", "leave", "renew", "end"]
    await lease.lease.close()


async def test_one_who_leaves_while_all_join_again_does_not_join(lease: Fixture) -> None:
    redis = lease.redis
    for channel in ("c1", "c2", "c3"):
        await lease.lease.join("room", channel, ANN)
    redis.answers["renew"] = [Renewed(fresh=True, more=True, next_end=20.0, known=0)]
    answer: asyncio.Future[Renewed] = asyncio.get_running_loop().create_future()
    redis.answers["renew"].append(answer)
    looking = asyncio.create_task(lease.lease._look())
    await asyncio.sleep(0)
    answer.set_result(Renewed(fresh=False, more=False, next_end=0.0, known=0))
    redis.calls.clear()
    asyncio.get_running_loop().call_soon(lease.lease._members.pop, ("room", "c2"))
    await looking
    assert redis.calls in (["join", "join"], ["renew", "join", "join"])
    assert 0.2 < lease.due() <= 0.25
    await lease.lease.close()


async def test_a_lost_lease_is_noticed_by_a_join(lease: Fixture) -> None:
    redis = lease.redis
    redis.answers["join"] = [Joined(fresh=True, first=True)] * 2
    await lease.lease.join("room", "c1", ANN)
    await lease.lease.join("room", "c2", ANN)
    assert lease.due() <= 0
    redis.answers["renew"] = [RedisConnectionError("away")]
    await lease.lease._look()
    redis.calls.clear()
    await lease.lease._look()
    assert redis.calls.count("join") == 2
    await lease.lease.close()


async def test_a_member_that_joins_while_the_lease_ends_has_a_new_one(lease: Fixture) -> None:
    redis = lease.redis
    await lease.lease.join("room", "c1", ANN)
    await lease.lease.leave("room", "c1")
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    redis.answers["end"] = [answer]
    looking = asyncio.create_task(lease.lease._look())
    await asyncio.sleep(0)
    await lease.lease.join("room", "c2", ANN)
    answer.set_result(False)
    await looking
    assert redis.calls == ["join", "leave", "renew", "end", "join"]
    assert 9 < lease.due() <= 10
    await lease.lease.close()
    assert redis.calls[-1] == "end"


async def test_many_who_leave_do_not_cause_as_many_looks(lease: Fixture) -> None:
    redis = lease.redis
    redis.usual["leave"] = Left(known=True, lingers=True)
    for number in range(10):
        await lease.lease.join("room", f"c{number}", ANN)
        await lease.lease.leave("room", f"c{number}")
    assert 4.9 < lease.due() <= 5.1
    now = asyncio.get_running_loop().time()
    lease.lease._lingering[0] = lease.lease._lingering[1] = now
    lease.lease._lingering[2] = now + 0.1
    await lease.lease._look()
    assert len(lease.lease._lingering) == 8
    assert lease.due() > 0.2
    await lease.lease.close()


async def test_an_end_that_fails_is_left_to_the_lease(lease: Fixture) -> None:
    redis = lease.redis
    await lease.lease.join("room", "c1", ANN)
    redis.answers["end"] = [RedisConnectionError("away")]
    await lease.lease.close()
    assert redis.calls == ["join", "end"]
    assert lease.lease._timer is None
