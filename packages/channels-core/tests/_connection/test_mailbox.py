"""Mailboxes whose messages a handler reads itself, as HTTP consumers do for a body."""

import asyncio
from typing import Any

import pytest

from channels_core._connection.mailbox import Mailbox
from channels_core.exceptions import ConnectionStateError
from channels_core.typing import Message
from fakes import until

DISCONNECT: Message = {"type": "http.disconnect"}


class StrictServer:
    """Sends the messages of its queue; two calls of `receive` at once fail."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.asked = 0
        self._is_asked = False

    async def receive(self) -> Message:
        assert not self._is_asked, "receive() was called while another call waits"
        self._is_asked = True
        self.asked += 1
        try:
            message: Any = await self.queue.get()
        finally:
            self._is_asked = False
        if isinstance(message, Exception):
            raise message
        return message  # type: ignore[no-any-return] # what the test has put


def watch(mailbox: Mailbox, told: list[int] | None = None, *, reads: bool = True) -> None:
    """Watch for the end as HTTP consumers do, for a handler that waits; append 1 when told."""
    mailbox.watch(lambda: None if told is None else told.append(1))
    mailbox.keep_watch(reads=reads)


@pytest.fixture
async def server() -> StrictServer:
    return StrictServer()


@pytest.fixture
async def mailbox(server: StrictServer) -> Mailbox:
    return Mailbox(server.receive, ahead=1)


async def next_of(mailbox: Mailbox) -> Message:
    """Take the next message, or wait for it, as a connection does."""
    task = asyncio.current_task()
    assert task is not None
    while True:
        if (taken := mailbox.take()) is not None:
            return taken
        if (waiter := mailbox.wait()) is not None:
            await waiter
            continue
        mailbox.asking, cancels = task, task.cancelling()
        try:
            message: Message = await mailbox.receive()
        except BaseException as error:
            if mailbox.ends_interruption(error, cancels):
                continue
            raise
        if mailbox.was_interrupted:
            mailbox.forget_interruption()
        mailbox.asking = None
        return message


def part(number: int) -> Message:
    return {"type": "http.request", "body": str(number).encode()}


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class TestReading:
    async def test_it_asks_the_server_itself(self, server: StrictServer, mailbox: Mailbox) -> None:
        server.queue.put_nowait(part(1))
        assert await mailbox.read() == part(1)
        assert mailbox.close() == []

    async def test_a_message_that_was_put_comes_first(
        self, server: StrictServer, mailbox: Mailbox
    ) -> None:
        server.queue.put_nowait(part(1))
        mailbox.put(part(0))
        assert [await next_of(mailbox), await next_of(mailbox)] == [part(0), part(1)]
        assert not mailbox.from_layer

    async def test_putting_a_message_ends_the_wait_for_the_server(
        self, server: StrictServer, mailbox: Mailbox
    ) -> None:
        waiting = asyncio.create_task(next_of(mailbox))
        await settle()
        mailbox.put(part(0))
        assert await waiting == part(0)
        assert not waiting.cancelling()

    async def test_during_a_watch_a_cancelled_call_does_not_lose_a_message(
        self, server: StrictServer, mailbox: Mailbox
    ) -> None:
        watch(mailbox)
        reading = asyncio.create_task(mailbox.read())
        await settle()
        reading.cancel()
        server.queue.put_nowait(part(1))
        await settle()
        assert await mailbox.read() == part(1)
        server.queue.put_nowait(part(2))
        assert await next_of(mailbox) == part(2)
        await end(mailbox)

    async def test_a_task_that_outlives_its_watch_gets_an_error(
        self, server: StrictServer, mailbox: Mailbox
    ) -> None:
        watch(mailbox)
        reading = asyncio.create_task(mailbox.read())
        await settle()
        mailbox.unwatch()
        with pytest.raises(ConnectionStateError, match="handler that started it has returned"):
            await reading
        await end(mailbox)

    async def test_a_message_that_comes_with_a_cancellation_is_kept(
        self, server: StrictServer, mailbox: Mailbox
    ) -> None:
        mailbox.start_reading()
        waiting = asyncio.create_task(next_of(mailbox))
        await settle()
        waiting.cancel()
        mailbox.put(part(0))
        await asyncio.wait([waiting])
        assert await next_of(mailbox) == part(0)
        await end(mailbox)

    async def test_a_server_may_answer_an_interruption_with_a_message(self) -> None:
        async def receive() -> Message:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return part(1)
            raise AssertionError

        mailbox = Mailbox(receive, ahead=1)
        waiting = asyncio.create_task(next_of(mailbox))
        await settle()
        mailbox.put(part(0))
        assert await waiting == part(1)
        assert not waiting.cancelling()
        assert await next_of(mailbox) == part(0)

    async def test_one_part_is_read_ahead(self, server: StrictServer, mailbox: Mailbox) -> None:
        watch(mailbox)
        for number in range(5):
            server.queue.put_nowait(part(number))
        await settle()
        assert server.queue.qsize() == 4
        assert [await mailbox.read() for _ in range(5)] == [part(number) for number in range(5)]
        await end(mailbox)

    async def test_an_error_of_the_server_is_raised_where_it_is_read(
        self, server: StrictServer, mailbox: Mailbox
    ) -> None:
        watch(mailbox)
        server.queue.put_nowait(LookupError("broken"))
        for reading in (mailbox.read(), next_of(mailbox)):
            with pytest.raises(LookupError, match="broken"):
                await reading
        await end(mailbox)


class TestWatching:
    async def test_the_end_is_reported_once(self, server: StrictServer, mailbox: Mailbox) -> None:
        told: list[int] = []
        watch(mailbox, told)
        server.queue.put_nowait(DISCONNECT)
        await until(lambda: bool(told))
        assert mailbox.client_has_left
        assert await next_of(mailbox) == DISCONNECT
        server.queue.put_nowait(DISCONNECT)
        assert await next_of(mailbox) == DISCONNECT
        assert told == [1]
        await end(mailbox)

    async def test_a_reader_gets_the_end_from_its_call_only(
        self, server: StrictServer, mailbox: Mailbox
    ) -> None:
        told: list[int] = []
        watch(mailbox, told)
        server.queue.put_nowait(DISCONNECT)
        assert await mailbox.read() == DISCONNECT
        assert told == []
        await end(mailbox)

    async def test_a_short_watch_does_not_make_a_task(
        self, server: StrictServer, mailbox: Mailbox
    ) -> None:
        watch(mailbox)
        mailbox.unwatch()
        await settle()
        assert server.asked == 0
        assert mailbox.close() == []

    async def test_an_end_before_the_watch_is_reported_too(
        self, server: StrictServer, mailbox: Mailbox
    ) -> None:
        told: list[int] = []
        mailbox.start_reading()
        server.queue.put_nowait(DISCONNECT)
        await until(lambda: mailbox.client_has_left)
        watch(mailbox, told)
        assert told == []
        await settle()
        assert told == [1]
        await end(mailbox)

    async def test_a_watch_need_not_read(self, server: StrictServer, mailbox: Mailbox) -> None:
        watch(mailbox, reads=False)
        await settle()
        assert server.asked == 0
        mailbox.start_reading()
        mailbox.start_reading()
        await settle()
        assert server.asked == 1
        await end(mailbox)


class Layer:
    """A layer whose messages wait until they are taken."""

    def __init__(self) -> None:
        self.messages: list[Message | Exception] = []
        self.wakes: list[Any] = []

    def listen(self, channel: str, wake: Any) -> Any:
        self.wakes.append(wake)
        return self.take

    def take(self) -> Message | None:
        message = self.messages.pop(0) if self.messages else None
        if isinstance(message, Exception):
            raise message
        return message

    async def receive(self, channel: str) -> None: ...

    def add(self, *messages: Message | Exception) -> None:
        self.messages.extend(messages)
        self.wakes[0]()
        self.wakes[0]()


@pytest.fixture
def layer(server: StrictServer, mailbox: Mailbox) -> Layer:
    layer = Layer()
    mailbox.listen_to(layer, "mine", server.receive)
    return layer


class AskingLayer(Layer):
    """A layer that asks whether the connection waits."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[bool] = []

    def listen(self, channel: str, wake: Any, wake_waiting: Any = None) -> Any:
        def ask_first() -> None:
            self.answers.append(wake_waiting())
            if not self.answers[-1]:
                wake()

        return super().listen(channel, ask_first)

    vars(listen)["takes_wake_waiting"] = True

    async def receive(self, channel: str) -> None: ...


