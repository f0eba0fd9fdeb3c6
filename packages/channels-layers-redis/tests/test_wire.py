"""One connection, whose server behaves in ways that a real one seldom does."""

import asyncio
from collections import deque
from typing import Any
from unittest.mock import Mock

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from channels_layers_redis._layer.hosts import Host
from channels_layers_redis._layer.outages import Outages
from channels_layers_redis._layer.wire import Wire
from redis_process import RedisProcess, until


class FakeConnection:
    """Sends nothing, and answers what a test says."""

    def __init__(self) -> None:
        self.answers: deque[Any] = deque()
        self.more = asyncio.Event()
        self.sending_fails: Exception | None = None
        self.connecting: asyncio.Future[None] | None = None
        self.sent: list[tuple[Any, ...]] = []

    async def connect(self) -> None:
        if self.connecting is not None:
            await self.connecting

    async def disconnect(self, nowait: bool = False) -> None:
        """Nothing is open."""

    def pack_commands(self, commands: Any) -> list[bytes]:
        self.sent += commands
        return []

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if self.sending_fails is not None:
            raise self.sending_fails

    async def read_response(self, **_: Any) -> Any:
        while not self.answers:
            self.more.clear()
            await self.more.wait()
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def answer(self, *answers: Any) -> None:
        self.answers += answers
        self.more.set()


def wire_to(connection: FakeConnection, timeout: float = 5.0, **options: Any) -> Wire:
    host: Any = Host({"host": "nowhere", "socket_timeout": timeout})
    host.new_connection = lambda: connection
    return Wire(host, asyncio.get_running_loop(), **options)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_answers_come_in_the_order_of_the_commands() -> None:
    wire = wire_to(connection := FakeConnection())
    futures = [wire.post("GET", str(number)) for number in range(3)]
    await settled()
    connection.answer(0, ResponseError("no"), 2)
    assert await futures[0] == 0
    with pytest.raises(ResponseError):
        await futures[1]
    assert await futures[2] == 2
    await wire.open()
    await wire.close()
    await wire.close()


async def test_the_answer_to_a_call_that_was_cancelled_is_dropped() -> None:
    wire = wire_to(connection := FakeConnection())
    futures = [wire.post("GET", str(number)) for number in range(3)]
    await settled()
    for future in futures[:2]:
        future.cancel()
    await settled()
    connection.answer(0, ResponseError("no"), 2)
    assert await futures[2] == 2
    left = wire.post("GET", "3")
    left.cancel()
    await wire.close()


async def test_an_error_for_a_whole_batch_ends_the_connection() -> None:
    wire = wire_to(connection := FakeConnection())
    subscribed = wire.post("SUBSCRIBE", "a", "b", answers=2)
    await settled()
    connection.answer(ResponseError("not allowed"))
    with pytest.raises(RedisConnectionError, match="not allowed"):
        await subscribed


async def test_a_connection_that_cannot_be_made_is_told() -> None:
    wire = wire_to(FakeConnection())
    host: Any = wire._host
    host.new_connection = Mock(side_effect=RedisError("these options do not go together"))
    with pytest.raises(RedisError, match="do not go together"):
        await wire.post("PING")


async def test_what_cannot_be_sent_ends_the_connection() -> None:
    connection = FakeConnection()
    connection.sending_fails = RuntimeError("broken")
    wire = wire_to(connection)
    with pytest.raises(RedisConnectionError, match="broken"):
        await wire.post("PING")
    wire.fail(RuntimeError("again"))  # there is no connection any more


async def test_an_attempt_takes_no_longer_than_the_time_out() -> None:
    connection = FakeConnection()
    connection.connecting = asyncio.get_running_loop().create_future()
    wire = wire_to(connection, timeout=0.05)
    with pytest.raises(RedisTimeoutError, match="did not answer in time"):
        await wire.open()
    connection.connecting = asyncio.get_running_loop().create_future()
    await until(lambda: not wire.is_away)
    with pytest.raises(RedisTimeoutError, match="did not answer in time"):
        await wire.post("PING")


