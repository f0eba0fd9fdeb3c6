"""A plugin: consumers for a protocol of text lines, and a program that uses them."""

from typing import Any, ClassVar

from channels_core.connection import (
    Connection,
    ConsumerClass,
    framework,
    is_overridden,
    readable,
)
from channels_core.exceptions import StopConsumer
from channels_core.generic.groups import AsyncGroupMember
from channels_core.typing import Message


class LineTooLongError(Exception):
    pass


class LinesConnection(Connection):
    has_disconnect: ClassVar[bool] = True

    __slots__ = ("count",)

    def __init__(self, consumer: Any, known: ConsumerClass) -> None:
        super().__init__(consumer, known)
        self.count = 0

    def disconnect_arguments(self) -> tuple[int]:
        return (self.count,)

    async def settle_failure(self, error: Exception, message: Message) -> bool:
        if not isinstance(error, LineTooLongError):
            return False
        await self.consumer.send_line("That line is too long.")
        return True

    def has_nothing_to_finish(self) -> bool:
        consumer = self.consumer
        return not (is_overridden(consumer, "disconnect") or self.groups.to_leave(consumer))


@framework(LinesConnection, prefixes=("lines_",), max_length=1000)
class AsyncLinesConsumer(AsyncGroupMember):
    line_count: int = readable(lambda self: self._channels_connection.count)

    _channels_connection: LinesConnection

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)

    async def lines_receive(self, message: Message) -> None:
        line = message["line"]
        if len(line) > self._channels_connection.options["max_length"]:
            raise LineTooLongError
        self._channels_connection.count += 1
        await self.receive_line(line)

    async def lines_end(self, message: Message) -> None:
        raise StopConsumer

    async def receive_line(self, line: str) -> None:
        """Handle a line; does nothing unless overridden."""

    async def send_line(self, line: str) -> None:
        await self.send({"type": "lines.send", "line": line})

    async def disconnect(self, count: int) -> None:
        """Do what is to be done at the end; does nothing unless overridden."""


class Shout(AsyncLinesConsumer, max_length=80):
    totals: ClassVar[list[int]] = []

    async def receive_line(self, line: str) -> None:
        await self.send_line(f"{self.line_count}: {line.upper()}")

    async def disconnect(self, count: int) -> None:
        self.totals.append(count)
