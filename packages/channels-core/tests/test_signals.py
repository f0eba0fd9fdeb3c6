import logging
from collections.abc import Iterator
from typing import Any

import pytest

from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.signals import consumer_finished, consumer_started
from fakes import Server


@pytest.fixture
def told() -> Iterator[list[Any]]:
    told: list[Any] = []

    def started(sender: type, environ: Any, **kwargs: Any) -> None:
        told.append(("started", sender, environ["path"]))

    async def finished(sender: type, environ: Any, **kwargs: Any) -> None:
        told.append(("finished", sender, environ["path"]))

    consumer_started.connect(started)
    consumer_finished.connect(finished)
    yield told
    consumer_started.disconnect(started)
    consumer_finished.disconnect(finished)


async def test_they_are_sent_around_a_connection(told: list[Any]) -> None:
    class Telling(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            told.append("connect")
            await self.accept()

        async def disconnect(self, code: int) -> None:
            told.append("disconnect")

    server = Server(Telling.as_asgi(), {"path": "/a/"})
    await server.connect()
    await server.leave()
    assert told == [
        ("started", Telling, "/a/"),
        "connect",
        "disconnect",
        ("finished", Telling, "/a/"),
    ]


async def test_the_end_is_told_of_after_an_exception_too(told: list[Any]) -> None:
    class Failing(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            raise LookupError

    server = Server(Failing.as_asgi(), {"path": "/a/"})
    await server.connect()
    with pytest.raises(LookupError):
        await server.task
    assert [what for what, *_ in told] == ["started", "finished"]


async def test_a_receiver_that_fails_costs_no_connection(
    told: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**kwargs: Any) -> None:
        raise LookupError("no such")

    consumer_started.connect(fail)
    try:
        server = Server(AsyncWebsocketConsumer.as_asgi(), {"path": "/a/"})
        assert (await server.connect())[0]["type"] == "websocket.accept"
        await server.leave()
    finally:
        consumer_started.disconnect(fail)
    assert [record.name for record in caplog.records if record.levelno == logging.ERROR] == [
        "django.dispatch"
    ]
