import asyncio
import logging
import threading
from collections.abc import Callable

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction
from django.test import override_settings

from channels_auth._disconnection import announcements
from channels_auth._disconnection.announcements import after_commit, announce, announce_soon
from channels_core.layers import BaseChannelLayer
from channels_core.typing import Message
from layers import GroupLayer, default_layer

MESSAGE = {"type": "auth.disconnect", "group": "g"}


class TestAnnouncing:
    async def test_a_coroutine_sends(self, layer: GroupLayer) -> None:
        await announce([MESSAGE])
        assert layer.sent == [("g", MESSAGE)]

    def test_synchronous_code_has_sent_when_it_goes_on(self, layer: GroupLayer) -> None:
        announce_soon([MESSAGE])
        assert layer.sent == [("g", MESSAGE)]

    async def test_a_thread_beside_a_loop_has_sent_as_well(self, layer: GroupLayer) -> None:
        await sync_to_async(announce_soon, thread_sensitive=False)([MESSAGE])
        assert layer.sent == [("g", MESSAGE)]

    async def test_in_the_thread_of_a_loop_a_task_sends(self, layer: GroupLayer) -> None:
        announce_soon([MESSAGE])
        assert layer.sent == []
        await layer.until(lambda: bool(layer.sent))
        assert layer.sent == [("g", MESSAGE)]

    async def test_an_error_is_logged(
        self, layer: GroupLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        layer.faults["group_send"] = OSError("no server")
        await announce([MESSAGE])
        [record] = caplog.records
        assert record.name == "django.channels.auth"
        assert "could not be announced" in record.getMessage()

    @pytest.mark.parametrize("colour", [announce_soon, async_to_sync(announce)])
    def test_a_hanging_layer_is_given_up(
        self,
        layer: GroupLayer,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        colour: Callable[..., None],
    ) -> None:
        async def hang(group: str, message: Message) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(announcements, "_SEND_TIMEOUT", 0.001)
        monkeypatch.setattr(layer, "group_send", hang)
        colour([MESSAGE])
        [record] = caplog.records
        assert "could not be announced" in record.getMessage()

    @override_settings(CHANNEL_LAYERS={"default": {"BACKEND": "no.such.Layer"}})
    async def test_a_layer_that_cannot_be_created_is_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        await announce([MESSAGE])
        assert len(caplog.records) == 1

    async def test_without_a_layer_or_groups_nothing_is_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        await announce([MESSAGE])
        with default_layer(BaseChannelLayer()):
            await announce([MESSAGE])
        assert [record for record in caplog.records if "channels" in record.name] == []


@pytest.mark.django_db(transaction=True)
class TestAfterCommit:
    def test_it_waits_for_the_transaction(self) -> None:
        done: list[int] = []
        with transaction.atomic():
            after_commit("default", done.append, 1)
            assert done == []
        assert done == [1]

    def test_it_does_nothing_after_a_rollback(self) -> None:
        done: list[int] = []
        with transaction.atomic():
            after_commit("default", done.append, 1)
            transaction.set_rollback(True)
        assert done == []

    def test_an_error_breaks_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        with transaction.atomic():
            after_commit("default", lambda: 1 / 0)
        assert caplog.records

    def test_without_a_transaction_it_happens_now(self) -> None:
        done: list[int] = []
        after_commit("default", done.append, 1)
        assert done == [1]


def test_without_a_database_no_connection_is_opened() -> None:
    done: list[int] = []
    thread = threading.Thread(target=lambda: after_commit(None, done.append, 1))
    thread.start()
    thread.join()
    assert done == [1]


async def test_nothing_is_left_running(layer: GroupLayer) -> None:
    announce_soon([MESSAGE])
    await layer.until(lambda: bool(layer.sent))
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)
    assert asyncio.all_tasks() == {asyncio.current_task()}
