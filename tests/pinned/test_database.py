"""The behaviour of databases that tests written for Channels 4.3 rely on."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, connections, transaction
from django.test import TestCase

# A safety net, for a machine under load.
SECONDS = 60


class Shop(AsyncWebsocketConsumer):
    ran: list[str] = []

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(await getattr(self, text_data or "")())

    @database_sync_to_async
    def add(self) -> str:
        with transaction.atomic():
            Group.objects.create(name="a")
            transaction.on_commit(lambda: self.ran.append("a"))
        return str(len(self.ran))

    @database_sync_to_async
    def add_twice(self) -> str:
        for _ in range(2):
            with suppress(IntegrityError):
                Group.objects.create(name="b")
        return str(Group.objects.filter(name="b").count())


@pytest.fixture
async def shop(db: None) -> AsyncIterator[None]:
    """Remove committed rows, in the thread that committed them."""
    Shop.ran.clear()
    yield

    @database_sync_to_async
    def remove() -> None:
        Group.objects.all().delete()
        connections.close_all()

    await remove()


async def ask(what: str) -> tuple[Any, str]:
    socket = WebsocketCommunicator(Shop.as_asgi(), "/")
    await socket.connect(SECONDS)
    await socket.send_to(what)
    return socket, str(await socket.receive_from(SECONDS))


async def test_callbacks_on_commit_run_under_django_db(shop: None) -> None:
    socket, answer = await ask("add")
    assert answer == "1"
    await socket.disconnect(timeout=SECONDS)


async def test_an_error_of_the_database_that_is_caught_breaks_nothing(shop: None) -> None:
    socket, answer = await ask("add_twice")
    assert answer == "1"
    await socket.disconnect(timeout=SECONDS)


async def test_rows_of_the_consumer_are_there_for_the_test_and_the_next_one(shop: None) -> None:
    first, _ = await ask("add")
    assert await Group.objects.acount() == 1
    await first.disconnect(timeout=SECONDS)
    assert await Group.objects.acount() == 1
    second, _ = await ask("add_twice")
    await second.disconnect(timeout=SECONDS)
    assert await Group.objects.acount() == 2


@pytest.mark.parametrize("test", ["one", "the next"])
async def test_a_communicator_that_is_kept_leaves_no_transaction(shop: None, test: str) -> None:
    kept.append((await ask("add"))[0])

    @database_sync_to_async
    def in_transaction() -> bool:
        return connection.in_atomic_block

    assert not await in_transaction()


kept: list[Any] = []


class TestATestCase(TestCase):
    def test_a_consumer_works_in_its_transaction(self) -> None:
        Shop.ran.clear()
        with self.captureOnCommitCallbacks() as callbacks:
            _, answer = async_to_sync(ask)("add")
        assert answer == "0"
        assert len(callbacks) == 1
        assert connection.in_atomic_block
        assert Group.objects.count() == 1
