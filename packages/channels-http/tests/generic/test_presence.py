"""What consumers notice of their client while a handler runs, and what they read meanwhile."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_core.exceptions import ConnectionStateError, RequestAborted, RequestTimeout
from channels_core.layers import channel_layers
from channels_core.routing import ProtocolTypeRouter
from channels_core.typing import Message
from channels_http.generic.http import AsyncHttpConsumer
from clients import Client, LocalLayer, ask, recording, turns, until

EXPECT = [(b"expect", b"100-continue")]


@pytest.fixture(params=["with a layer", "without"])
def any_layer(request: pytest.FixtureRequest) -> Iterator[None]:
    channel_layers.set("default", LocalLayer() if request.param == "with a layer" else None)
    yield
    channel_layers.set("default", None)


@pytest.fixture
async def no_reports() -> AsyncIterator[None]:
    """Fail if the event loop reports an exception that nobody has retrieved."""
    reports: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reports.append(context))
    yield
    gc.collect()
    await asyncio.sleep(0)
    assert reports == []
    loop.set_exception_handler(None)


async def for_ever() -> None:
    await asyncio.Event().wait()


class TestLeavingIsNoticed:
    """Each of these waits for ever in `handle`, unless it is cancelled."""

    @pytest.mark.parametrize("parts", [(), (b"a",), (b"a", b"b"), (b"a", b"b", b"c", b"d")])
    async def test_after_a_body_in_parts(self, parts: tuple[bytes, ...]) -> None:
        read: list[bytes] = []

        async def handle(self: Any, body: bytes) -> None:
            async for part in self.stream_body():
                read.append(part)
                await turns()
            await for_ever()

        program = recording(handle, buffers_body=False)
        client = Client(program, "POST")
        client.request(*parts)
        await until(lambda: len(read) == len(parts) and client.asks, client.changed)
        client.leave()
        await client.end()
        assert (read, client.sent, program.ends) == (list(parts), [], ["end"])

    async def test_between_two_parts(self) -> None:
        read: list[bytes] = []

        async def handle(self: Any, body: bytes) -> None:
            async for part in self.stream_body():
                read.append(part)
                if len(read) == 2:
                    await for_ever()

        program = recording(handle, buffers_body=False)
        client = Client(program, "POST")
        client.request(b"a", b"b", more=True)
        await until(lambda: len(read) == 2 and client.asks, client.changed)
        client.leave()
        await client.end()
        assert (read, program.ends) == ([b"a", b"b"], ["end"])

    async def test_by_a_handler_of_a_message(self, layer: LocalLayer) -> None:
        cancelled = asyncio.Event()

        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers(flush=True)

        async def chat_message(self: Any, event: Any) -> None:
            try:
                await for_ever()
            finally:
                cancelled.set()

        program = recording(handle, chat_message=chat_message, groups=["chat"])
        client = Client(program)
        client.request()
        await client.messages(2)
        await layer.group_send("chat", {"type": "chat.message"})
        await turns()
        client.leave()
        await client.end()
        assert (cancelled.is_set(), program.ends) == (True, ["end"])

    @pytest.mark.usefixtures("no_reports")
    async def test_a_failure_of_the_server_counts_as_leaving(self) -> None:
        cancelled = asyncio.Event()

        async def handle(self: Any, body: bytes) -> None:
            try:
                await for_ever()
            finally:
                cancelled.set()

        program = recording(handle)
        client = Client(program)
        client.request()
        await until(lambda: client.asked == 2, client.changed)
        client.fail(ConnectionError("broken"))
        with pytest.raises(ConnectionError, match="broken"):
            await client.end()
        assert (cancelled.is_set(), client.sent, program.ends) == (True, [], ["end"])

    @pytest.mark.usefixtures("no_reports")
    async def test_a_server_that_cancels_its_receive(self) -> None:
        """A cancelled `receive` reports no end; it is raised when the handler has returned."""
        go = asyncio.Event()

        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers(flush=True)
            await go.wait()

        program = recording(handle)
        client = Client(program)
        client.request()
        await client.messages(2)
        await until(lambda: client.asked == 2, client.changed)
        client.fail(asyncio.CancelledError())
        await turns()
        assert program.ends == []
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await client.task
        assert (program.ends, client.asked) == (["end"], 2)

    @pytest.mark.usefixtures("any_layer")
    async def test_a_server_that_cancels_the_receive_of_a_held_response(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers(flush=True)

        program = recording(handle)
        client = Client(program)
        client.request()
        await client.messages(2)
        await until(lambda: client.asked == 2, client.changed)
        client.fail(asyncio.CancelledError())
        with pytest.raises(asyncio.CancelledError):
            await client.task
        assert program.ends == ["end"]

    async def test_receive_may_return_any_awaitable(self) -> None:
        futures = [asyncio.get_running_loop().create_future() for _ in range(2)]
        asked: list[asyncio.Future[Any]] = []

        def receive() -> Any:
            asked.append(futures[len(asked)])
            return asked[-1]

        async def send(message: Any) -> None:
            raise NotImplementedError

        async def handle(self: Any, body: bytes) -> None:
            await for_ever()

        program = recording(handle)
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        serving = asyncio.ensure_future(program.as_asgi()(scope, receive, send))
        futures[0].set_result({"type": "http.request"})
        await turns()
        futures[1].set_result({"type": "http.disconnect"})
        await serving
        assert program.ends == ["end"]


class TestLeavingIsToldOnce:
    async def test_a_reader_is_told_by_an_exception_and_not_cancelled(self) -> None:
        steps: list[str] = []

        async def handle(self: Any, body: bytes) -> None:
            try:
                steps.append((await anext(self.stream_body())).decode())
                await anext(self.stream_body())
            except RequestAborted:
                steps.append("aborted")
                await turns()
                steps.append("saved")

        program = recording(handle, buffers_body=False)
        client = Client(program, "POST")
        client.request(b"a", more=True)
        await until(lambda: steps and client.asks, client.changed)
        client.leave()
        client.leave()  # A server may repeat it.
        await client.end()
        assert (steps, program.ends) == (["a", "aborted", "saved"], ["end"])

    async def test_a_handler_that_does_not_read_is_cancelled_once(self) -> None:
        steps: list[str] = []

        async def handle(self: Any, body: bytes) -> None:
            async for _ in self.stream_body():
                try:
                    await for_ever()
                except asyncio.CancelledError:
                    await turns()
                    steps.append("cancelled")
                    raise

        program = recording(handle, buffers_body=False)
        client = Client(program, "POST")
        client.request(b"a", more=True)
        await until(lambda: client.asked == 2, client.changed)
        client.leave()
        client.leave()
        await client.end()
        assert (steps, program.ends) == (["cancelled"], ["end"])

    async def test_a_handler_that_does_not_wait_costs_no_task_or_timer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, b"a")

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        sent: list[Message] = []
        used: list[str] = []
        loop = asyncio.get_running_loop()
        for name in ("call_soon", "call_at", "create_future", "create_task"):
            monkeypatch.setattr(loop, name, lambda *args, name=name, **kwargs: used.append(name))
        application = ProtocolTypeRouter({"http": recording(handle).as_asgi()})
        await application({"type": "http", "method": "GET", "path": "/"}, receive, send)
        monkeypatch.undo()
        assert (len(sent), used) == (2, [])

    async def test_a_handler_may_return_any_awaitable(self) -> None:
        def handle(self: Any, body: bytes) -> Any:
            return asyncio.ensure_future(self.send_response(200, b"a"))

        assert (await ask(recording(handle)))[2] == b"a"

    async def test_a_handler_may_return_when_it_is_cancelled(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await for_ever()

        program = recording(handle)
        client = Client(program)
        client.request()
        await until(lambda: client.asked == 2, client.changed)
        client.leave()
        await client.end()
        assert (client.sent, program.ends) == ([], ["end"])

    @pytest.mark.parametrize("between", range(4))
    async def test_a_reader_that_is_given_up_as_the_client_leaves(self, between: int) -> None:
        """Whichever comes first: no handler waits for a client that has left."""

        async def handle(self: Any, body: bytes) -> None:
            reading = asyncio.ensure_future(anext(self.stream_body()))
            await turns()
            client.leave()
            await turns(between)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await turns()
            if reading.cancelled():
                await for_ever()

        program = recording(handle, buffers_body=False)
        client = Client(program, "POST")
        client.request(b"", more=True)
        await client.end()
        assert (client.sent, program.ends) == ([], ["end"])

    async def test_after_the_response_has_ended_nothing_is_cancelled(self) -> None:
        steps: list[str] = []

        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, b"done")
            client.leave()
            await turns()
            steps.append("after it")

        program = recording(handle)
        client = Client(program)
        client.request()
        await client.end()
        assert (steps, program.ends) == (["after it"], ["end"])

    async def test_the_end_of_a_request_ends_a_read_that_takes_its_time(self) -> None:
        steps: list[str] = []
        requests = [{"type": "http.request"}]

        async def receive() -> Any:
            if requests:
                return requests.pop()
            try:
                await for_ever()
            finally:
                await turns()
                steps.append("received")

        async def send(message: Any) -> None:
            await turns()

        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, b"")

        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        await recording(handle).as_asgi()(scope, receive, send)
        steps.append("served")
        assert steps == ["received", "served"]


class Play:
    """A body that is sent, read and given up in any order, and the parts that were read."""

    client: Client
    consumer: Any

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.got: list[bytes] = []
        self.reading: asyncio.Future[bytes] | None = None

    async def run(self, consumer: Any, steps: list[str]) -> None:
        self.consumer = consumer
        for step in steps:
            await getattr(self, step)()
            self.keep()
            # The first message, the parts that were read, one that is being read, and one ahead.
            assert self.client.asked <= len(self.got) + 3
        await self.send(more=False)
        if self.reading is not None:
            self.got.append(await self.reading)
        if self.got != self.sent:
            self.got += [part async for part in consumer.stream_body()]

    async def send(self, *, more: bool = True) -> None:
        self.sent.append(b"%d" % len(self.sent))
        self.client.request(self.sent[-1], more=more)

    async def read(self) -> None:
        if self.reading is None:
            self.reading = asyncio.ensure_future(anext(self.consumer.stream_body()))

    async def cancel(self) -> None:
        if self.reading is not None:
            self.reading.cancel()
            await asyncio.wait([self.reading])

    async def turn(self) -> None:
        await asyncio.sleep(0)

    def keep(self) -> None:
        if self.reading is not None and self.reading.done():
            if not self.reading.cancelled():
                self.got.append(self.reading.result())
            self.reading = None


class TestBodiesInParts:
    @pytest.mark.parametrize("between", range(4))
    async def test_a_read_that_is_cancelled_loses_no_part(self, between: int) -> None:
        async def handle(self: Any, body: bytes) -> None:
            parts = []
            reading = asyncio.ensure_future(anext(self.stream_body()))
            await turns()
            client.request(b"a", b"b")
            await turns(between)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            if not reading.cancelled():
                parts.append(reading.result())
            parts += [part async for part in self.stream_body()]
            await self.send_response(200, b"|".join(parts))

        client = Client(recording(handle, buffers_body=False), "POST")
        client.request(b"", more=True)
        assert (await client.whole())[2] == b"a|b"

    @given(st.lists(st.sampled_from(["send", "read", "cancel", "turn"]), max_size=40))
    def test_whatever_happens_each_part_comes_once_and_in_order(self, steps: list[str]) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await play.run(self, steps)
            await self.send_response(200, b"")

        async def request() -> None:
            play.client = Client(recording(handle, buffers_body=False), "POST")
            play.client.request(b"", more=True)
            assert (await play.client.whole())[0] == 200

        play = Play()
        asyncio.run(request())
        assert play.got == play.sent

    async def test_a_large_body_is_read_one_part_ahead(self) -> None:
        count = 0

        async def handle(self: Any, body: bytes) -> None:
            nonlocal count
            async for _ in self.stream_body():
                count += 1
                await turns()
                assert client.asked <= count + 1
            await self.send_response(200, b"")

        client = Client(recording(handle, buffers_body=False), "POST")
        client.request(*[b"x"] * 50)
        assert (await client.whole())[0] == 200
        assert count == 50

    async def test_a_task_that_reads_on_after_handle_is_told_so(self, layer: LocalLayer) -> None:
        """And the held response hears of its client and of the layer."""
        tasks = []

        async def handle(self: Any, body: bytes) -> None:
            async def read() -> list[bytes]:
                return [part async for part in self.stream_body()]

            tasks.append(asyncio.ensure_future(read()))
            await turns()
            await self.send_headers(flush=True)

        async def chat_message(self: Any, event: Any) -> None:
            await self.send_body(b"answered")

        program = recording(handle, chat_message=chat_message, groups=["chat"], buffers_body=False)
        client = Client(program, "POST")
        client.request(b"a", more=True)
        await client.messages(2)
        with pytest.raises(ConnectionStateError, match="the handler that started it has returned"):
            await tasks[0]
        await layer.group_send("chat", {"type": "chat.message"})
        assert (await client.whole())[2] == b"answered"

    @pytest.mark.parametrize("reader", ["task", "handler"])
    async def test_a_program_that_collects_the_body_itself_may_use_both_ways(
        self, reader: str
    ) -> None:
        """Whoever asks, `receive` is called once at a time, and nobody waits for ever."""

        class Collecting(AsyncHttpConsumer):
            async def http_request(self, message: Any) -> None:
                if not self.body:
                    reading.append(asyncio.ensure_future(self.read()))
                self.body.append(message["body"])
                if reader == "handler":
                    await turns()

            async def read(self) -> None:
                async for part in self.stream_body():
                    self.body.append(part)

            async def http_disconnect(self, message: Any) -> None:
                bodies.append(self.body)
                await AsyncHttpConsumer.http_disconnect(self, message)

        reading: list[asyncio.Future[None]] = []
        bodies: list[list[bytes]] = []
        client = Client(Collecting, "POST", bare=True)
        client.request(b"a", more=True)
        await turns()
        for part in (b"b", b"c", b"d"):
            client.request(part, more=True)
            await turns()
        client.leave()
        [ended] = await asyncio.gather(*reading, return_exceptions=True)
        assert isinstance(ended, RequestAborted | ConnectionStateError)
        await client.end()
        assert bodies == [[b"a", b"b", b"c", b"d"]]


class TestMessagesOfOurOwn:
    """Time-outs and the server's stop reach a held response, whoever waits for what."""

    @pytest.mark.usefixtures("any_layer")
    async def test_a_time_out(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers(flush=True)

        async def last_word(self: Any, message: Any) -> None:
            await self.send_body(b"nothing new")

        program = recording(handle, http_response_timeout=last_word, response_timeout=0.001)
        assert (await ask(program))[2] == b"nothing new"

    @pytest.mark.usefixtures("any_layer")
    async def test_the_servers_stop(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            consumers.append(self)
            await self.send_headers(flush=True)

        consumers: list[Any] = []
        client = Client(recording(handle))
        client.request()
        await client.messages(2)
        await until(lambda: client.asks, client.changed)
        consumers[0]._channels_connection.drain()
        assert (await client.whole())[2] == b""

    @pytest.mark.usefixtures("any_layer")
    async def test_one_that_comes_as_the_client_leaves(self) -> None:
        for turns_between in range(4):
            consumers: list[Any] = []

            async def handle(self: Any, body: bytes, consumers: Any = consumers) -> None:
                consumers.append(self)
                await self.send_headers(flush=True)

            program = recording(handle)
            client = Client(program)
            client.request()
            await client.messages(2)
            await until(lambda client=client: client.asks, client.changed)
            client.leave()
            await turns(turns_between)
            consumers[0]._channels_connection.drain()
            await client.end()
            assert program.ends == ["end"]

    async def test_a_server_that_swallows_the_interruption(self) -> None:
        """Its `receive` returns a message though it was cancelled; nothing is lost by that."""

        async def handle(self: Any, body: bytes) -> None:
            consumers.append(self)
            await self.send_headers(flush=True)

        async def last_word(self: Any, message: Any) -> None:
            gone = asyncio.ensure_future(for_ever())
            gone.cancel()
            await gone

        consumers: list[Any] = []
        messages = [{"type": "http.request"}]

        async def receive() -> Any:
            if not messages:
                asking.set()
                with contextlib.suppress(asyncio.CancelledError):
                    await for_ever()
            return messages.pop() if messages else {"type": "http.request"}

        async def send(message: Any) -> None:
            pass

        asking = asyncio.Event()
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        program = recording(handle, http_response_timeout=last_word)
        serving = asyncio.ensure_future(program.as_asgi()(scope, receive, send))
        await asking.wait()
        consumers[0]._channels_connection.drain()
        # The program's own fault, and no cancellation of ours.
        with pytest.raises(RuntimeError, match="awaited something that was cancelled"):
            await serving
        assert program.ends == ["end"]


class TestExpect:
    async def test_headers_from_a_task_of_the_programs_do_not_ask_twice(self) -> None:
        class Own(AsyncHttpConsumer, buffers_body=False):
            async def http_request(self, message: Any) -> None:
                if not hasattr(self, "answering"):
                    self.answering = asyncio.ensure_future(self.answer())

            async def answer(self) -> None:
                await turns()
                await self.send_headers(flush=True)

        client = Client(Own, "POST", headers=EXPECT)
        await client.messages(2)
        await turns()
        client.leave()
        await client.end()
        assert client.asked == 1

    async def test_a_time_out_of_a_body_that_is_not_sent(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            with pytest.raises(RequestTimeout):
                await anext(self.stream_body())
            await self.send_response(408, b"")

        program = recording(handle, buffers_body=False, body_timeout=0)
        client = Client(program, "POST", headers=EXPECT)
        assert (await client.whole())[0] == 408
