import asyncio
import itertools
import threading
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
from django.test import override_settings

from channels_core.consumer import AsyncConsumer, SyncConsumer
from channels_core.generic.websocket import WebsocketConsumer
from channels_core.layers import BaseChannelLayer
from channels_core.typing import Message, Receive, Scope, Send
from channels_testing._failure_text import describe_application, shortened
from channels_testing.application import ApplicationCommunicator

# A safety net, for a machine under load.
SECONDS = 60


async def started(application: Any) -> ApplicationCommunicator:
    """Start an application and wait until it says that it will wait."""
    communicator = ApplicationCommunicator(application, {"type": "test"})
    await communicator.send_input({"type": "test.wait"})
    assert await communicator.receive_output(SECONDS) == {"type": "said"}
    await asyncio.sleep(0)
    return communicator


async def state(communicator: ApplicationCommunicator) -> str:
    """Return the text of a receive that times out, without its first sentence."""
    with pytest.raises(TimeoutError) as caught:
        await communicator.receive_output(0)
    return str(caught.value).removeprefix("No message came within 0 s. ")


SENT = "It has sent {'type': 'said'}."


class TestWhereItWaits:
    async def test_for_a_message(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "said"})
            await receive()

        told = await state(await started(application))
        assert told == f"The application is alive and waits for a message. {SENT}"

    async def test_a_consumer_for_a_message(self) -> None:
        class Consumer(AsyncConsumer):
            async def test_wait(self, message: Message) -> None:
                await self.send({"type": "said"})

        told = await state(await started(Consumer))
        assert told == f"The application is alive and waits for a message. {SENT}"

    async def test_at_a_line_of_the_program(self) -> None:
        class Consumer(AsyncConsumer):
            async def test_wait(self, message: Message) -> None:
                await self.send({"type": "said"})
                await self.work()

            async def work(self) -> None:
                await asyncio.wait_for(asyncio.Event().wait(), SECONDS)

        communicator = await started(Consumer)
        await communicator.send_input({"type": "test.wait"})
        told = await state(communicator)
        line = Consumer.work.__code__.co_firstlineno + 1
        assert f"and waits in {Consumer.work.__qualname__} ({__file__}, line {line}); " in told
        assert "; it has not taken 1 of the test's messages. " in told

    async def test_in_a_thread(self) -> None:
        leave = threading.Event()

        class Consumer(SyncConsumer):
            def test_wait(self, message: Message) -> None:
                self.send({"type": "said"})
                leave.wait(SECONDS)

        communicator = await started(Consumer)
        communicator.keep_running = True
        told = await state(communicator)
        leave.set()
        assert told == f"The application is alive and runs synchronous code in a thread. {SENT}"
        communicator.stop()

    async def test_behind_an_asynchronous_generator(self) -> None:
        async def items() -> AsyncIterator[int]:
            await asyncio.Event().wait()
            yield 1

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "said"})
            async for _ in items():
                pass

        told = await state(await started(application))
        assert f"waits in {application.__qualname__} (" in told

    async def test_before_it_has_begun(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            """Do nothing."""

        communicator = ApplicationCommunicator(application, {"type": "test"})
        told = describe_application(communicator.future, 0, [])
        assert told == "The application is alive and has not begun. It has sent nothing."
        await communicator.wait(SECONDS)
        # The innermost frames are all of the event loop.
        task = asyncio.ensure_future(asyncio.sleep(SECONDS))
        await asyncio.sleep(0)
        assert "at an unknown place" in describe_application(task, 0, [])
        task.cancel()


class Layer(BaseChannelLayer):
    """A layer with one message for each channel."""

    async def new_channel(self, prefix: str = "specific.") -> str:
        return f"{prefix}!{next(channels)}"

    async def receive(self, channel: str) -> dict[str, Any]:
        if channel not in served:
            served.add(channel)
            return {"type": "layer.work"}
        await asyncio.Event().wait()
        raise AssertionError


channels = itertools.count()
served: set[str] = set()


class Worker(AsyncConsumer):
    """Waits for ever in the handler of the layer's message."""

    working: ClassVar[asyncio.Event]

    async def test_work(self, message: Message) -> None:
        raise AssertionError  # One handler runs at a time.

    async def layer_work(self, message: Message) -> None:
        self.working.set()
        await asyncio.Event().wait()


async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
    await Worker.as_asgi()(scope, receive, send)


class TestAHandlerOfTheLayersMessages:
    @pytest.mark.parametrize("application", [Worker, wrapped])
    @pytest.mark.parametrize("untaken", [0, 1])
    async def test_is_what_the_consumer_waits_in(self, application: Any, untaken: int) -> None:
        layers = {"default": {"BACKEND": f"{__name__}.Layer"}}
        with override_settings(CHANNEL_LAYERS=layers):
            Worker.working = asyncio.Event()
            async with ApplicationCommunicator(application, {"type": "test"}) as communicator:
                await Worker.working.wait()
                for _ in range(untaken + 1 if untaken else 0):
                    await communicator.send_input({"type": "test.work"})
                told = await state(communicator)
        line = Worker.layer_work.__code__.co_firstlineno + 2
        place = f"{Worker.layer_work.__qualname__} ({__file__}, line {line})"
        assert told.startswith(f"The application is alive and waits in {place}")
        assert ("has not taken 1 of" in told) is bool(untaken)

    async def test_a_handler_of_another_consumer_is_not_named(self) -> None:
        layers = {"default": {"BACKEND": f"{__name__}.Layer"}}

        class Idle(AsyncConsumer):
            async def layer_work(self, message: Message) -> None:
                await self.send({"type": "said"})

        with override_settings(CHANNEL_LAYERS=layers):
            Worker.working = asyncio.Event()
            async with ApplicationCommunicator(Worker, {"type": "test"}) as worker:
                await Worker.working.wait()
                async with ApplicationCommunicator(Idle, {"type": "test"}) as idle:
                    assert await idle.receive_output(SECONDS) == {"type": "said"}
                    told = await state(idle)
                assert "layer_work" in await state(worker)
        assert told == f"The application is alive and waits for a message. {SENT}"

    async def test_a_handler_that_reads_what_the_server_sends_waits_for_a_message(self) -> None:
        """As a consumer of HTTP requests does that reads the body."""

        class Reading(AsyncConsumer):
            async def layer_work(self, message: Message) -> None:
                await self.send({"type": "said"})
                mailbox = self._channels_connection.mailbox
                assert mailbox is not None
                await mailbox.read()

        layers = {"default": {"BACKEND": f"{__name__}.Layer"}}
        with override_settings(CHANNEL_LAYERS=layers):
            async with ApplicationCommunicator(Reading, {"type": "test"}) as reading:
                assert await reading.receive_output(SECONDS) == {"type": "said"}
                told = await state(reading)
        assert told == f"The application is alive and waits for a message. {SENT}"


class TestHowItEnded:
    async def end(self, error: BaseException | None) -> str:
        async def work() -> None:
            if error is not None:
                raise error

        task = asyncio.ensure_future(work())
        await asyncio.wait({task})
        return describe_application(task, 0, [])

    async def test_by_itself(self) -> None:
        told = await self.end(None)
        assert told == "The application has ended without an error. It has sent nothing."

    async def test_by_an_exception(self) -> None:
        told = await self.end(ValueError("no such room"))
        assert told == "The application has raised ValueError: no such room. It has sent nothing."

    async def test_by_being_cancelled(self) -> None:
        told = await self.end(asyncio.CancelledError())
        assert told == "The application was cancelled. It has sent nothing."


class TestWhatItSent:
    async def test_the_last_of_many(self) -> None:
        class Consumer(WebsocketConsumer):
            def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
                for number in range(7):
                    self.send(str(number))

        communicator = ApplicationCommunicator(Consumer, {"type": "websocket"})
        await communicator.send_input({"type": "websocket.connect"})
        await communicator.send_input({"type": "websocket.receive", "text": "count"})
        for _ in range(8):
            await communicator.receive_output(SECONDS)
        told = await state(communicator)
        expected = ", ".join(repr({"type": "websocket.send", "text": str(n)}) for n in range(2, 7))
        assert told.endswith(f". It has sent 3 more, then {expected}.")

    def test_a_long_one_is_cut(self) -> None:
        assert shortened({"text": "x" * 1000}) == repr({"text": "x" * 1000})[:200] + "..."
        assert shortened(1) == "1"
