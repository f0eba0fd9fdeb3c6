"""What the page about consumers for other protocols shows."""

import re
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.routing import ProtocolTypeRouter

from channels_core import connection
from docs.snippets.lines_protocol import Shout
from served import ROOT

PAGE = (ROOT / "docs" / "how-to" / "consumer-protocols.md").read_text()
SECONDS = 60


class TestLines:
    def serve(self, consumer: type[Shout]) -> ApplicationCommunicator:
        application: Any = ProtocolTypeRouter({"lines": consumer.as_asgi()})
        return ApplicationCommunicator(application, {"type": "lines"})

    async def exchange(self, server: ApplicationCommunicator, line: str) -> str:
        await server.send_input({"type": "lines.receive", "line": line})
        return str((await server.receive_output(SECONDS))["line"])

    async def test_lines_are_answered_and_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Shout, "totals", [])
        server = self.serve(Shout)
        assert await self.exchange(server, "hello") == "1: HELLO"
        assert await self.exchange(server, "x" * 81) == "That line is too long."
        assert await self.exchange(server, "bye") == "2: BYE"
        await server.send_input({"type": "lines.end"})
        await server.wait(SECONDS)
        assert Shout.totals == [2]

    async def test_an_option_of_a_subclass(self) -> None:
        class Longer(Shout, max_length=100):
            pass

        server = self.serve(Longer)
        assert await self.exchange(server, "x" * 81) == f"1: {'X' * 81}"
        await server.send_input({"type": "lines.end"})
        await server.wait(SECONDS)

    async def test_other_errors_end_the_connection(self) -> None:
        class Broken(Shout):
            async def receive_line(self, line: str) -> None:
                raise LookupError(line)

        server = self.serve(Broken)
        await server.send_input({"type": "lines.receive", "line": "hello"})
        with pytest.raises(LookupError):
            await server.wait(SECONDS)

    async def test_a_message_of_the_layer_reaches_no_method_of_the_plugin(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Open(Shout):
            async def receive_line(self, line: str) -> None:
                served.append(self)
                await super().receive_line(line)

        served: list[Open] = []
        server = self.serve(Open)
        assert await self.exchange(server, "hello") == "1: HELLO"
        [consumer] = served
        message = {"type": "send.line", "line": "intruder"}
        await consumer.channel_layer.send(consumer.channel_name, message)
        assert await self.exchange(server, "bye") == "2: BYE"
        await server.send_input({"type": "lines.end"})
        await server.wait(SECONDS)
        # Records are handled in a thread, and are all there when the connection has ended.
        assert "no handler for message type 'send.line'" in caplog.text


def test_the_page_has_the_overridable_part() -> None:
    """What the source marks as the protocol's part, and the class attributes."""
    source = (ROOT / "packages/channels-core/src/channels_core/connection.py").read_text()
    part = source.partition("# The protocol's part, which a subclass overrides\n")[2]
    part = part.partition("# For the methods of consumers\n")[0]
    methods = re.findall(r"(?m)^    (?:async )?def (\w+)\(", part)
    assert sorted(re.findall(r"(?m)^\| `(\w+)\(", PAGE)) == sorted(methods)
    attributes = re.findall(r"(?m)^    (\w+): ClassVar\[(?!staticmethod)", source)
    assert sorted(re.findall(r"(?m)^\| `(\w+)` \|", PAGE)) == sorted(set(attributes))


def test_the_page_names_all_that_is_public() -> None:
    assert [name for name in connection.__all__ if not re.search(rf"`@?{name}\b", PAGE)] == []
