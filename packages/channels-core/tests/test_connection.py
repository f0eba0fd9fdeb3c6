"""One connection: its task, the order of its messages, and all of its ends."""

import asyncio
import contextlib
import contextvars
import gc
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from channels_core import connection as connection_module
from channels_core.connection import STOP, Connection, direct, framework, readable
from channels_core.consumer import AsyncConsumer
from channels_core.exceptions import StopConsumer
from channels_core.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels_core.layers import channel_layers
from channels_core.middleware import after_each_handler
from channels_core.typing import ChannelMessage, Message, Receive, Scope, Send
from fakes import LocalLayer, Server, StopHandler, raise_stop, until


class ListeningLayer(LocalLayer):
    """A layer that delivers without a task."""

    def __init__(self) -> None:
        super().__init__()
        self.wakes: dict[str, Callable[[], object]] = {}

    def listen(
        self, channel: str, wake: Callable[[], object]
    ) -> Callable[[], ChannelMessage | None]:
        self.wakes[channel] = wake
        queue = self.queues[channel]
        return lambda: None if queue.empty() else queue.get_nowait()

    async def send(self, channel: str, message: Message) -> None:
        await super().send(channel, message)
        if channel in self.wakes:
            self.wakes[channel]()

    def forget_channel(self, channel: str) -> None:
        self.wakes.pop(channel, None)
        self.queues.pop(channel, None)


@pytest.fixture(params=["without", "reading", "listening"])
def any_layer(request: pytest.FixtureRequest) -> Iterator[LocalLayer | None]:
    layers = {"without": None, "reading": LocalLayer(), "listening": ListeningLayer()}
    channel_layers.set("default", layers[request.param])
    yield layers[request.param]
    channel_layers.set("default", None)


@pytest.fixture(params=[LocalLayer, ListeningLayer])
def either_layer(request: pytest.FixtureRequest) -> Iterator[LocalLayer]:
    layer: LocalLayer = request.param()
    channel_layers.set("default", layer)
    yield layer
    channel_layers.set("default", None)


language: contextvars.ContextVar[str] = contextvars.ContextVar("language", default="none")


class Opening(AsyncWebsocketConsumer):
    """Opens a task group and a context variable, which only the same task and context can close."""

    groups = ["g"]
    closed: list[str]
    tasks: set[Any]
    started: asyncio.Event

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.closed, cls.tasks, cls.started = [], set(), asyncio.Event()

    async def connect(self) -> None:
        self.tasks.add(asyncio.current_task())
        self.token = language.set("de")
        self.children = asyncio.TaskGroup()
        await self.children.__aenter__()
        self.child = self.children.create_task(asyncio.Event().wait())
        await self.accept()

    async def close_all(self, where: str) -> None:
        self.tasks.add(asyncio.current_task())
        language.reset(self.token)
        self.child.cancel()
        await self.children.__aexit__(None, None, None)
        self.closed.append(where)

    async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        self.tasks.add(asyncio.current_task())
        if text_data == "close":
            await self.close_all("receive")
            await self.send("closed")
        if text_data == "fail":
            raise LookupError("broken")
        if text_data == "wait":
            self.started.set()
            await asyncio.Event().wait()

    async def note(self, event: Message) -> None:
        await self.close_all("layer")
        await self.send("closed")

    async def disconnect(self, code: int) -> None:
        if not self.closed:
            await self.close_all("disconnect")


class TestOneTask:
    """All handlers of a connection run in one task and one context."""

    @pytest.mark.parametrize("where", ["receive", "layer"])
    async def test_a_handler_closes_what_connect_has_opened(
        self, where: str, either_layer: LocalLayer
    ) -> None:
        class Program(Opening):
            pass

        server = Server(Program.as_asgi())
        await server.connect()
        if where == "receive":
            server.text("close")
        else:
            await either_layer.group_send("g", {"type": "note"})
        await server.reply()
        await server.leave()
        assert Program.closed == [where]
        assert len(Program.tasks) == 1

    @pytest.mark.parametrize("end", ["left", "failed", "cancelled", "cancelled in a handler"])
    async def test_disconnect_closes_it_on_every_way_out(
        self, end: str, any_layer: LocalLayer | None
    ) -> None:
        class Program(Opening):
            groups = ["g"] if any_layer else []

        server = Server(Program.as_asgi())
        await server.connect()
        if end == "left":
            await server.leave()
        elif end == "failed":
            server.text("fail")
            with pytest.raises(LookupError, match="broken"):
                await server.end()
        else:
            if end == "cancelled in a handler":
                server.text("wait")
                await Program.started.wait()
            server.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await server.task
        assert Program.closed == ["disconnect"]
        assert len(Program.tasks) == 1

    @pytest.mark.parametrize("busy", [False, True])
    async def test_disconnect_closes_it_when_the_server_stops(
        self,
        busy: bool,
        any_layer: LocalLayer | None,
        stop_handler: StopHandler,
        settings: Any,
    ) -> None:
        settings.CHANNELS_DRAIN_TIMEOUT = 0.01 if busy else 60

        class Program(Opening):
            groups = ["g"] if any_layer else []

        server = Server(Program.as_asgi())
        await server.connect()
        if busy:
            server.text("wait")
            await Program.started.wait()
        await raise_stop()
        await server.end()
        assert Program.closed == ["disconnect"]
        assert len(Program.tasks) == 1
        assert server.received[-1]["code"] == 1012


