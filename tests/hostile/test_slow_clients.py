"""Clients that never read, on real servers: what waits for them is bounded."""

import asyncio
from typing import Any, Final

import pytest

from hostile.async_client import RawClient
from hostile.memory import Measured, silent
from processes import end

CLIENTS: Final = 40
#: What may wait for each, in bytes.
PENDING: Final = 100_000
SERVERS: Final = [
    ("uvicorn", "--ws", "websockets-sansio"),
    ("uvicorn", "--ws", "websockets"),
    ("uvicorn", "--ws", "wsproto"),
    ("daphne",),
]


@pytest.mark.parametrize(
    ("server", "policy"), list(zip(SERVERS, ["close", "drop", "drop", "close"], strict=True))
)
def test_what_waits_is_bounded(server: tuple[str, ...], policy: str, record_property: Any) -> None:
    record_property("inputs", CLIENTS)
    options = {"silent": {"max_pending": PENDING, "slow_client": policy}}
    name, *arguments = server
    measured = Measured(name, options, *arguments)
    try:
        most, _ = asyncio.run(silent(measured, CLIENTS, messages=160))
    finally:
        end(measured.process)
    # With what Python itself keeps; without the option, Daphne takes 70 MB.
    assert most < 25


@pytest.mark.parametrize("server", [SERVERS[0], SERVERS[-1]], ids=lambda server: server[-1])
def test_a_client_that_reads_nothing_is_dropped(server: tuple[str, ...]) -> None:
    options = {"silent": {"max_pending": PENDING}, "patience": 0.1}
    name, *arguments = server
    measured = Measured(name, options, *arguments)

    async def attack() -> int:
        control = await measured.control()
        client = await RawClient.connect(measured.port, "/silent/", reads=False)
        await measured.longest(control, 300, 20_000)
        # What the server's system has kept is thrown away as well.
        await client.read_to_end()
        members = await measured.members(control)
        await client.drop()
        await control.drop()
        return members

    try:
        assert asyncio.run(attack()) == 0
    finally:
        end(measured.process)