async def test_the_time_out_counts_for_each_command() -> None:
    wire = wire_to(connection := FakeConnection(), timeout=0.2)
    first = wire.post("PING")
    await asyncio.sleep(0.1)
    second = wire.post("PING")
    await settled()
    connection.answer("PONG")
    await first
    await asyncio.sleep(0.15)  # the time of the first is over, that of the second is not
    assert not second.done()
    with pytest.raises(RedisTimeoutError):
        await second
    third_wire = wire_to(connection := FakeConnection(), timeout=0.05)
    answered = third_wire.post("PING")
    await settled()
    connection.answer("PONG")
    await answered
    await asyncio.sleep(0.1)  # nothing waits when the time is over
    assert third_wire.lost is not None
    await third_wire.close()


async def test_a_caller_that_gives_up_does_not_end_the_attempt() -> None:
    connection = FakeConnection()
    connection.connecting = asyncio.get_running_loop().create_future()
    wire = wire_to(connection)
    opening = [asyncio.create_task(wire.open()) for _ in range(2)]
    await settled()
    opening[0].cancel()
    await settled()
    connection.connecting.set_result(None)
    await opening[1]
    await wire.close()


async def test_a_burst_of_answers_lets_others_run() -> None:
    wire = wire_to(connection := FakeConnection())
    futures = [wire.post("PING") for _ in range(1000)]
    await settled()
    connection.answer(*range(1000))
    turns = 0
    while not futures[-1].done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 3
    await wire.close()


async def test_an_event_loop_that_ends_is_told(server: RedisProcess) -> None:
    ended = []
    host = Host(server.url)

    def run() -> None:
        async def use() -> None:
            wire = Wire(host, asyncio.get_running_loop(), on_cancelled=lambda: ended.append(1))
            await wire.open()
            silent = Wire(host, asyncio.get_running_loop())
            await silent.open()

        asyncio.run(use())

    await asyncio.to_thread(run)
    assert ended == [1]


def test_an_outage_of_several_links_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    outages = Outages()
    for link in ("a", "b", "c"):
        outages.lost("here", link, ConnectionError("gone"))
    outages.ended("here", "d")
    for link in ("a", "b"):
        outages.ended("here", link)
    assert [record.message for record in caplog.records] == [
        "Redis at here cannot be reached, trying again: gone"
    ]
    outages.ended("here", "c")
    assert len(caplog.records) == 2
    outages.lost("here", "a", ConnectionError("gone"))
    outages.lost("here", "b", ConnectionError("gone"))
    for link in ("a", "b"):
        outages.forget(link)
    outages.ended("here", "a")
    assert len(caplog.records) == 3
    outages.lost("here", "a", ConnectionError("gone"))
    outages.start_anew()
    outages.ended("here", "a")
    assert len(caplog.records) == 4


async def test_an_end_by_itself_is_told_from_one_that_was_asked_for() -> None:
    connection = FakeConnection()
    ended: list[bytes] = []
    wire = wire_to(connection, on_end=ended.append)
    ends = [wire.end(b"room"), wire.end(b"room")]
    await wire.open()
    last = wire.post("LAST")
    gone = [b"sunsubscribe", b"room", 0]
    # Of two answers one is that the node has not the slot: it is no answer to what follows.
    connection.answer(gone, b"PONG", ResponseError("moved"), gone, [b"sunsubscribe", b"hall", 0])
    connection.answer([b"pong", b""], gone, b"the last")
    assert await last == b"the last"
    assert [end.done() for end in ends] == [True, True]
    assert ended == [b"hall", b"room"]
    assert [command[0] for command in connection.sent] == [
        "SUNSUBSCRIBE",
        "PING",
        "SUNSUBSCRIBE",
        "PING",
        "LAST",
    ]
    await wire.close()


async def test_an_argument_that_cannot_be_sent_fails_its_own_command_only(
    server: RedisProcess,
) -> None:
    wire = Wire(Host(server.url), asyncio.get_running_loop())
    await wire.open()
    good = [wire.post("SET", f"key{number}", number) for number in range(20)]
    wrong: list[Any] = [None, True, {}]
    faulty = [wire.post("SET", "key", value) for value in wrong]
    good += [wire.post("GET", f"key{number}") for number in range(20)]
    faulty[2].cancel()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*good)
        for future in faulty[:2]:
            with pytest.raises(TypeError, match="An argument cannot be sent to Redis: Invalid"):
                await future
    assert answers == [b"OK"] * 20 + [str(number).encode() for number in range(20)]
    assert await wire.post("GET", "key") is None
    await wire.close()
