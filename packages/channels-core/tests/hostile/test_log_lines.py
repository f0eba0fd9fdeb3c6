"""What clients can write into the log: few lines, short ones, and nothing of their choice."""

import json
import logging
from typing import Any, Final

import pytest

from channels_core.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
)
from channels_core.routing import ProtocolTypeRouter, URLRouter
from channels_core.security.websocket import OriginValidator
from fakes import Server

CONTROLS: Final = "/\r\nERROR all is lost\x1b[2J\x00\u2028\u202e"
SECRET: Final = "hunter2"
FLOOD: Final = 200


class QuotingError(ValueError):
    """The error of a library that shows its input."""


class Quoting(AsyncJsonWebsocketConsumer, max_message_size=1000):
    error: type[ValueError] = QuotingError

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        raise cls.error(f"cannot read {text_data!r}")


class QuotingPlainly(Quoting):
    error = ValueError


class SyncQuoting(JsonWebsocketConsumer):
    @classmethod
    def decode_json(cls, text_data: str) -> Any:
        raise QuotingError(f"cannot read {text_data!r}")


class QuotingCause(AsyncJsonWebsocketConsumer):
    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        return bytes(text_data, "utf-16").decode("ascii")


def served(consumer: Any, **scope: Any) -> Server:
    application = ProtocolTypeRouter({"websocket": consumer.as_asgi()})
    return Server(application, {"client": ["192.0.2.1", 1], "extensions": {}, **scope})


def clean(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the lines, after a look that each is short, printable and without a traceback."""
    lines = [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG]
    assert all(line.isprintable() and len(line) < 1500 for line in lines)
    assert not any(record.exc_info for record in caplog.records)
    return lines


@pytest.mark.parametrize("kind", [Quoting, QuotingPlainly, SyncQuoting, QuotingCause])
async def test_a_decoder_that_quotes_its_input_does_not_write_it_into_the_log(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = served(kind)
    await server.connect()
    server.text(json.dumps({"password": SECRET}))
    await server.end()
    [line] = clean(caplog)
    assert SECRET not in line
    assert "Error" in line
    assert server.received[-1] == {"type": "websocket.close", "code": 1007}


@pytest.mark.parametrize(
    "text",
    [f'{{"password": "{SECRET}"', f"{SECRET}", f'["{SECRET}", NaN]', f'"{SECRET}\x00"', "[" * 9000],
)
async def test_our_decoder_does_not_quote(text: str, caplog: pytest.LogCaptureFixture) -> None:
    server = served(AsyncJsonWebsocketConsumer)
    await server.connect()
    server.text(text)
    await server.end()
    [line] = clean(caplog)
    assert SECRET not in line


async def test_control_characters_and_long_texts(
    caplog: pytest.LogCaptureFixture, record_property: Any
) -> None:
    class Choosing(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept("mine")

    class Failing(AsyncWebsocketConsumer):
        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None
        ) -> None:
            raise LookupError

    record_property("inputs", 4)
    path = CONTROLS + "x" * 60_000
    nowhere = ProtocolTypeRouter({"websocket": URLRouter([])})
    guarded = OriginValidator(AsyncWebsocketConsumer.as_asgi(), ["example.com"])
    hostile = {"path": path, "client": ["192.0.2.1", 1], "subprotocols": [CONTROLS] * 5000}
    server = Server(nowhere, hostile)
    await server.connect()
    await server.end()
    origin = f"http://{CONTROLS}".encode() + b"x" * 60_000
    server = Server(guarded, {**hostile, "headers": [(b"origin", origin)]})
    await server.connect()
    await server.leave()
    server = served(Choosing, **hostile)
    await server.connect()
    await server.leave()
    assert len(clean(caplog)) == 3
    caplog.clear()
    server = served(Failing, **hostile)
    await server.connect()
    server.text("x")
    with pytest.raises(LookupError):
        await server.end()
    [record] = caplog.records
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 1000


async def test_a_flood_of_one_client_makes_few_lines(
    caplog: pytest.LogCaptureFixture, record_property: Any
) -> None:
    class Small(AsyncJsonWebsocketConsumer, max_message_size=10):
        pass

    class Choosing(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept("mine")

    record_property("inputs", 5 * FLOOD)
    nowhere = ProtocolTypeRouter({"websocket": URLRouter([])})
    guarded = OriginValidator(AsyncWebsocketConsumer.as_asgi(), ["example.com"])
    for number in range(FLOOD):
        scope = {"path": f"/{number}/", "client": ["192.0.2.1", number], "subprotocols": ["x"]}
        for frame in ("{", "x" * 99):
            server = served(Small, **scope)
            await server.connect()
            server.text(frame)
            await server.end()
        server = Server(nowhere, scope)
        await server.connect()
        await server.end()
        server = Server(guarded, {**scope, "headers": [(b"origin", b"http://evil.com")]})
        await server.connect()
        await server.leave()
        server = served(Choosing, **scope)
        await server.connect()
        await server.leave()
    assert len(clean(caplog)) == 50
    # Another client's line is seen nevertheless.
    server = Server(nowhere, {"path": "/other/", "client": ["192.0.2.2", 1]})
    await server.connect()
    await server.end()
    assert "/other/" in clean(caplog)[-1]
