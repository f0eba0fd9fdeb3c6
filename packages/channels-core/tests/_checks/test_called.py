from functools import cached_property, partialmethod, singledispatchmethod
from typing import Any
from unittest.mock import MagicMock

import pytest

from channels_core._checks.called import handler_that_calls
from channels_core.consumer import AsyncConsumer
from channels_core.db import database_sync_to_async
from channels_core.generic.websocket import AsyncWebsocketConsumer

NAMES = {"wanted"}


class Later(AsyncConsumer):
    async def a_event(self, event: Any) -> None:
        self.wanted()

    async def b_event(self, event: Any) -> None:
        self.wanted()

    def wanted(self) -> None:
        """Do nothing."""


class First(AsyncWebsocketConsumer):
    async def receive(self, *args: Any) -> None:
        await self.helper()

    async def connect(self) -> None:
        await self.helper()

    async def helper(self) -> None:
        [wanted() for wanted in [print]]
        self.wanted  # noqa: B018 - mentioned is enough

    wanted = 1


def test_connect_comes_first() -> None:
    assert handler_that_calls(First, NAMES) == "connect"
    assert handler_that_calls(Later, NAMES) == "a_event"
    assert handler_that_calls(First, {"other"}) is None
    assert handler_that_calls(AsyncWebsocketConsumer, {"accept"}) is None


def wanted() -> None:
    """Do nothing."""


def call() -> None:
    wanted()


@pytest.mark.parametrize(
    "method",
    [
        property(lambda self: wanted()),
        cached_property(lambda self: wanted()),
        partialmethod(lambda self, *args: wanted()),
        staticmethod(call),
        classmethod(lambda cls: wanted()),
        singledispatchmethod(lambda self: wanted()),
        database_sync_to_async(call),
    ],
)
def test_it_looks_into_what_stands_for_a_method(method: Any) -> None:
    async def connect(self: Any) -> None:
        self.helper  # noqa: B018 - mentioned is enough

    consumer = type("Consumer", (AsyncWebsocketConsumer,), {"connect": connect, "helper": method})
    assert handler_that_calls(consumer, NAMES) == "connect"


@pytest.mark.parametrize("method", [MagicMock(), print, None, 3])
def test_what_has_no_code_calls_nothing(method: Any) -> None:
    consumer = type("Consumer", (AsyncWebsocketConsumer,), {"connect": method})
    assert handler_that_calls(consumer, NAMES) is None
