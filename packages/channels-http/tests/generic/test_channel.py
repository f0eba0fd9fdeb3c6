"""The channel of a request: with most layers made at once, with others when it is first used."""

import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from channels_core.layers import channel_layers
from channels_http.generic.http import AsyncHttpConsumer
from clients import Client, LocalLayer, ask, recording, turns


class QuickLayer(LocalLayer):
    """Its `new_channel` is marked; counts the channels that it has made and forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[str] = []
        self.forgotten: list[str] = []

    async def new_channel(self, prefix: str = "specific.") -> str:
        name = await super().new_channel(prefix)
        self.made.append(name)
        return name

    async def forget_channel(self, channel: str) -> None:
        self.forgotten.append(channel)

    vars(new_channel)["never_waits"] = True


@pytest.fixture
def quick() -> Iterator[QuickLayer]:
    layer = QuickLayer()
    channel_layers.set("default", layer)
    yield layer
    channel_layers.set("default", None)


class TestChannel:
    async def test_a_request_that_does_not_use_it_has_none(self, quick: QuickLayer) -> None:
        async def handle(self: Any, body: bytes) -> None:
            assert self.channel_layer is quick
            await self.send_response(200, b"a")

        program = recording(handle)
        assert (await ask(program))[0] == 200
        assert (quick.made, quick.forgotten, program.ends) == ([], [], ["end"])

    @pytest.mark.parametrize("order", [1, -1])
    async def test_its_name_makes_it(self, quick: QuickLayer, order: int) -> None:
        seen: list[Any] = []

        async def handle(self: Any, body: bytes) -> None:
            names = ["channel_name", "channel_receive"][::order]
            seen.extend(getattr(self, name) for name in names)
            assert self.channel_name == self.channel_name
            await quick.send(self.channel_name, {"type": "a"})
            assert await self.channel_receive() == {"type": "a"}
            await self.send_response(200, b"a")

        assert (await ask(recording(handle)))[0] == 200
        assert quick.made == quick.forgotten == ["specific.0"]
        assert "specific.0" in seen

    async def test_threads_that_name_it_at_once_get_one_name(self, quick: QuickLayer) -> None:
        async def handle(self: Any, body: bytes) -> None:
            everyone = threading.Barrier(8)

            def read() -> str:
                everyone.wait()
                name: str = self.channel_name
                return name

            with ThreadPoolExecutor(8) as pool:
                names = [pool.submit(read) for _ in range(8)]
            assert {name.result() for name in names} == {"specific.0"}
            await self.send_response(200, b"a")

        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)  # so that the threads are inside at the same time
        try:
            assert (await ask(recording(handle)))[0] == 200
        finally:
            sys.setswitchinterval(before)

    async def test_a_group_makes_it(self, quick: QuickLayer) -> None:
        async def handle(self: Any, body: bytes) -> None:
            assert quick.groups["room"] == {"specific.0"}
            await self.send_response(200, b"a")

        assert (await ask(recording(handle, groups=["room"])))[0] == 200
        assert quick.made == quick.forgotten == ["specific.0"]
        assert quick.groups["room"] == set()

    async def test_a_held_response_has_it(self, quick: QuickLayer) -> None:
        """A task that `handle` has left behind may name it later."""

        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers()
            await self.send_body(b"a", more_body=True)

        async def last_word(self: Any, message: Any) -> None:
            await self.send_body(b"b")

        client = Client(recording(handle, last_word=last_word))
        client.request()
        await client.messages(2)
        await turns()
        assert quick.made == ["specific.0"]
        await quick.send("specific.0", {"type": "last.word"})
        assert (await client.whole())[2] == b"ab"
        assert quick.forgotten == ["specific.0"]

    async def test_the_log_names_it(
        self, quick: QuickLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise LookupError("the program's own")

        client = Client(recording(handle))
        client.request()
        with caplog.at_level(logging.ERROR), pytest.raises(LookupError):
            await client.end()
        assert "channel specific.0" in caplog.text
        assert quick.forgotten == ["specific.0"]

    async def test_a_replaced_method_is_awaited(
        self, quick: QuickLayer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def new_channel() -> str:
            return "of.a.test"

        async def handle(self: Any, body: bytes) -> None:
            assert vars(self)["channel_name"] == "of.a.test"
            await self.send_response(200, b"a")

        monkeypatch.setattr(quick, "new_channel", new_channel)
        assert (await ask(recording(handle)))[0] == 200
        assert quick.forgotten == ["of.a.test"]

    async def test_a_program_may_have_its_own(self, quick: QuickLayer) -> None:
        async def handle(self: Any, body: bytes) -> None:
            assert self.channel_name == "specific.0"
            await self.send_response(200, b"a")

        assert (await ask(recording(handle, channel_name="its default")))[0] == 200
        assert quick.forgotten == ["specific.0"]

    async def test_a_second_call_has_a_new_one(self, quick: QuickLayer) -> None:
        names: list[str] = []

        async def handle(self: Any, body: bytes) -> None:
            names.append(self.channel_name)

        consumer = recording(handle)()
        for _ in range(2):
            consumer._channels_connection.has_begun = False
            client = Client(consumer, bare=True)
            client.request()
            await client.end()
        assert names == quick.forgotten == ["specific.0", "specific.1"]

    async def test_a_wrong_mark_is_an_error(
        self, quick: QuickLayer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def new_channel() -> str:
            await client.messages(1)
            raise AssertionError

        async def handle(self: Any, body: bytes) -> None:
            self.channel_name  # noqa: B018 - a program that reads it

        vars(new_channel)["never_waits"] = True
        monkeypatch.setattr(quick, "new_channel", new_channel)
        client = Client(recording(handle), bare=True)
        client.request()
        with pytest.raises(RuntimeError, match="new_channel waits, although it has never_waits"):
            await client.end()

    async def test_without_a_layer_there_is_none(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            assert not hasattr(self, "channel_name")
            self.channel_receive  # noqa: B018 - a program that reads it

        client = Client(recording(handle, channel_layer_alias=None), bare=True)
        client.request()
        with pytest.raises(AttributeError, match="'Program' object has no attribute 'channel_rec"):
            await client.end()
        assert not hasattr(AsyncHttpConsumer(), "channel_name")
