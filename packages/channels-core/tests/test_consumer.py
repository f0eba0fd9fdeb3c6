import asyncio
import gc
import logging
import threading
import weakref
from functools import partial, partialmethod, singledispatchmethod, wraps
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import sync_to_async

from channels_core import consumer
from channels_core._pool import drain
from channels_core.consumer import AsyncConsumer, SyncConsumer, get_handler_name, hook
from channels_core.exceptions import InvalidChannelLayerError, InvalidFrame, StopConsumer
from channels_core.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer
from channels_core.layers import channel_layers, get_channel_layer
from channels_core.typing import Message
from fakes import LocalLayer, Server, until

HOSTILE = [
    "send", "dispatch", "as.asgi", "base.send", "channel.receive", "report.exception",
    "websocket.connect", "websocket.disconnect", "http.request",
    "http.disconnect", "unknown", "scope", "channel.name", "cleanup.timeout",
]  # fmt: skip


class Echo(AsyncConsumer):
    """Answers each message with its type."""

    async def websocket_connect(self, message: Message) -> None:
        await self.send({"type": "websocket.accept"})

    async def websocket_receive(self, message: Message) -> None:
        await self.send({"type": "websocket.send", "text": message["text"]})

    async def websocket_disconnect(self, message: Message) -> None:
        raise StopConsumer

    async def http_request(self, message: Message) -> None:
        await self.send({"type": "reached"})

    async def note(self, message: Message) -> None:
        await self.send({"type": "websocket.send", "text": message["text"]})


class SyncEcho(SyncConsumer):
    """The same in the other colour."""

    def websocket_connect(self, message: Message) -> None:
        self.send({"type": "websocket.accept"})

    def websocket_receive(self, message: Message) -> None:
        self.send({"type": "websocket.send", "text": message["text"]})

    def websocket_disconnect(self, message: Message) -> None:
        raise StopConsumer

    def http_request(self, message: Message) -> None:
        self.send({"type": "reached"})

    def note(self, message: Message) -> None:
        self.send({"type": "websocket.send", "text": message["text"]})


both = pytest.mark.parametrize("kind", [Echo, SyncEcho])


@both
async def test_messages_of_client_and_layer_reach_their_handlers(
    kind: type[AsyncConsumer], layer: LocalLayer
) -> None:
    server = Server(kind.as_asgi())
    assert await server.connect() == [{"type": "websocket.accept"}]
    [channel] = layer.queues
    server.text("from the client")
    [answer] = await server.reply()
    assert answer["text"] == "from the client"
    await layer.send(channel, {"type": "note", "text": "from the layer"})
    [answer] = await server.reply()
    assert answer["text"] == "from the layer"
    await server.leave()


@both
async def test_without_a_layer_configured_there_is_none(kind: type[AsyncConsumer]) -> None:
    server = Server(kind.as_asgi())
    await server.connect()
    await server.leave()


@pytest.mark.parametrize("alias", ["default", None])
async def test_its_layer_is_none_then(alias: str | None) -> None:
    class Alone(Echo):
        channel_layer_alias = alias

        async def websocket_connect(self, message: Any) -> None:
            found.append(self.channel_layer)
            assert not hasattr(self, "channel_receive")
            await super().websocket_connect(message)

    found: list[Any] = []
    server = Server(Alone.as_asgi())
    await server.connect()
    await server.leave()
    assert found == [None]


async def test_a_layer_that_a_program_gives_to_one_without_stays(layer: LocalLayer) -> None:
    class Given(Echo):
        channel_layer_alias = None

        def __init__(self) -> None:
            super().__init__()
            self.channel_layer: Any = given

        async def websocket_connect(self, message: Any) -> None:
            found.append(self.channel_layer)
            await super().websocket_connect(message)

    given, found = object(), list[Any]()
    server = Server(Given.as_asgi())
    await server.connect()
    await server.leave()
    assert found == [given]


async def test_a_consumer_may_do_without_a_layer(layer: LocalLayer) -> None:
    class Alone(Echo):
        channel_layer_alias = None

    server = Server(Alone.as_asgi())
    await server.connect()
    await server.leave()
    assert layer.made == 0


async def test_a_consumer_may_use_another_layer(layer: LocalLayer) -> None:
    class Other(Echo):
        channel_layer_alias = "other"

    other = LocalLayer()
    channel_layers.set("other", other)
    server = Server(Other.as_asgi())
    await server.connect()
    await server.leave()
    channel_layers.set("other", None)
    assert (layer.made, other.made) == (0, 1)