class TestTasks:
    @pytest.mark.parametrize(
        ("layer", "count"), [(None, 1), (ListeningLayer(), 2), (LocalLayer(), 3)]
    )
    async def test_a_waiting_connection_has_as_few_tasks_as_it_needs(
        self, layer: LocalLayer | None, count: int
    ) -> None:
        channel_layers.set("default", layer)
        before = len(asyncio.all_tasks())
        server = Server(AsyncWebsocketConsumer.as_asgi())
        await server.connect()
        server.text("x")
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) - before == count
        await server.leave()
        assert len(asyncio.all_tasks()) == before
        channel_layers.set("default", None)

    async def test_a_message_does_not_make_a_task(self, any_layer: LocalLayer | None) -> None:
        seen: list[int] = []

        class Program(AsyncWebsocketConsumer):
            groups = ["g"] if any_layer else []

            async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
                seen.append(len(asyncio.all_tasks()))

            async def note(self, event: Message) -> None:
                seen.append(len(asyncio.all_tasks()))

        server = Server(Program.as_asgi())
        await server.connect()
        for _ in range(20):
            server.text("x")
            if any_layer is not None:
                await any_layer.group_send("g", {"type": "note"})
        await until(lambda: len(seen) == (40 if any_layer else 20))
        assert len(set(seen)) == 1
        await server.leave()


class Recording(AsyncWebsocketConsumer):
    """Records its frames and messages; after the frame "wait", it waits for the event `go`."""

    groups = ["g"]
    seen: list[str]
    go: asyncio.Event
    instance: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.seen, cls.go = [], asyncio.Event()

    async def connect(self) -> None:
        type(self).instance = self
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        self.seen.append(str(text_data))
        if text_data == "wait":
            await self.go.wait()

    async def note(self, event: Message) -> None:
        self.seen.append(event["text"])

    async def disconnect(self, code: int) -> None:
        self.seen.append("disconnect")


class TestOrder:
    async def test_two_busy_sources_take_turns_and_keep_their_order(
        self, either_layer: LocalLayer
    ) -> None:
        class Program(Recording):
            pass

        server = Server(Program.as_asgi())
        await server.connect()
        server.text("wait")
        await until(lambda: bool(Program.seen))
        for number in range(100):
            server.text(f"f{number}")
            await either_layer.group_send("g", {"type": "note", "text": f"m{number}"})
        Program.go.set()
        await until(lambda: len(Program.seen) == 201)
        frames = [text for text in Program.seen if text.startswith("f")]
        messages = [text for text in Program.seen if text.startswith("m")]
        assert frames == [f"f{number}" for number in range(100)]
        assert messages == [f"m{number}" for number in range(100)]
        # Both make progress from the beginning.
        half = Program.seen[:101]
        assert sum(text.startswith("f") for text in half) >= 40
        assert sum(text.startswith("m") for text in half) >= 40
        await server.leave()

    async def test_what_arrives_first_is_handled_first(self, either_layer: LocalLayer) -> None:
        class Program(Recording):
            pass

        server = Server(Program.as_asgi())
        await server.connect()
        for number in range(10):
            if number % 2:
                server.text(str(number))
            else:
                await either_layer.group_send("g", {"type": "note", "text": str(number)})
            await until(lambda number=number: len(Program.seen) == number + 1)  # type: ignore[misc] # the default binds it
        assert Program.seen == [str(number) for number in range(10)]
        await server.leave()

    async def test_frames_before_the_end_are_handled(self, any_layer: LocalLayer | None) -> None:
        class Program(Recording):
            groups = ["g"] if any_layer else []

        server = Server(Program.as_asgi())
        await server.connect()
        server.text(*map(str, range(50)))
        await server.leave()
        assert Program.seen == [*map(str, range(50)), "disconnect"]


class TestTheMomentOfArrival:
    """A frame that has come before a message of the layer is handled before it."""

    @pytest.mark.parametrize("frame_first", [True, False])
    async def test_at_the_same_turn_of_the_event_loop(
        self, frame_first: bool, either_layer: LocalLayer
    ) -> None:
        class Program(Recording):
            pass

        server = Server(Program.as_asgi())
        await server.connect()
        for _ in range(5):
            await asyncio.sleep(0)
        if frame_first:
            server.text("frame")
        await either_layer.group_send("g", {"type": "note", "text": "message"})
        if not frame_first:
            server.text("frame")
        await until(lambda: len(Program.seen) == 2)
        assert Program.seen == (["frame", "message"] if frame_first else ["message", "frame"])
        await server.leave()


