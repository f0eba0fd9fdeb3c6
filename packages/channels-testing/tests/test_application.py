import asyncio
import gc
import re
import time
import weakref
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any, NoReturn

import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings

from channels_core.consumer import AsyncConsumer
from channels_core.layers import BaseChannelLayer, get_channel_layer
from channels_core.typing import Message, Receive, Scope, Send
from channels_testing.application import ApplicationCommunicator, no_op

# A safety net, for a machine under load.
SECONDS = 60

variable: ContextVar[str] = ContextVar("variable", default="of nobody")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send each message back; end, fail or stay if the message says so."""
    while (message := await receive())["type"] != "end":
        if message["type"] == "fail":
            raise ValueError("told to fail")
        await send(message)


def communicate(application: Any = echo, **scope: Any) -> ApplicationCommunicator:
    return ApplicationCommunicator(application, {"type": "test", **scope})


class Consumer(AsyncConsumer):
    async def test_ping(self, message: Message) -> None:
        await self.send({"type": "pong", "scope": self.scope["type"]})


class TwoSteps:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "pong", "scope": self.scope["type"]})


def three_steps_in_one(scope: Scope, receive: Receive, send: Send) -> Any:
    """Return the coroutine of another application; a plain function, not a coroutine function."""
    return TwoSteps(scope)(receive, send)


@pytest.mark.parametrize(
    "application",
    [Consumer, Consumer.as_asgi(), TwoSteps, three_steps_in_one],
    ids=["consumer class", "consumer", "two steps", "ordinary function"],
)
async def test_applications_of_all_kinds(application: Any) -> None:
    communicator = communicate(application)
    await communicator.send_input({"type": "test.ping"})
    assert await communicator.receive_output(SECONDS) == {"type": "pong", "scope": "test"}
    communicator.stop()


class TestStart:
    def test_an_object_that_is_not_an_application(self) -> None:
        for thing in (None, Consumer.as_asgi):
            with pytest.raises(TypeError, match="Expected an ASGI application"):
                communicate(thing)

    async def test_the_scope_may_be_changed_until_then(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "told", "user": scope["user"]})

        communicator = communicate(application)
        communicator.scope["user"] = "anna"
        assert (await communicator.receive_output(SECONDS))["user"] == "anna"

    async def test_a_scope_that_several_share_is_not_changed(self) -> None:
        shared: Scope = {"type": "test", "headers": []}
        communicator = ApplicationCommunicator(echo, shared, cookies={"a": "b"})
        communicator.scope["user"] = "anna"
        assert shared == {"type": "test", "headers": []}

    async def test_a_scope_is_the_very_object_unless_it_is_changed(self) -> None:
        scope: Scope = {"type": "test"}
        communicator = ApplicationCommunicator(echo, scope)
        assert communicator.scope is scope
        communicator.force_login(None)
        assert communicator.scope is not scope
        assert communicator.scope == scope

    async def test_it_runs_in_a_context_of_its_own(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "told", "value": variable.get()})
            variable.set("of the application")

        variable.set("of the test")
        communicator = communicate(application)
        assert (await communicator.receive_output(SECONDS))["value"] == "of nobody"
        await communicator.wait(SECONDS)
        assert variable.get() == "of the test"

    async def test_cookies(self) -> None:
        communicator = ApplicationCommunicator(echo, {"type": "test"}, cookies={"a": "b"})
        assert communicator.scope["headers"] == [(b"cookie", b"a=b")]

    def test_a_test_without_an_event_loop(self) -> None:
        async def talk() -> Any:
            communicator = communicate()
            await communicator.send_input({"type": "a"})
            return await communicator.receive_output(SECONDS)

        assert async_to_sync(talk)() == {"type": "a"}


class TestReceive:
    async def test_messages_in_their_order(self) -> None:
        communicator = communicate()
        for name in "abc":
            await communicator.send_input({"type": name})
        answers = [await communicator.receive_output(SECONDS) for _ in "abc"]
        assert answers == [{"type": name} for name in "abc"]
        communicator.stop()

    async def test_messages_from_before_the_end(self) -> None:
        communicator = communicate()
        for name in ("a", "b", "end"):
            await communicator.send_input({"type": name})
        await communicator.wait(SECONDS)
        assert await communicator.receive_output(SECONDS) == {"type": "a"}
        assert await communicator.receive_output(SECONDS) == {"type": "b"}
        with pytest.raises(TimeoutError, match="No message can come any more"):
            await communicator.receive_output(SECONDS)

    async def test_the_exception_that_ended_it_meanwhile(self) -> None:
        communicator = communicate()
        await communicator.send_input({"type": "fail"})
        with pytest.raises(ValueError, match="told to fail") as caught:
            await communicator.receive_output(SECONDS)
        # The exception has its own traceback, down to the line of the program.
        assert caught.traceback[-1].name == "echo"

    async def test_the_exception_that_ended_it_before(self) -> None:
        communicator = communicate()
        await communicator.send_input({"type": "a"})
        await communicator.send_input({"type": "fail"})
        await asyncio.wait({communicator.future})
        for call in (
            communicator.receive_output(SECONDS),
            communicator.receive_nothing(),
            communicator.send_input({"type": "a"}),
            communicator.wait(),
        ):
            with pytest.raises(ValueError, match="told to fail"):
                await call
        with pytest.raises(ValueError, match="told to fail"):
            communicator.stop()
        communicator.stop(exceptions=False)

    async def test_a_message_that_comes_as_the_time_is_up(self) -> None:
        communicator = communicate()
        assert not communicator.future.done()
        asyncio.get_running_loop().call_soon(
            lambda: asyncio.get_running_loop().call_soon(
                communicator.output_queue.put_nowait, {"type": "late"}
            )
        )
        assert await communicator.receive_output(0) == {"type": "late"}
        communicator.stop()

    async def test_a_test_that_gives_up_itself_loses_nothing(self) -> None:
        communicator = communicate()
        waiting = asyncio.ensure_future(communicator.receive_output(SECONDS))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await communicator.send_input({"type": "a"})
        assert await communicator.receive_output(SECONDS) == {"type": "a"}
        communicator.stop()


class TestReceiveNothing:
    async def test_nothing(self) -> None:
        communicator = communicate()
        assert await communicator.receive_nothing(0.02, 0.01) is True
        assert await communicator.receive_nothing(timeout=0) is True
        communicator.stop()

    async def test_the_exception_that_ended_it_meanwhile_is_left_to_the_next_call(self) -> None:
        communicator = communicate()
        await communicator.send_input({"type": "fail"})
        assert await communicator.receive_nothing(0.02, 0.01) is True
        with pytest.raises(ValueError, match="told to fail"):
            await communicator.receive_nothing(0.02, 0.01)

    async def test_while_a_test_has_stopped_the_clock(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        communicator = communicate()
        with monkeypatch.context() as patch:
            # As freezegun does with `real_asyncio=True`.
            patch.setattr(asyncio.get_running_loop(), "time", time.monotonic)
            patch.setattr(time, "monotonic", lambda: 0.0)
            nothing = communicator.receive_nothing(0.02, 0.01)
            assert await asyncio.wait_for(nothing, SECONDS) is True
        communicator.stop()

    async def test_an_application_that_ends_meanwhile(self) -> None:
        communicator = communicate()
        await communicator.send_input({"type": "end"})
        assert await communicator.receive_nothing(0.02, 0.01) is True

    async def test_something(self) -> None:
        communicator = communicate()
        await communicator.send_input({"type": "a"})
        assert await communicator.receive_nothing(SECONDS) is False
        assert await communicator.receive_output() == {"type": "a"}
        communicator.stop()


class TestTimeout:
    async def test_it_cancels_the_application(self) -> None:
        communicator = communicate()
        with pytest.raises(TimeoutError, match=r"^No message came within 0\.01 s\. The app"):
            await communicator.receive_output(0.01)
        assert communicator.future.cancelled()
        # Tests of programs rely on this.
        for call in (
            communicator.send_input({"type": "a"}),
            communicator.receive_output(),
            communicator.receive_nothing(),
        ):
            with pytest.raises(asyncio.CancelledError):
                await call
        await communicator.wait()

    @pytest.mark.parametrize("way", ["argument", "attribute"])
    async def test_it_can_keep_it_running(self, way: str) -> None:
        communicator = communicate()
        communicator.keep_running = way == "attribute"
        assert not communicator.future.done()
        await asyncio.sleep(0)  # It begins.
        with pytest.raises(TimeoutError, match="alive and waits for a message"):
            await communicator.receive_output(0.01, keep_running=way == "argument" or None)
        await communicator.send_input({"type": "a"})
        assert await communicator.receive_output(SECONDS) == {"type": "a"}
        communicator.stop()


class TestWait:
    async def test_for_the_end(self) -> None:
        communicator = communicate()
        await communicator.send_input({"type": "end"})
        await communicator.wait(SECONDS)
        await communicator.wait()

    async def test_for_one_that_does_not_end(self) -> None:
        communicator = communicate()
        await communicator.wait(0.01)
        assert communicator.future.cancelled()

    async def test_for_one_that_has_to_end(self) -> None:
        communicator = communicate()
        with pytest.raises(TimeoutError, match=r"^The application did not end within 0\.01 s\. "):
            await communicator.wait(0.01, must_end=True)
        assert communicator.future.cancelled()

    async def test_a_test_that_gives_up_itself(self) -> None:
        communicator = communicate()
        waiting = asyncio.ensure_future(communicator.wait(SECONDS))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert communicator.future.cancelled()


class TestAnApplicationThatIgnoresCancellation:
    """The text of the error, and the time after which it is raised."""

    IGNORES = (
        r"The application was cancelled, and did not end within 0\.01 s; does it catch "
        r"asyncio\.CancelledError and go on\? The application is alive and waits in .*stubborn"
    )

    @pytest.fixture
    async def stubborn(self) -> AsyncIterator[ApplicationCommunicator]:
        leave = asyncio.Event()

        async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
            while not leave.is_set():
                try:
                    await leave.wait()
                except asyncio.CancelledError:
                    await send({"type": "ignored"})

        communicator = communicate(stubborn)
        communicator.context_timeout = 0.01
        assert not communicator.future.done()
        await asyncio.sleep(0)  # It begins.
        yield communicator
        leave.set()
        await communicator.wait(SECONDS)

    async def test_after_a_receive(self, stubborn: ApplicationCommunicator) -> None:
        with pytest.raises(TimeoutError, match=self.IGNORES):
            await stubborn.receive_output(0)

    async def test_after_a_wait(self, stubborn: ApplicationCommunicator) -> None:
        with pytest.raises(TimeoutError, match=self.IGNORES):
            await stubborn.wait(0)

    async def test_at_the_end_of_a_context(self, stubborn: ApplicationCommunicator) -> None:
        with pytest.raises(TimeoutError, match=self.IGNORES):
            async with stubborn:
                pass

    async def test_after_a_failure_of_the_test(self, stubborn: ApplicationCommunicator) -> None:
        with pytest.raises(AssertionError, match="of the test") as caught:
            async with stubborn:
                raise AssertionError("of the test")
        [note] = caught.value.__notes__
        assert re.match(self.IGNORES, note)

    @pytest.mark.parametrize("seconds", [0, SECONDS])
    async def test_a_test_that_gives_up_itself(
        self, stubborn: ApplicationCommunicator, seconds: float
    ) -> None:
        # The first wait is cancelled, or the later one for the end of the application.
        stubborn.context_timeout = 0.01 if seconds else SECONDS
        waiting = asyncio.ensure_future(stubborn.wait(seconds))
        if not seconds:
            await stubborn.output_queue.get()
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting}, timeout=SECONDS)
        assert waiting.cancelled()
        assert not stubborn.future.done()


class TestStop:
    async def test_before_the_start(self) -> None:
        communicate().stop()

    async def test_one_that_runs(self) -> None:
        communicator = communicate()
        task = communicator.future
        communicator.stop()
        await asyncio.wait({task})
        assert task.cancelled()

    async def test_it_ends_with_its_communicator(self) -> None:
        communicator = communicate()
        task = communicator.future
        await asyncio.sleep(0)
        gc.disable()  # No cycle needs to be collected.
        try:
            del communicator
            await asyncio.wait({task}, timeout=SECONDS)
        finally:
            gc.enable()
        assert task.cancelled()


class TestContext:
    async def test_it_starts_and_ends_the_application(self) -> None:
        async with communicate() as communicator:
            await communicator.send_input({"type": "a"})
            assert await communicator.receive_output(SECONDS) == {"type": "a"}
        assert communicator.future.cancelled()

    async def test_one_that_has_ended(self) -> None:
        async with communicate() as communicator:
            await communicator.send_input({"type": "end"})
            await asyncio.wait({communicator.future})
        assert communicator.future.exception() is None

    async def test_one_that_was_stopped(self) -> None:
        async with communicate() as communicator:
            communicator.stop()
            await asyncio.wait({communicator.future})

    async def test_an_exception_that_no_method_has_raised(self) -> None:
        async def test() -> None:
            async with communicate() as communicator:
                await communicator.send_input({"type": "fail"})
                await asyncio.wait({communicator.future})

        with pytest.raises(ValueError, match="told to fail"):
            await test()

    async def test_an_exception_that_the_test_expected(self) -> None:
        async with communicate() as communicator:
            await communicator.send_input({"type": "fail"})
            with pytest.raises(ValueError, match="told to fail"):
                await communicator.receive_output(SECONDS)

    async def test_a_failure_of_the_test_is_not_hidden(self) -> None:
        with pytest.raises(AssertionError, match="of the test") as caught:
            async with communicate() as communicator:
                raise AssertionError("of the test")
        assert communicator.future.cancelled()
        assert not hasattr(caught.value, "__notes__")

    async def test_a_failure_has_a_note_about_the_application(self) -> None:
        async def test() -> None:
            async with communicate() as communicator:
                await communicator.send_input({"type": "fail"})
                await asyncio.wait({communicator.future})
                raise AssertionError("of the test")

        with pytest.raises(AssertionError, match="of the test") as caught:
            await test()
        [note] = caught.value.__notes__
        assert note.startswith("The application has raised ValueError: told to fail.")

    async def test_an_application_that_fails_as_it_is_cancelled(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await receive()
            finally:
                raise RuntimeError("in the clean-up")

        async def test() -> None:
            async with communicate(application):
                await asyncio.sleep(0)
                raise AssertionError("of the test")

        with pytest.raises(AssertionError, match="of the test") as caught:
            await test()
        assert "RuntimeError: in the clean-up" in caught.value.__notes__[0]
        with pytest.raises(RuntimeError, match="in the clean-up"):
            async with communicate(application):
                await asyncio.sleep(0)

    async def test_the_application_ends_when_the_test_is_cancelled(self) -> None:
        communicator = communicate()
        begun = asyncio.Event()

        async def test() -> None:
            async with communicator:
                begun.set()
                await communicator.receive_output(SECONDS)

        running = asyncio.ensure_future(test())
        await begun.wait()
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()
        assert communicator.future.cancelled()


class TestOverriding:
    """Tests may replace methods of the communicator, as subclasses in programs do."""

    async def test_a_subclass(self) -> None:
        class Mine(ApplicationCommunicator):
            async def receive_output(
                self, timeout: float = 1, keep_running: bool | None = None
            ) -> Any:
                return (await super().receive_output(timeout, keep_running))["type"]

        communicator = Mine(echo, {"type": "test"})
        await communicator.send_input({"type": "a"})
        assert await communicator.receive_output(SECONDS) == "a"
        communicator.stop()

    def test_the_name_that_programs_import(self) -> None:
        no_op()


class Layer(BaseChannelLayer):
    """A layer without messages."""

    async def new_channel(self, prefix: str = "specific.") -> str:
        return f"{prefix}!a"

    async def receive(self, channel: str) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError


class TestChannelLayers:
    """A test that overrides the setting has layers of its own."""

    async def layer_of_a_consumer(self) -> Any:
        class Consumer(AsyncConsumer):
            async def test_ask(self, message: Message) -> None:
                await self.send({"type": "told", "capacity": self.channel_layer.capacity})

        async with communicate(Consumer) as communicator:
            await communicator.send_input({"type": "test.ask"})
            return (await communicator.receive_output(SECONDS))["capacity"]

    def test_they_are_new_and_the_old_ones_are_dropped(self) -> None:
        def override(capacity: int) -> override_settings:
            config = {"BACKEND": f"{__name__}.Layer", "CONFIG": {"capacity": capacity}}
            return override_settings(CHANNEL_LAYERS={"default": config})

        with override(1):
            outer = get_channel_layer()
            assert async_to_sync(self.layer_of_a_consumer)() == 1
            with override(2):
                inner = get_channel_layer()
                assert async_to_sync(self.layer_of_a_consumer)() == 2
                gone = weakref.ref(inner)
                del inner
            gc.collect()
            assert gone() is None
            assert async_to_sync(self.layer_of_a_consumer)() == 1
            assert get_channel_layer() is not outer
        assert get_channel_layer() is None