async def test_a_layer_that_cannot_be_built_is_the_connections_error(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "nowhere.Layer"}}
    server = Server(Echo.as_asgi())
    with pytest.raises(InvalidChannelLayerError, match="nowhere"):
        await server.end()
    assert len(caplog.records) == 1


async def test_each_connection_has_its_own_consumer_with_the_same_arguments() -> None:
    made: list[Any] = []

    class Program(Echo):
        def __init__(self, colour: str) -> None:
            made.append((self, colour))

    application: Any = Program.as_asgi(colour="red")
    for _ in range(2):
        server = Server(application)
        await server.connect()
        await server.leave()
    (first, colour), (second, _) = made
    assert first is not second
    assert colour == "red"
    assert application.consumer_class is Program
    assert application.consumer_initkwargs == {"colour": "red"}
    assert (application.__name__, application.__doc__) == ("Program", Program.__doc__)


async def test_an_error_of_the_constructor_is_logged_once_and_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Program(Echo):
        def __init__(self) -> None:
            raise LookupError("no")

    server = Server(Program.as_asgi())
    with pytest.raises(LookupError, match="no"):
        await server.end()
    [record] = caplog.records
    assert "Program" in record.getMessage()
    assert "'/ws/'" in record.getMessage()


@both
@pytest.mark.parametrize("type_", HOSTILE)
async def test_a_layers_message_reaches_handlers_only(
    kind: type[AsyncConsumer], type_: str, layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(kind.as_asgi())
    await server.connect()
    [channel] = layer.queues
    await layer.send(channel, {"type": type_, "text": "x", "code": 1000})
    await layer.send(channel, {"type": "note", "text": "alive"})
    [answer] = await server.reply()
    assert answer["text"] == "alive"
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert repr(type_) in record.getMessage()
    assert kind.__name__ in record.getMessage()
    await server.leave()


@both
@pytest.mark.parametrize("type_", [".note", "_note", "__init__", None])
async def test_a_malformed_type_from_the_server_is_an_error(
    kind: type[AsyncConsumer], type_: Any
) -> None:
    server = Server(kind.as_asgi())
    await server.connect()
    server.put({"type": type_} if type_ else {})
    fault = "Malformed type in message" if type_ else "Incoming message has no 'type' attribute"
    with pytest.raises(ValueError, match=fault):
        await server.end()


@both
@pytest.mark.parametrize("type_", ["unknown.type", "send", "dispatch", "as_asgi"])
async def test_an_unknown_type_from_the_server_is_an_error(
    kind: type[AsyncConsumer], type_: str
) -> None:
    server = Server(kind.as_asgi())
    await server.connect()
    server.put({"type": type_})
    with pytest.raises(ValueError, match=f"No handler for message type {type_}"):
        await server.end()


async def test_the_servers_own_types_are_reached_from_the_server() -> None:
    server = Server(Echo.as_asgi(), {"type": "http"})
    server.put({"type": "http.request"})
    assert await server.reply() == [{"type": "reached"}]
    server.task.cancel()


async def test_a_handler_set_on_the_instance_is_reached(layer: LocalLayer) -> None:
    class Program(Echo):
        def __init__(self) -> None:
            vars(self)["shout"] = self.note

    server = Server(Program.as_asgi())
    await server.connect()
    [channel] = layer.queues
    await layer.send(channel, {"type": "shout", "text": "x"})
    [answer] = await server.reply()
    assert answer["text"] == "x"
    await server.leave()


async def test_a_handler_of_the_wrong_colour_is_a_clear_error() -> None:
    class WronglySync(AsyncConsumer):
        def note(self, message: Message) -> None: ...

    server = Server(WronglySync.as_asgi())
    server.put({"type": "note"})
    with pytest.raises(TypeError, match="must be 'async def'"):
        await server.end()


async def test_a_coroutine_method_of_a_sync_consumer_is_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class WronglyAsync(WebsocketConsumer):
        channel_layer_alias = None

        async def disconnect(self, code: int) -> None: ...  # type: ignore[override] # the mistake

    for _ in range(2):
        server = Server(WronglyAsync.as_asgi())
        await server.connect()
        await server.leave()
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "WronglyAsync.disconnect does nothing: it is 'async def'" in record.getMessage()


@both
@pytest.mark.parametrize("ending", ["websocket.disconnect", "http.disconnect"])
async def test_a_consumer_without_a_handler_for_its_end_just_ends(
    kind: type[AsyncConsumer], ending: str
) -> None:
    class Bare(kind.__mro__[1]):  # type: ignore[misc,name-defined] # a base chosen by the test
        channel_layer_alias = None

    server = Server(Bare.as_asgi())
    server.put({"type": ending})
    await server.end()


async def test_a_frame_that_a_program_sends_itself(layer: LocalLayer) -> None:
    server = Server(Echo.as_asgi())
    await server.connect()
    [channel] = layer.queues
    await layer.send(channel, {"type": "websocket.receive", "text": "mine"})
    assert [message["text"] for message in await server.reply()] == ["mine"]
    await server.leave()


class _Handlers(AsyncConsumer):
    """Handlers that only Python itself can tell how to call."""

    async def _say(self, text: str, message: Message) -> None:
        await self.send({"type": "said", "text": text})

    by_partial = partialmethod(_say, "partial")

    @singledispatchmethod
    async def by_type(self, message: Any) -> None:
        raise AssertionError

    @by_type.register
    async def _(self, message: dict) -> None:  # type: ignore[type-arg] # read at run time
        await self._say("dispatched", message)

    @property
    def by_property(self) -> Any:
        return partial(self._say, "property")

    @staticmethod
    def _inject(method: Any) -> Any:
        @wraps(method)
        async def wrapper(self: Any, message: Message) -> None:
            await method(self, message, "injected")

        return wrapper

    @_inject
    async def by_wrapper(self, message: Message, text: str) -> None:
        await self._say(text, message)

    @property
    def by_value(self) -> int:
        return 7


async def test_what_python_finds_under_the_name_is_called(
    layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(_Handlers.as_asgi())
    await until(lambda: bool(layer.made))
    for name in ("partial", "type", "property", "value", "wrapper"):
        await layer.send("specific.1!1", {"type": f"by.{name}"})
    texts = [message["text"] for message in await server.replies(4)]
    assert texts == ["partial", "dispatched", "property", "injected"]
    [record] = caplog.records
    assert "no handler for message type 'by.value'" in record.getMessage()
    server.task.cancel()
    await asyncio.wait([server.task])


def test_programs_with_a_call_of_their_own_ask_for_the_colour() -> None:
    assert (AsyncConsumer._sync, SyncConsumer._sync) == (False, True)


def test_the_public_name_of_the_handlers_name() -> None:
    assert get_handler_name({"type": "a.b"}) == "a_b"


# Errors


async def test_an_exception_is_logged_with_its_place_and_without_the_payload(
    layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Program(Echo):
        async def websocket_receive(self, message: Message) -> None:
            raise LookupError("broken")

    server = Server(Program.as_asgi())
    await server.connect()
    [channel] = layer.queues
    server.text("a secret")
    with pytest.raises(LookupError):
        await server.end()
    [record] = caplog.records
    text = record.getMessage()
    assert record.name == "django.channels.consumer"
    for part in ("Program", "'/ws/'", channel, "'websocket.receive'"):
        assert part in text
    assert "secret" not in text
    assert record.exc_info


async def test_a_programs_hook_sees_the_exception_and_its_message() -> None:
    seen: list[Any] = []

    class Program(Echo):
        async def websocket_receive(self, message: Message) -> None:
            raise LookupError("broken")

        @hook
        def report_exception(self, error: Exception, message: Message | None) -> None:
            seen.append((error, message))

    server = Server(Program.as_asgi())
    await server.connect()
    server.text("x")
    with pytest.raises(LookupError):
        await server.end()
    [(error, message)] = seen
    assert str(error) == "'broken'" or str(error) == "broken"
    assert message["text"] == "x"


async def test_a_failing_hook_does_not_hide_the_exception(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Program(Echo):
        async def websocket_receive(self, message: Message) -> None:
            raise LookupError("broken")

        @hook
        def report_exception(self, error: Exception, message: Message | None) -> None:
            raise ArithmeticError

    server = Server(Program.as_asgi())
    await server.connect()
    server.text("x")
    with pytest.raises(LookupError):
        await server.end()
    assert "report_exception failed" in caplog.text


async def test_a_bad_frame_is_left_to_the_router_to_log(caplog: pytest.LogCaptureFixture) -> None:
    class Program(Echo):
        async def websocket_receive(self, message: Message) -> None:
            raise InvalidFrame("bad", 1007)

    server = Server(Program.as_asgi())
    await server.connect()
    server.text("x")
    with pytest.raises(InvalidFrame):
        await server.end()
    assert not caplog.records


async def test_a_program_may_have_a_method_under_the_package_name(layer: LocalLayer) -> None:
    """As django-channels-broadcast has."""

    class Program(Echo):
        def _channels(self) -> str:
            return "the program's"

        async def websocket_receive(self, message: Message) -> None:
            await self.send({"type": "websocket.send", "text": self._channels()})

    server = Server(Program.as_asgi())
    await server.connect()
    server.text("x")
    [answer] = await server.reply()
    assert answer["text"] == "the program's"
    await server.leave()


@pytest.mark.parametrize("is_loaded", [True, False])
async def test_a_test_may_patch_what_finds_the_layer_of_a_consumer(
    layer: LocalLayer, is_loaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Program(Echo):
        async def websocket_receive(self, message: Message) -> None:
            await self.send({"type": "websocket.send", "text": str(self.channel_layer is other)})

    name = "get_channel_layer"
    if is_loaded:
        assert getattr(consumer, name) is get_channel_layer
    else:
        monkeypatch.delitem(vars(consumer), name, raising=False)
    other = LocalLayer()
    answers = []
    for found in (other, layer):
        with mock.patch.object(consumer, name, return_value=found):
            server = Server(Program.as_asgi())
            await server.connect()
            server.text("x")
            [answer] = await server.reply()
            answers.append(answer["text"])
            await server.leave()
    assert answers == ["True", "False"]
    assert getattr(consumer, name) is get_channel_layer


def test_the_module_of_consumers_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match=r"'channels_core\.consumer' has no attribute 'layer'"):
        consumer.layer  # type: ignore[attr-defined] # noqa: B018 - what is tested


# The end


class Forgetful(LocalLayer):
    """A layer with the optional method."""

    def __init__(self) -> None:
        super().__init__()
        self.forgotten: list[str] = []

    async def forget_channel(self, channel: str) -> None:
        self.forgotten.append(channel)
        if "forget_channel" in self.faults:
            raise self.faults["forget_channel"]


@pytest.mark.parametrize("fault", [None, "receive", "new_channel"])
async def test_a_layer_with_forget_channel_forgets_the_channel(fault: str | None) -> None:
    layer = Forgetful()
    channel_layers.set("default", layer)
    if fault:
        layer.faults[fault] = ConnectionError()
    server = Server(Echo.as_asgi())
    try:
        if fault == "new_channel":
            with pytest.raises(ConnectionError):
                await server.end()
            assert layer.forgotten == []
            return
        await server.connect()
        [channel] = layer.queues
        await layer.send(channel, {"type": "note", "text": "x"})
        if fault:
            with pytest.raises(ConnectionError):
                await server.end()
        else:
            await server.reply()
            await server.leave()
        assert layer.forgotten == [channel]
    finally:
        channel_layers.set("default", None)


async def test_an_error_of_the_clean_up_is_raised_when_it_is_the_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    layer = Forgetful()
    layer.faults["forget_channel"] = ConnectionError("gone")
    channel_layers.set("default", layer)
    try:
        server = Server(Echo.as_asgi())
        await server.connect()
        server.put({"type": "websocket.disconnect", "code": 1000})
        with pytest.raises(ConnectionError, match="gone"):
            await server.end()
        assert len(caplog.records) == 1
    finally:
        channel_layers.set("default", None)


@pytest.mark.parametrize("with_layer", [True, False])
async def test_a_connection_that_has_ended_leaves_nothing_to_the_garbage_collector(
    with_layer: bool, request: pytest.FixtureRequest
) -> None:
    if with_layer:
        request.getfixturevalue("layer")
    seen: list[weakref.ref[AsyncConsumer]] = []

    class Program(Echo):
        async def websocket_receive(self, message: Message) -> None:
            seen.append(weakref.ref(self))

    server = Server(Program.as_asgi())
    await server.connect()
    gc.disable()
    try:
        server.text("x")
        server.put({"type": "websocket.disconnect", "code": 1000})
        await server.end()
        del server
        await asyncio.sleep(0)  # The event loop has let go of what it ran last.
        [consumer] = seen
        assert consumer() is None
    finally:
        gc.enable()


async def test_a_clean_up_with_nothing_to_do_needs_no_task() -> None:
    tasks: list[object] = []

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **kwargs: Any) -> Any:
        tasks.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **kwargs)

    server = Server(Echo.as_asgi())
    await server.connect()
    loop = asyncio.get_running_loop()
    loop.set_task_factory(make)
    try:
        server.put({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait([server.task])
    finally:
        loop.set_task_factory(None)
    assert tasks == []


async def test_a_cancellation_within_the_clean_up_is_not_raised() -> None:
    class Cancelled(Forgetful):
        async def forget_channel(self, channel: str) -> None:
            raise asyncio.CancelledError

    channel_layers.set("default", Cancelled())
    try:
        server = Server(Echo.as_asgi())
        await server.connect()
        await server.leave()
    finally:
        channel_layers.set("default", None)


# Threads


async def test_an_async_consumer_does_not_enter_a_thread(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("a thread was asked for")

    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", refuse)
    server = Server(Echo.as_asgi())
    await server.connect()
    server.text(*"abc")
    await server.reply(3)
    await server.leave()


async def test_sync_handlers_of_different_connections_run_in_parallel(settings: Any) -> None:
    settings.CHANNELS_SYNC_THREADS = 6
    # Passed only when six handlers are in their threads at once.
    meeting = threading.Barrier(6)

    class Program(SyncConsumer):
        def websocket_receive(self, message: Message) -> None:
            meeting.wait(20)
            self.send({"type": "met"})

    servers = [Server(Program.as_asgi()) for _ in range(6)]
    for server in servers:
        server.text("x")
    for server in servers:
        assert await server.replies(1) == [{"type": "met"}]
        server.task.cancel()
    await asyncio.gather(*(server.task for server in servers), return_exceptions=True)


async def test_sync_handlers_of_one_connection_keep_their_order(layer: LocalLayer) -> None:
    server = Server(SyncEcho.as_asgi())
    server.put({"type": "websocket.connect"})
    server.text(*map(str, range(20)))
    answers = (await server.replies(21))[1:]
    assert [answer["text"] for answer in answers] == list(map(str, range(20)))
    await server.leave()


async def test_handlers_of_one_connection_never_overlap_even_when_cancelled() -> None:
    started, go_on = asyncio.Event(), threading.Event()
    steps: list[str] = []
    loop = asyncio.get_running_loop()

    class Program(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            loop.call_soon_threadsafe(started.set)
            go_on.wait(20)
            steps.append("handled")

        def disconnect(self, code: int) -> None:
            steps.append("disconnected")

    server = Server(Program.as_asgi())
    await server.connect()
    server.text("x")
    await started.wait()
    server.task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await server.task
    assert steps == ["handled", "disconnected"]


async def test_handlers_that_block_all_threads_do_not_keep_others_from_ending(
    settings: Any,
) -> None:
    settings.CHANNELS_SYNC_THREADS = 1
    started, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    ended: list[int] = []

    class Program(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            loop.call_soon_threadsafe(started.set)
            go_on.wait(20)

        def disconnect(self, code: int) -> None:
            ended.append(code)

    blocking, leaving = Server(Program.as_asgi()), Server(Program.as_asgi())
    await blocking.connect()
    await leaving.connect()
    blocking.text("x")
    await started.wait()
    await leaving.leave(1001)
    assert ended == [1001]
    go_on.set()
    await blocking.leave()


def test_a_handler_that_outlives_its_event_loop_does_not_wait_for_it() -> None:
    started, go_on = threading.Event(), threading.Event()
    errors: list[Exception] = []

    class Program(SyncConsumer):
        def websocket_receive(self, message: Message) -> None:
            started.set()
            go_on.wait(20)
            try:
                self.send({"type": "too late"})
            except OSError as error:
                errors.append(error)

    async def stopping() -> None:
        server = Server(Program.as_asgi())
        server.text("x")
        await asyncio.to_thread(started.wait, 20)
        server.task.cancel()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(stopping())
    go_on.set()
    assert drain(20)
    assert "event loop has stopped" in str(errors[0])
    for task in asyncio.all_tasks(loop):
        task.cancel()
        loop.run_until_complete(asyncio.wait([task]))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


async def test_a_method_for_a_programs_own_use_does_not_end_the_connection(
    layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Program(Echo):
        def double(self, number: Any) -> Any:
            return 2

    server = Server(Program.as_asgi())
    await server.connect()
    [channel] = layer.queues
    await layer.send(channel, {"type": "double"})
    await layer.send(channel, {"type": "note", "text": "alive"})
    [answer] = await server.reply()
    assert answer["text"] == "alive"
    assert "must be 'async def'" in caplog.text
    await server.leave()


async def test_async_code_called_from_a_sync_handler_runs_without_deadlock() -> None:
    from asgiref.sync import async_to_sync

    class Program(SyncConsumer):
        def websocket_receive(self, message: Message) -> None:
            async def lookup() -> str:
                return await sync_to_async(lambda: threading.current_thread().name)()

            self.send({"type": "name", "name": async_to_sync(lookup)()})

    server = Server(Program.as_asgi())
    server.text("x")
    [answer] = await server.replies(1)
    assert answer["name"].startswith("channels-sync")
    server.task.cancel()


class TestLogging:
    """No handler of a record keeps the event loop, and each record is there at the end."""

    async def test_a_failure_is_handled_in_a_thread_before_the_connection_ends(self) -> None:
        class Failing(AsyncConsumer):
            channel_layer_alias = None

            async def note(self, message: Message) -> None:
                raise LookupError("no")

        class Mail(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                seen.append((threading.current_thread() is main, record.getMessage()))

        seen: list[tuple[bool, str]] = []
        main = threading.current_thread()
        handler = Mail()
        logging.getLogger("django.channels").addHandler(handler)
        try:

            async def receive() -> Message:
                return {"type": "note"}

            with pytest.raises(LookupError):
                await Failing()({"type": "test"}, receive, lambda message: asyncio.sleep(0))
        finally:
            logging.getLogger("django.channels").removeHandler(handler)
        [(in_loop, text)] = seen
        assert not in_loop
        assert "Failing failed: " in text

    async def test_a_type_without_a_handler_is_logged_once_for_all_members(
        self, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Member(AsyncConsumer):
            pass

        for kind in ["admin.note"] * 10 + ["admin.other"]:
            member = Member()
            member._channels_connection.from_layer = True
            await member.dispatch({"type": kind})
        assert caplog.messages == [
            f"Member has no handler for message type {kind!r} from the channel layer; "
            "the message is dropped"
            for kind in ("admin.note", "admin.other")
        ]


async def test_a_consumer_class_may_go() -> None:
    """Programs count on it that the receivers of signals in their class go with it."""

    def make() -> Any:
        class Consumer(AsyncJsonWebsocketConsumer):
            async def receive_json(self, content: Any, **kwargs: Any) -> None:
                await self.send_json(content)

        return Consumer

    consumer = make()
    server = Server(consumer.as_asgi())
    await server.connect()
    server.text("1")
    assert (await server.reply())[0]["text"] == "1"
    await server.leave()
    gone = weakref.ref(consumer)
    assert gone() is consumer
    del consumer, server
    gc.collect()
    assert gone() is None


class TestOverridingDispatch:
    """A connection calls handlers directly, unless the program has its own `dispatch`."""

    async def test_by_a_class_made_with_wraps(self) -> None:
        class Wrapped(Echo):
            @wraps(Echo.dispatch)
            async def dispatch(self, message: Any) -> None:  # type: ignore[override] # as `wraps` types it
                await super().dispatch(message)
                await self.send({"type": "dispatched"})

        server = Server(Wrapped.as_asgi())
        server.put({"type": "websocket.connect"})
        assert [message["type"] for message in await server.reply(2)] == [
            "websocket.accept",
            "dispatched",
        ]
        await server.leave()

    async def test_while_it_is_open(self) -> None:
        class Open(Echo):
            instance: Any

            async def websocket_connect(self, message: Message) -> None:
                Open.instance = self
                await super().websocket_connect(message)

        async def dispatch(message: Message) -> None:
            await Open.instance.send({"type": "of the instance"})

        server = Server(Open.as_asgi())
        await server.connect()
        with mock.patch.object(AsyncConsumer, "dispatch", autospec=True) as patched:
            server.text("one")
            await until(lambda: patched.call_count > 0)
        server.text("two")
        assert (await server.reply())[0]["text"] == "two"
        Open.instance.dispatch = dispatch
        server.text("three")
        assert await server.reply() == [{"type": "of the instance"}]
        del Open.instance.dispatch
        await server.leave()
