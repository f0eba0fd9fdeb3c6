"""Streams and polls are one user's: no cache may keep them, nor hand them to another user."""

from typing import Any

import pytest

from channels_http.generic.http import AsyncHttpConsumer
from channels_http.generic.sse import AsyncSseConsumer
from clients import Client, LocalLayer

#: What each server puts into a scope, and a test does not.
SERVED = {"asgi": {"version": "3.0"}}


class Poll(AsyncHttpConsumer):
    """Answer the next message to the group."""

    given: Any = None

    async def handle(self, body: bytes) -> None:
        await self.join_group("news")
        await self.send_headers(headers=self.given)

    async def news(self, event: Any) -> None:
        await self.send_body(b"news")


class Own(Poll):
    given = {"cache-control": "private"}


class Plain(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        await self.send_response(200, b"", headers=[])


class Whole(Poll):
    async def handle(self, body: bytes) -> None:
        await self.join_group("news")
        await self.send_response(200, b"", headers=self.given)


class Repeating(Whole):
    """Has a method around ours, which gets the headers once more."""

    async def send_headers(self, **kwargs: Any) -> None:
        await super().send_headers(**kwargs)


async def cache_control(application: Any, **scope: Any) -> list[bytes]:
    client = Client(application, **scope)
    client.request()
    [start] = await client.messages(1)
    client.leave()
    await client.end()
    return [value for name, value in start["headers"] if name.lower() == b"cache-control"]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (Poll, [b"no-store"]),
        (Whole, [b"no-store"]),
        (Repeating, [b"no-store"]),
        (Own, [b"private"]),
        (Plain, []),
        (AsyncSseConsumer, [b"no-store, no-transform"]),
    ],
)
async def test_they_are_not_stored(layer: LocalLayer, program: Any, expected: list[bytes]) -> None:
    assert await cache_control(program, **SERVED) == expected


@pytest.mark.parametrize("bare", [True, False])
async def test_a_test_of_a_program_sees_its_own_headers(layer: LocalLayer, bare: bool) -> None:
    assert await cache_control(Poll, bare=bare) == []