class TestAhead:
    """Frames that are read before they are handled."""

    async def test_only_a_few_frames_are_read_ahead(self, either_layer: LocalLayer) -> None:
        class Program(Recording):
            pass

        server = Server(Program.as_asgi())
        await server.connect()
        server.text("wait", *map(str, range(100)))
        for _ in range(100):
            await asyncio.sleep(0)
        assert 1 < 100 - server.inbox.qsize() <= Connection.frames_ahead
        Program.go.set()
        await until(lambda: len(Program.seen) == 101)
        await server.leave()

    async def test_a_handler_sees_that_the_client_has_left(self, either_layer: LocalLayer) -> None:
        class Program(Recording):
            pass

        server = Server(Program.as_asgi())
        await server.connect()
        server.text("wait", "last")
        await until(lambda: bool(Program.seen))
        assert Program.instance.is_open
        server.put({"type": "websocket.disconnect", "code": 1001})
        await until(lambda: not Program.instance.is_open)
        assert Program.seen == ["wait"]
        Program.go.set()
        await server.end()
        assert Program.seen == ["wait", "last", "disconnect"]
        assert Program.instance.close_code == 1001

    async def test_a_job_of_a_worker_is_read_after_the_one_before_it(
        self, either_layer: LocalLayer
    ) -> None:
        seen: list[str] = []
        go = asyncio.Event()

        class Worker(AsyncConsumer):
            async def job_run(self, event: Message) -> None:
                seen.append(event["name"])
                await go.wait()

        server = Server(Worker.as_asgi(), {"type": "channel", "channel": "jobs"})
        server.put({"type": "job.run", "name": "a"}, {"type": "job.run", "name": "b"})
        await until(lambda: bool(seen))
        for _ in range(10):
            await asyncio.sleep(0)
        assert server.inbox.qsize() == 1
        go.set()
        await until(lambda: seen == ["a", "b"])
        server.task.cancel()

    async def test_a_layer_keeps_messages_that_are_not_handled_yet(
        self, either_layer: LocalLayer
    ) -> None:
        class Program(Recording):
            pass

        server = Server(Program.as_asgi())
        await server.connect()
        server.text("wait")
        await until(lambda: bool(Program.seen))
        for number in range(10):
            await either_layer.group_send("g", {"type": "note", "text": str(number)})
        for _ in range(10):
            await asyncio.sleep(0)
        [queue] = either_layer.queues.values()
        assert queue.qsize() >= 9
        Program.go.set()
        await until(lambda: len(Program.seen) == 11)
        await server.leave()

    async def test_an_end_that_the_program_ignores_is_not_the_last_message(
        self, any_layer: LocalLayer | None
    ) -> None:
        """The handler of a plain consumer need not raise `StopConsumer`."""
        seen: list[Any] = []

        class Program(AsyncConsumer):
            async def websocket_disconnect(self, message: Message) -> None:
                seen.append(message["code"])

        server = Server(Program.as_asgi())
        for code in (1000, 1001):
            server.put({"type": "websocket.disconnect", "code": code})
        await until(lambda: len(seen) == 2)
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert seen == [1000, 1001]


class OfAnotherKind(asyncio.SelectorEventLoop):
    """An event loop without a list of the callbacks that are ready, as in uvloop."""

    def __getattribute__(self, name: str) -> Any:
        caller = sys._getframe(1).f_globals["__name__"]
        if name == "_ready" and caller == "channels_core.connection":
            raise AttributeError(name)
        return super().__getattribute__(name)


class TestTurns:
    """Between two messages of one connection, other tasks get their turn."""

    @pytest.mark.parametrize("kind", [asyncio.SelectorEventLoop, OfAnotherKind])
    @pytest.mark.parametrize("layer", [None, LocalLayer, ListeningLayer])
    def test_another_task_runs_before_the_next_message(self, kind: Any, layer: Any) -> None:
        taken: list[str] = []

        async def main() -> None:
            inbox: asyncio.Queue[str] = asyncio.Queue(maxsize=1)

            async def work() -> None:
                while True:
                    taken.append(await inbox.get())

            class Program(AsyncWebsocketConsumer):
                groups = ["g"] if layer else []

                async def receive(
                    self, text_data: str | None = None, bytes_data: Any = None
                ) -> None:
                    inbox.put_nowait(str(text_data))

                async def note(self, event: Message) -> None:
                    inbox.put_nowait(event["text"])

            made = layer and layer()
            channel_layers.set("default", made)
            worker = asyncio.create_task(work())
            server = Server(Program.as_asgi())
            await server.connect()
            for number in range(40):
                server.text(str(number))
                if made:
                    await made.group_send("g", {"type": "note", "text": str(number)})
            await until(lambda: len(taken) == (80 if layer else 40) or server.task.done())
            await server.leave()
            worker.cancel()
            channel_layers.set("default", None)

        with asyncio.Runner(loop_factory=kind) as runner:
            runner.run(main())
        assert len(taken) == (80 if layer else 40)

    async def test_slow_handlers_let_the_loop_look_at_its_sockets(
        self, monkeypatch: pytest.MonkeyPatch, any_layer: LocalLayer | None
    ) -> None:
        from time import monotonic

        seen: list[str] = []
        looked: list[int] = []

        class Program(AsyncWebsocketConsumer):
            async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
                seen.append(str(text_data))
                start = monotonic()
                while monotonic() - start < 0.002:
                    pass

        server = Server(Program.as_asgi())
        await server.connect()
        reader, writer = await pipe()
        server.text(*map(str, range(10)))

        async def look() -> None:
            await reader()
            looked.append(len(seen))

        looking = asyncio.create_task(look())
        await asyncio.sleep(0)
        writer()
        await looking
        # From Python 3.12 on, it takes two more turns of the loop to read from a socket.
        assert looked[0] <= (3 if sys.version_info < (3, 12) else 5)
        await server.leave()


