from typing import Any

import pytest
from asgiref.sync import async_to_sync

from channels_core._checks.handlers import check_handlers
from channels_core.consumer import AsyncConsumer, hook
from channels_core.documentation import see
from channels_core.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)


class AsyncInSync(WebsocketConsumer):
    async def connect(self) -> None:  # type: ignore[override] # the mistake
        pass

    async def chat_message(self, event: Any) -> None:
        pass

    async def own(self, text: str) -> None:
        """Called through async_to_sync."""


class SyncInAsync(AsyncWebsocketConsumer):
    def disconnect(self, code: int) -> None:  # type: ignore[override] # the mistake
        if code:
            return
        print(code)

    def chat_message(self, event: Any) -> None:
        def inner() -> int:
            return 1

        return None  # noqa: RET501 - the same as nothing

    def own(self, text: str) -> None:
        pass


class AsyncReport(AsyncConsumer):
    @hook
    async def report_exception(self, error: Any, message: Any) -> None:  # type: ignore[override] # the mistake
        pass


class Right(AsyncJsonWebsocketConsumer):
    other: Any = print
    groups = ["a"]

    async def connect(self) -> None:
        await self.accept()

    def chat_message(self, event: Any) -> Any:
        return self.send_json(event)

    receive: Any = lambda self, **frame: None

    def channel_receive(self, event: Any) -> Any:  # type: ignore[override] # a program may
        return 1

    def groups_of(self) -> None:
        pass

    def deny(self) -> None:  # type: ignore[override] # a program's own, no matter what ours is
        pass

    async def report_exception(self, error: Any, message: Any) -> None:  # type: ignore[override] # a program may
        pass


class RightSync(JsonWebsocketConsumer):
    def connect(self) -> None:
        self.accept()

    @async_to_sync
    async def chat_message(self, event: Any) -> None:
        pass


class Named(WebsocketConsumer):
    async def groups(self) -> list[str]:
        return []


@pytest.mark.parametrize(
    ("consumer", "kind", "names"),
    [
        (AsyncInSync, "a synchronous", "chat_message, connect"),
        (SyncInAsync, "an asynchronous", "chat_message, disconnect"),
        (AsyncReport, "an asynchronous", "report_exception"),
    ],
)
def test_it_names_the_methods(consumer: type, kind: str, names: str) -> None:
    [message] = check_handlers(consumer)
    assert message.id == "channels_core.W006"
    assert message.msg == (
        f"{__name__}.{consumer.__name__} is {kind} consumer, and these methods are not right for "
        f"it: {names}."
    )
    assert "AsyncWebsocketConsumer" in str(message.hint)
    assert see("System checks", "Handlers") in str(message.hint)


@pytest.mark.parametrize("consumer", [Right, RightSync, Named, AsyncWebsocketConsumer, dict])
def test_it_says_nothing_of_what_is_right(consumer: type) -> None:
    assert list(check_handlers(consumer)) == []