class TestALayer:
    async def test_it_may_ask_whether_the_connection_waits(
        self, server: StrictServer, mailbox: Mailbox
    ) -> None:
        layer = AskingLayer()
        mailbox.listen_to(layer, "mine", server.receive)
        assert mailbox.take() is None
        layer.add({"type": "early"})
        assert layer.answers == [False, False]
        assert [mailbox.take(), mailbox.take()] == [{"type": "early"}, None]
        waiting = asyncio.create_task(next_of(mailbox))
        await settle()
        layer.add({"type": "note"})
        assert layer.answers[2:] == [True, False]
        assert await waiting == {"type": "note"}
        assert mailbox.from_layer
        await end(mailbox)

    async def test_one_that_is_cancelled_does_not_wait(
        self, server: StrictServer, mailbox: Mailbox
    ) -> None:
        layer = AskingLayer()
        mailbox.listen_to(layer, "mine", server.receive)
        mailbox.take()
        waiting = asyncio.create_task(next_of(mailbox))
        await settle()
        waiting.cancel()
        layer.add({"type": "note"})
        assert layer.answers == [False, False]
        assert mailbox.take() == {"type": "note"}
        await end(mailbox)

    async def test_its_messages_arrive_while_the_server_is_silent(
        self, mailbox: Mailbox, layer: Layer
    ) -> None:
        waiting = asyncio.create_task(next_of(mailbox))
        await settle()
        layer.add({"type": "note"})
        assert await waiting == {"type": "note"}
        assert mailbox.from_layer
        await end(mailbox)

    async def test_a_look_at_its_messages_takes_one_at_most(
        self, mailbox: Mailbox, layer: Layer
    ) -> None:
        layer.add({"type": "note"}, {"type": "last"})
        assert mailbox.has_message()
        assert mailbox.has_message()
        assert layer.messages == [{"type": "last"}]
        assert [mailbox.take(), mailbox.take()] == [{"type": "note"}, {"type": "last"}]
        assert not mailbox.has_message()
        assert mailbox.take() is None

    async def test_a_message_that_was_looked_at_takes_turns_with_frames(
        self, mailbox: Mailbox, layer: Layer
    ) -> None:
        layer.add({"type": "note"}, {"type": "last"})
        assert mailbox.has_message()
        mailbox.frames.extend([part(1), part(2)])
        taken = [mailbox.take() for _ in range(4)]
        assert taken == [{"type": "note"}, part(1), {"type": "last"}, part(2)]

    async def test_an_error_of_a_look_is_an_error_of_the_layer(
        self, mailbox: Mailbox, layer: Layer
    ) -> None:
        error = LookupError("gone")
        layer.add({"type": "note"}, error)
        assert mailbox.take() == {"type": "note"}
        with pytest.raises(LookupError):
            mailbox.has_message()
        assert mailbox.layer_error is error

    async def test_a_message_may_wake_a_call_that_was_cancelled(
        self, mailbox: Mailbox, layer: Layer
    ) -> None:
        waiting = asyncio.create_task(next_of(mailbox))
        await settle()
        waiting.cancel()
        layer.add({"type": "note"})
        await asyncio.wait([waiting])
        assert await next_of(mailbox) == {"type": "note"}
        await end(mailbox)

    async def test_a_stop_ends_the_wait_for_the_server(
        self, server: StrictServer, mailbox: Mailbox
    ) -> None:
        waiting = asyncio.create_task(next_of(mailbox))
        await settle()
        mailbox.stop(LookupError("first"))
        mailbox.stop(LookupError("second"))
        with pytest.raises(LookupError, match="first"):
            await waiting


async def end(mailbox: Mailbox) -> None:
    tasks = mailbox.close()
    assert tasks
    await asyncio.wait(tasks)