async def pipe() -> tuple[Callable[[], Awaitable[Any]], Callable[[], object]]:
    """Return a function that waits for a socket, and one that writes to it."""
    import socket

    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop = asyncio.get_running_loop()

    async def read() -> None:
        await loop.sock_recv(ours, 1)
        ours.close()
        theirs.close()

    return read, lambda: theirs.send(b"x")


class TestEnds:
    async def test_a_failure_comes_after_the_frames_before_it(
        self, any_layer: LocalLayer | None
    ) -> None:
        class Program(Recording):
            groups = ["g"] if any_layer else []

        async def receive() -> AsyncIterator[Message]:
            yield {"type": "websocket.connect"}
            for number in range(3):
                yield {"type": "websocket.receive", "text": str(number)}
            raise LookupError("of the server")

        messages = receive()

        async def send(message: Message) -> None: ...

        with pytest.raises(LookupError, match="of the server"):
            await Program()({"type": "websocket", "path": "/"}, messages.__anext__, send)
        assert Program.seen == ["0", "1", "2", "disconnect"]

    async def test_a_cancellation_in_the_servers_receive_ends_it(
        self, any_layer: LocalLayer | None
    ) -> None:
        """The server may cancel a task that its `receive` awaits."""

        class Program(Recording):
            groups = ["g"] if any_layer else []

        messages: list[Message] = [{"type": "websocket.connect"}]

        async def receive() -> Message:
            if messages:
                return messages.pop()
            gone = asyncio.get_running_loop().create_future()
            gone.cancel()
            await gone
            raise AssertionError

        async def send(message: Message) -> None: ...

        with pytest.raises(asyncio.CancelledError):
            await Program()({"type": "websocket", "path": "/"}, receive, send)
        assert Program.seen == ["disconnect"]

    async def test_a_handler_of_the_end_may_belong_to_the_instance(
        self, any_layer: LocalLayer | None
    ) -> None:
        class Program(Recording):
            groups = ["g"] if any_layer else []

            def __init__(self) -> None:
                super().__init__()
                self.__dict__["websocket_disconnect"] = self.on_end

            async def on_end(self, message: Message) -> None:
                self.seen.append(f"end {message['code']}")

            async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
                raise LookupError("broken")

        server = Server(Program.as_asgi())
        await server.connect()
        server.text("x")
        with pytest.raises(LookupError, match="broken"):
            await server.end()
        assert Program.seen == ["end 1006", "disconnect"]

    async def test_a_failing_layer_lets_the_running_handler_end(
        self, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Program(Recording):
            pass

        server = Server(Program.as_asgi())
        await server.connect()
        server.text("wait", "never")
        await until(lambda: bool(Program.seen))
        layer.faults["receive"] = ConnectionError("the layer is gone")
        await layer.group_send("g", {"type": "note", "text": "x"})
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        Program.go.set()
        with pytest.raises(ConnectionError, match="the layer is gone"):
            await server.end()
        assert Program.seen == ["wait", "disconnect"]

    async def test_nothing_is_handled_after_a_failure(self, any_layer: LocalLayer | None) -> None:
        seen: list[str] = []

        class Program(AsyncWebsocketConsumer):
            async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
                seen.append(str(text_data))
                raise LookupError

        server = Server(Program.as_asgi())
        await server.connect()
        server.text("a", "b")
        with pytest.raises(LookupError):
            await server.end()
        assert seen == ["a"]

    async def test_a_cancellation_that_a_handler_lets_through_ends_it(
        self, any_layer: LocalLayer | None
    ) -> None:
        class Program(AsyncWebsocketConsumer):
            async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
                gone = asyncio.get_running_loop().create_future()
                gone.cancel()
                await gone

        server = Server(Program.as_asgi())
        await server.connect()
        server.text("a")
        with pytest.raises(asyncio.CancelledError):
            await server.task

    async def test_a_layer_that_ignores_a_cancellation_is_left_all_the_same(
        self, layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The server cancels the connection while its group is being left."""
        leaving = asyncio.Event()

        async def group_discard(group: str, channel: str) -> None:
            leaving.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            layer.groups[group].discard(channel)

        class Program(Recording):
            groups = ["g"]

        monkeypatch.setattr(layer, "group_discard", group_discard)
        server = Server(Program.as_asgi())
        await server.connect()
        server.put({"type": "websocket.disconnect", "code": 1000})
        await leaving.wait()
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert Program.seen == ["disconnect"]
        assert layer.members == 0

    async def test_an_outer_timeout_is_not_lost(self, any_layer: LocalLayer | None) -> None:
        """The server cancels the connection at the moment at which it is asked to end."""

        class Program(Recording):
            groups = ["g"] if any_layer else []

        server = Server(Program.as_asgi())
        await server.connect()
        Program.instance._channels_connection.drain()
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert Program.seen == ["disconnect"]

    async def test_the_end_of_an_event_loop_interrupts_a_handler_once(
        self, any_layer: LocalLayer | None
    ) -> None:
        """`asyncio.run` cancels all tasks at its end."""
        started, cleaned = asyncio.Event(), []

        class Program(AsyncWebsocketConsumer):
            async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
                started.set()
                await asyncio.Event().wait()

            async def disconnect(self, code: int) -> None:
                for _ in range(5):
                    await asyncio.sleep(0)
                cleaned.append(code)

        server = Server(Program.as_asgi())
        await server.connect()
        server.text("x")
        await started.wait()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert cleaned == [1006]

    async def test_a_clean_up_that_ignores_its_limit_is_given_up(
        self, either_layer: LocalLayer, caplog: pytest.LogCaptureFixture, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(connection_module, "_AT_LEAST", 0.01)
        go = asyncio.Event()

        class Program(AsyncWebsocketConsumer, cleanup_timeout=0.01):
            async def disconnect(self, code: int) -> None:
                while not go.is_set():
                    with contextlib.suppress(asyncio.CancelledError):
                        await go.wait()

        server = Server(Program.as_asgi())
        await server.connect()
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert "given up" in caplog.text
        go.set()

    async def test_two_steps_that_take_too_long_are_logged_once(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection_module, "_AT_LEAST", 0.01)
        ending = False

        class Program(AsyncWebsocketConsumer, cleanup_timeout=0.01):
            channel_layer_alias = None

            async def disconnect(self, code: int) -> None:
                nonlocal ending
                ending = True
                await asyncio.Event().wait()

        async def function() -> None:
            if ending:
                await asyncio.Event().wait()

        scope: Scope = {"type": "websocket", "path": "/"}
        after_each_handler(scope, function)
        server = Server(Program.as_asgi(), scope)
        await server.connect()
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        [line] = caplog.messages
        assert "given up" in line

    async def test_an_outage_of_a_layer_that_delivers_ends_all_its_connections(self) -> None:
        class Failing(ListeningLayer):
            def listen(
                self, channel: str, wake: Callable[[], object]
            ) -> Callable[[], ChannelMessage | None]:
                take = super().listen(channel, wake)

                def taking() -> ChannelMessage | None:
                    message = take()
                    if message is not None:
                        raise ConnectionError("the store is gone")
                    return None

                return taking

        class Program(Recording):
            pass

        layer = Failing()
        channel_layers.set("default", layer)
        servers = [Server(Program.as_asgi()) for _ in range(2)]
        for server in servers:
            await server.connect()
        await layer.send(next(iter(layer.wakes)), {"type": "note", "text": "x"})
        with pytest.raises(ConnectionError, match="the store is gone"):
            await servers[0].end()
        await servers[1].end()
        assert servers[1].received[-1]["code"] == 1012
        channel_layers.set("default", None)

    async def test_a_receive_that_ignores_a_cancellation_is_interrupted_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some clients of Redis ignore a cancellation."""
        ignored = 0

        class Deaf(LocalLayer):
            async def receive(self, channel: str) -> ChannelMessage:
                nonlocal ignored
                while ignored < 2:
                    try:
                        await asyncio.Event().wait()
                    except asyncio.CancelledError:
                        ignored += 1
                return await super().receive(channel)

        channel_layers.set("default", Deaf())
        server = Server(AsyncWebsocketConsumer.as_asgi())
        await server.connect()
        await server.leave()
        assert ignored == 2
        channel_layers.set("default", None)

    async def test_it_leaves_nothing_to_the_garbage_collector(
        self, any_layer: LocalLayer | None
    ) -> None:
        class Program(Recording):
            groups = ["g"] if any_layer else []

        import weakref

        for text in ("x", "fail"):
            server = Server(Program.as_asgi())
            await server.connect()
            gone = weakref.ref(Program.instance)
            Program.instance = None
            gc.collect()
            gc.disable()
            try:
                server.text(text)
                await server.leave()
                del server
                await asyncio.sleep(0)
                assert gone() is None
            finally:
                gc.enable()


class TestProtocols:
    """Companions for other protocols, as plugins define them."""

    async def test_one_may_answer_before_it_listens_to_the_layer(
        self, either_layer: LocalLayer
    ) -> None:
        class Answering(Connection):
            answers_first = True

        @framework(Answering)
        class Base(AsyncConsumer):
            async def http_request(self, message: Message) -> None:
                tasks.append(len(asyncio.all_tasks()))
                await self.send({"type": "answer", "channel": self.channel_name})

            async def http_disconnect(self, message: Message) -> None:
                raise StopConsumer

        class Program(Base):
            async def note(self, event: Message) -> None:
                await self.send({"type": "noted"})

        tasks: list[int] = []
        before = len(asyncio.all_tasks())
        server = Server(Program.as_asgi(), {"type": "http"})
        server.put({"type": "http.request"})
        [answer] = await server.reply()
        # The server's, and the one that this test waits in.
        assert tasks[0] - before <= 2
        await either_layer.send(answer["channel"], {"type": "note"})
        assert await server.replies(2) == [answer, {"type": "noted"}]
        server.put({"type": "http.disconnect"})
        await server.end()

    @pytest.mark.parametrize("read", [None, "channel_name", "channel_receive"])
    async def test_one_that_answers_first_may_make_its_channel_when_it_is_used(
        self, either_layer: LocalLayer, read: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Answering(Connection):
            answers_first = True

        @framework(Answering)
        class Base(AsyncConsumer):
            channel_name: str = readable(
                lambda self: self._channels_connection.make_channel("channel_name")
            )
            channel_receive: Receive = readable(
                lambda self: self._channels_connection.make_channel("channel_receive")
            )

            async def http_request(self, message: Message) -> None:
                assert read is None or getattr(self, read) is getattr(self, read)
                raise StopConsumer

        async def new_channel() -> str:
            made.append("a")
            return "a"

        made: list[str] = []
        new_channel.never_waits = True  # type: ignore[attr-defined] # as layers mark it
        monkeypatch.setattr(either_layer, "new_channel", new_channel)
        consumer = Base()
        for count in (1, 2):
            server = Server(consumer, {"type": "http"})
            server.put({"type": "http.request"})
            await server.end()
            assert len(made) == (count if read else 0)
        assert not hasattr(Base(), "channel_name")


class Settling(Connection):
    """Answers first, and goes on after a `ValueError`."""

    answers_first = True

    async def settle_failure(self, error: Exception, message: Message) -> bool:
        return isinstance(error, ValueError)


@framework(Settling)
class Answering(AsyncConsumer):
    """Sends the type of each message."""

    async def http_request(self, message: Message) -> None:
        await self.send({"type": "answer"})

    async def http_disconnect(self, message: Message) -> None:
        await self.send({"type": "end"})
        raise StopConsumer


class TestTheFirstMessage:
    """Of a protocol that answers first."""

    async def test_the_end_may_come_first(self, any_layer: LocalLayer | None) -> None:
        server = Server(Answering.as_asgi(), {"type": "http"})
        server.put({"type": "http.disconnect"})
        await server.end()
        assert server.received == [{"type": "end"}]

    async def test_an_error_of_it_may_be_settled(self, any_layer: LocalLayer | None) -> None:
        server = Server(Answering.as_asgi(), {"type": "http"})
        server.put({"type": "http.unknown"}, {"type": "http.request"}, {"type": "http.disconnect"})
        await server.end()
        assert server.received == [{"type": "answer"}, {"type": "end"}]

    async def test_an_error_of_its_handler_may_be_settled(self) -> None:
        class Program(Answering):
            async def http_request(self, message: Message) -> None:
                await super().http_request(message)
                raise error

        for error in (ValueError(), KeyError()):
            server = Server(Program.as_asgi(), {"type": "http"})
            server.put({"type": "http.request"}, {"type": "http.disconnect"})
            if type(error) is ValueError:
                await server.end()
                assert server.received == [{"type": "answer"}, {"type": "end"}]
            else:
                with pytest.raises(KeyError):
                    await server.end()

    async def test_middleware_is_called_after_it(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            async def note() -> None:
                calls.append(len(server.received))

            after_each_handler(scope, note)
            await Answering()(scope, receive, send)

        calls: list[int] = []
        server = Server(app, {"type": "http"})
        server.put({"type": "http.request"})
        await server.reply()
        server.put({"type": "http.disconnect"})
        await server.end()
        assert calls == [1, 2]

    @pytest.mark.parametrize("where", ["class", "base", "instance"])
    async def test_dispatch_may_be_replaced(
        self, where: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def dispatch(*args: Any) -> None:
            seen.append(args[-1]["type"])
            raise StopConsumer

        class Program(Answering):
            pass

        seen: list[str] = []
        consumer = Program()
        places: dict[str, Any] = {"class": Program, "base": AsyncConsumer, "instance": consumer}
        monkeypatch.setattr(places[where], "dispatch", dispatch, raising=where != "instance")
        server = Server(consumer, {"type": "http"})
        server.put({"type": "http.request"})
        await server.end()
        assert seen == ["http.request"]
        assert server.received == []

    async def test_a_function_for_dispatch_may_say_that_the_connection_ends(
        self, any_layer: LocalLayer | None
    ) -> None:
        def call(consumer: Any, message: Message) -> Any:
            return STOP

        @framework(Settling)
        class Base(AsyncConsumer):
            @direct(call)
            async def dispatch(self, message: Any) -> None:
                raise StopConsumer

        class Program(Base):
            async def dispatch(self, message: Any) -> None:
                await super().dispatch(message)

        for kind in (Base, Program):
            server = Server(kind.as_asgi(), {"type": "http"})
            server.put({"type": "http.request"})
            await server.end()

    async def test_a_function_for_dispatch_may_do_all_at_once(self) -> None:
        def call(consumer: Any, message: Message) -> Any:
            seen.append(message["type"])
            return STOP if len(seen) == 2 else None

        @framework(Settling)
        class Base(AsyncConsumer):
            @direct(call)
            async def dispatch(self, message: Any) -> None:
                raise NotImplementedError

        seen: list[str] = []
        server = Server(Base.as_asgi(), {"type": "http"})
        server.put({"type": "http.request"}, {"type": "http.again"})
        await server.end()
        assert seen == ["http.request", "http.again"]

    async def test_the_protocol_may_put_one_before_it(self) -> None:
        class Preparing(Settling):
            def begin(self, scope: Scope) -> None:
                assert self.mailbox is not None
                self.mailbox.put({"type": "http.request"})

        @framework(Preparing)
        class Base(Answering):
            pass

        server = Server(Base.as_asgi(), {"type": "http"})
        await server.reply()
        server.put({"type": "http.disconnect"})
        await server.end()
        assert server.received == [{"type": "answer"}, {"type": "end"}]

    @pytest.mark.parametrize("failure", [StopConsumer(), KeyError("a")])
    @pytest.mark.parametrize("catches", [False, True])
    async def test_the_wait_for_it_may_be_ended(self, failure: Exception, catches: bool) -> None:
        async def receive() -> Message:
            asked.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if not catches:
                    raise
            return {"type": "http.request"}

        async def send(message: Message) -> None:
            sent.append(message)

        asked = asyncio.Event()
        sent: list[Message] = []
        consumer = Answering()
        task = asyncio.ensure_future(consumer({"type": "http"}, receive, send))
        await asked.wait()
        consumer._channels_connection.stop(failure)
        if isinstance(failure, KeyError):
            with pytest.raises(KeyError):
                await task
        else:
            await task
        assert not task.cancelling()
        assert sent == [{"type": "answer"}] * catches

    async def test_a_server_may_cancel_the_wait_for_it(self) -> None:
        server = Server(Answering.as_asgi(), {"type": "http"})
        await asyncio.sleep(0)
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.end()
        assert server.received == []

    async def test_its_mailbox_may_be_looked_at_before(self) -> None:
        consumer = Answering()
        found = [consumer._channels_connection.mailbox]
        server = Server(consumer, {"type": "http"})
        await asyncio.sleep(0)
        found.append(consumer._channels_connection.mailbox)
        assert [one is None for one in found] == [True, False]
        server.put({"type": "http.request"}, {"type": "http.disconnect"})
        await server.end()
        assert server.received == [{"type": "answer"}, {"type": "end"}]


class TestRepeatedCancellations:
    async def test_without_a_layer_a_second_one_interrupts_disconnect_only(self) -> None:
        started = asyncio.Event()
        settled: list[str] = []

        class Program(AsyncWebsocketConsumer):
            channel_layer_alias = None

            async def disconnect(self, code: int) -> None:
                started.set()
                await asyncio.Event().wait()

        def function() -> None:
            settled.append("settled")

        scope: Scope = {"type": "websocket", "path": "/"}
        after_each_handler(scope, function)
        server = Server(Program.as_asgi(), scope)
        await server.connect()
        settled.clear()
        server.task.cancel()
        await started.wait()
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert settled == ["settled"]

    async def test_steps_of_ours_are_not_interrupted_by_any(self) -> None:
        """As a cancel scope of anyio cancels, in each turn of the event loop."""
        calls: list[str] = []
        go = asyncio.Event()

        class Program(AsyncWebsocketConsumer):
            channel_layer_alias = None

            async def disconnect(self, code: int) -> None:
                calls.append("disconnect")
                await asyncio.sleep(0)

        async def function() -> None:
            if "disconnect" in calls:
                await go.wait()
                calls.append("settled")

        scope: Scope = {"type": "websocket", "path": "/"}
        after_each_handler(scope, function)
        server = Server(Program.as_asgi(), scope)
        await server.connect()
        for _ in range(20):
            server.task.cancel()
            await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert calls == ["disconnect", "settled"]
        assert server.task.cancelling() >= 1

    async def test_a_step_of_ours_that_is_interrupted_is_done_all_the_same(self) -> None:
        steps: list[str] = []
        started, go = asyncio.Event(), asyncio.Event()

        class Program(AsyncWebsocketConsumer):
            channel_layer_alias = None

            async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
                steps.append("ends")
                raise StopConsumer

        async def function() -> None:
            if "ends" in steps:
                started.set()
                await go.wait()
                steps.append("settled")

        scope: Scope = {"type": "websocket", "path": "/"}
        after_each_handler(scope, function)
        server = Server(Program.as_asgi(), scope)
        await server.connect()
        server.text("x")
        await started.wait()
        server.task.cancel()
        await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert steps == ["ends", "settled"]

    async def test_a_sync_disconnect_is_not_interrupted_either(self) -> None:
        calls: list[str] = []
        started, go = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        class Program(WebsocketConsumer):
            channel_layer_alias = None

            def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
                loop.call_soon_threadsafe(started.set)
                go.wait(20)
                calls.append("received")

            def disconnect(self, code: int) -> None:
                calls.append("disconnect")

        server = Server(Program.as_asgi())
        await server.connect()
        server.text("x")
        await started.wait()
        for _ in range(5):
            server.task.cancel()
            await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert calls == ["received", "disconnect"]

    async def test_a_cancellation_is_not_lost_to_a_timeout_around_the_consumer(self) -> None:
        started, go = asyncio.Event(), asyncio.Event()

        class Program(AsyncWebsocketConsumer):
            channel_layer_alias = None

            async def disconnect(self, code: int) -> None:
                started.set()
                await go.wait()

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            async with asyncio.timeout(0.01):
                await Program.as_asgi()(scope, receive, send)

        server = Server(application)
        await server.connect()
        await started.wait()
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task

    async def test_a_step_that_does_not_end_is_given_up(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Program(AsyncWebsocketConsumer, cleanup_timeout=0.01):
            channel_layer_alias = None

        async def function() -> None:
            if server.task.cancelling() or server.received[1:]:
                await asyncio.Event().wait()

        scope: Scope = {"type": "websocket", "path": "/"}
        server = Server(Program.as_asgi(), scope)
        after_each_handler(server.scope, function)
        await server.connect()
        server.received.append({"type": "mark"})
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert "given up" in caplog.text

    async def test_a_programs_own_timeout_is_an_error_as_any_other(
        self, any_layer: LocalLayer | None
    ) -> None:
        class Program(AsyncWebsocketConsumer):
            async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
                raise StopConsumer

            async def disconnect(self, code: int) -> None:
                raise TimeoutError("of the program")

        server = Server(Program.as_asgi())
        await server.connect()
        server.text("x")
        with pytest.raises(TimeoutError, match="of the program"):
            await server.end()

    async def test_a_task_that_is_cancelled_before_it_begins_leaves_nothing(self) -> None:
        """An event loop may end before the handlers' task has begun."""
        layer = ListeningLayer()
        channel_layers.set("default", layer)
        server = Server(AsyncWebsocketConsumer.as_asgi())
        await asyncio.sleep(0)
        [handling] = [
            task
            for task in asyncio.all_tasks()
            if task not in (asyncio.current_task(), server.task)
        ]
        handling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert not layer.wakes
        channel_layers.set("default", None)


async def test_a_consumer_may_be_called_twice(any_layer: LocalLayer | None) -> None:
    """As a test of a program may do; the second time it can be cancelled, too."""
    consumer = AsyncWebsocketConsumer()
    for _ in range(2):
        server = Server(consumer)
        await server.connect()
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task


async def test_a_frame_that_the_server_returns_when_the_connection_is_to_end_is_handled() -> None:
    """Its `receive` has caught the cancellation that was to interrupt it."""
    handled: list[str] = []
    tasks: list[Any] = []

    class Program(AsyncWebsocketConsumer):
        channel_layer_alias = None

        async def connect(self) -> None:
            asyncio.get_running_loop().call_later(0.01, self._channels_connection.drain)
            tasks.append(asyncio.current_task())

        async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            handled.append(str(text_data))

    begin = iter([{"type": "websocket.connect"}])

    async def receive() -> Any:
        for message in begin:
            return message
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return {"type": "websocket.receive", "text": "late"}

    async def send(message: Message) -> None:
        pass

    await Program.as_asgi()({"type": "websocket", "path": "/"}, receive, send)
    assert handled == ["late"]
    assert not tasks[0].cancelling()
