"""What a connection has received and not handled yet.

All handlers of a connection run in one task, which takes one message after the other out of its
mailbox. There are three ways for a message to get in:

- Without a channel layer nobody else reads: the connection's task asks the server itself.
- Otherwise `read_server` runs in a task beside it and reads a few frames ahead, so it also sees the
  end of the connection while a handler runs.
- A channel layer either has `listen`, which costs no task, or is read by a task of its own, one
  message ahead. In both cases messages stay in the layer until the connection wants them, so the
  layer's own capacity bounds them.

A frame and a layer message that wait at the same time are handled in turns, the earlier one first.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from channels_core._layers.listening import find_listen
from channels_core.exceptions import ConnectionStateError
from channels_core.typing import Message, Receive

__all__ = ["ENDINGS", "Mailbox"]

#: Types of the messages with which a server reports the end of a connection.
ENDINGS: Final = frozenset({"websocket.disconnect", "http.disconnect"})


class Mailbox:
    """The messages that wait for one connection.

    Attributes:
        from_layer: Whether the message that was taken last came from the channel layer.
        client_has_left: Whether the server has reported the end, handled or not.
        frames: The server's messages.
        layer_waits: Whether the layer has a message, too; it may have expired by then.
        is_read: Whether `read_server` runs, so that nobody else may call `receive`.
        layer_error: What the channel layer raised, once it has failed.
    """

    __slots__ = (
        "_ahead",
        "_asking",
        "_end_is_told",
        "_failure",
        "_handler_asks",
        "_interrupted",
        "_layer_first",
        "_loop",
        "_on_end",
        "_read_waiters",
        "_readers",
        "_reading_ended",
        "_receive",
        "_room",
        "_server_error",
        "_starting",
        "_take_from_layer",
        "_tasks",
        "_waiter",
        "client_has_left",
        "frames",
        "from_layer",
        "is_read",
        "layer_error",
        "layer_waits",
    )

    def __init__(self, receive: Receive, ahead: int) -> None:
        """Begin with no message.

        Args:
            receive: ASGI receive.
            ahead: How many frames may be read before they are handled; 0 to ask for a message
                only when the one before it is handled.
        """
        self.from_layer: bool = False
        self.client_has_left: bool = False
        self.layer_error: Exception | None = None
        self._receive = receive
        self._ahead = ahead
        self._loop = asyncio.get_running_loop()
        self.frames: deque[Message] = deque()
        # Set by `stop`: `next` raises it, whatever else waits.
        self._failure: BaseException | None = None
        # What `receive` raised; `next` raises it after the frames before it.
        self._server_error: BaseException | None = None
        self.is_read: bool = False
        self._reading_ended = False
        # How many calls of `read` wait; they report the end of the connection themselves.
        self._readers = 0
        # What they wait for; resolved together with `_waiter`.
        self._read_waiters: tuple[asyncio.Future[None], ...] = ()
        # Whether one of them waits in the server's `receive`, so that nobody else may call it.
        self._handler_asks = False
        # Resolved when something has arrived; None if nobody waits.
        self._waiter: asyncio.Future[None] | None = None
        # Resolved when `read_server` may go on; None while it need not wait.
        self._room: asyncio.Future[None] | None = None
        # The task that waits in `receive` and may be interrupted there.
        self._asking: asyncio.Task[Any] | None = None
        self._interrupted = False
        self._take_from_layer: Callable[[], Message | None] | None = None
        self.layer_waits: bool = False
        # Whether the layer's message is handled before the next frame.
        self._layer_first = False
        self._on_end: Callable[[], object] | None = None
        # Whether the handler that is watched over has been told of the end.
        self._end_is_told = False
        self._starting: asyncio.Handle | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # The connection takes messages out

    async def next(self) -> Message:  # noqa: C901 - the price of no call for each message
        """Return the next message of the server or the layer.

        Raises:
            BaseException: What `stop` was called with, or what the server or the layer raised.
        """
        frames = self.frames
        while True:
            if self._failure is not None:
                raise self._failure
            if self.layer_waits and (self._layer_first or not frames):
                assert self._take_from_layer is not None  # it has told us of a message
                try:
                    message = self._take_from_layer()
                except Exception as error:
                    self.layer_error = error
                    raise
                # At most one frame comes before the layer's next message.
                self._layer_first = not frames
                if message is not None:
                    self.from_layer = True
                    return message
                self.layer_waits = False
            elif frames:
                message = frames.popleft()
                self.from_layer = False
                self._layer_first = True
                # Half of it at once: each switch to the reader costs more than several frames.
                if self._room is not None and self._ahead and len(frames) <= self._ahead // 2:
                    self._make_room()
                return message
            elif self._server_error is not None:
                raise self._server_error
            elif self.is_read or self._take_from_layer is not None or self._readers:
                if not self.is_read:
                    self.start_reading()
                if self._room is not None:
                    self._make_room()
                waiter = self._waiter = self._loop.create_future()
                await waiter
            elif (message := await self._ask()) is not None:
                self.from_layer = False
                return message

    async def read(self) -> Message:
        """Return the server's next message to a handler that is running.

        While `watch` is on, a cancelled call loses no message.

        Raises:
            ConnectionStateError: The handler has returned meanwhile; the call is from a task that
                it has left behind.
            BaseException: What the server raised.
        """
        self._readers += 1
        try:
            message = await self._read(self._on_end)
            if message.get("type") in ENDINGS:
                self._end_is_told = True
            return message
        finally:
            self._readers -= 1
            if self.client_has_left or self._server_error is not None:
                # It came while this call waited, which was cancelled then.
                self._tell_end()

    async def _read(self, watch: Callable[[], object] | None) -> Message:
        while True:
            if self._on_end is not watch or self._reading_ended:
                raise ConnectionStateError(
                    "A task still reads the request, but the handler that started it has returned"
                )
            if self.frames:
                message = self.frames.popleft()
                self._make_room()
                return message
            if self._server_error is not None:
                self._end_is_told = True
                raise self._server_error
            if watch is not None:
                self.start_reading()
            if not (self.is_read or self._handler_asks or self._asking is not None):
                return await self._ask_for_handler()
            self._make_room()
            waiter = self._loop.create_future()
            self._read_waiters += (waiter,)
            await waiter

    async def _ask_for_handler(self) -> Message:
        self._handler_asks = True
        try:
            message: Message = await self._receive()
            return message
        finally:
            self._handler_asks = False
            # Whoever was not allowed to ask meanwhile may do so now.
            self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        if self._read_waiters:
            waiters, self._read_waiters = self._read_waiters, ()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def _ask(self) -> Message | None:
        """Wait for the server in this task; None if something else is to be looked at."""
        task = self._asking = asyncio.current_task()
        assert task is not None  # a coroutine of asyncio is running
        cancels = task.cancelling()
        try:
            message: Message = await self._receive()
        except asyncio.CancelledError:
            if self._interrupted and task.uncancel() <= cancels:
                return None
            raise
        else:
            if self._interrupted:
                task.uncancel()  # The server's `receive` has caught it, and returned a message.
            return message
        finally:
            self._asking = None
            self._interrupted = False

    def _interrupt(self) -> None:
        """End the wait for the server, if a task is in it; no handler is ever cancelled here."""
        if self._asking is not None and not self._interrupted:
            self._interrupted = True
            self._asking.cancel()

    def _wake_connection(self) -> None:
        """End the wait of `next`."""
        self._wake()
        if not self.is_read:
            self._interrupt()

    def stop(self, failure: BaseException) -> None:
        """Have `next` raise an exception; it is called after the handler that runs now."""
        if self._failure is None:
            self._failure = failure
        self._wake_connection()

    def put(self, message: Message) -> None:
        """Add a message that is handled before all that the server has sent."""
        self.frames.appendleft(message)
        self._wake_connection()

    # The server

    async def read_server(self) -> None:
        """Read the server's messages until `end_reading` is called, or the server raises."""
        task = self._asking = asyncio.current_task()
        assert task is not None  # a coroutine of asyncio is running
        cancels = task.cancelling()
        frames, receive, ahead = self.frames, self._receive, self._ahead
        self.is_read = True
        try:
            while not self._reading_ended:
                message = await receive()
                frames.append(message)
                if message.get("type") in ENDINGS:
                    self._client_left()
                self._wake()
                if self.client_has_left or len(frames) >= ahead:
                    self._room = self._loop.create_future()
                    await self._room
                    self._room = None
        except asyncio.CancelledError as error:
            if self._interrupted and task.uncancel() <= cancels:
                return
            if task.cancelling() > cancels:
                raise
            # The server has cancelled what its `receive` waits for, and not this task.
            self._server_error = error
            self._wake()
        except Exception as error:  # noqa: BLE001 - `next` raises it
            self._server_error = error
            self._wake()
            self._tell_end()
        finally:
            self._asking = None
            self.is_read = False

    def end_reading(self, *_: object) -> None:
        """Have `read_server` return."""
        self._reading_ended = True
        self._interrupt()

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def start_reading(self) -> None:
        """Run `read_server` in a task, unless it runs or `receive` is being called already."""
        if not (self.is_read or self._handler_asks or self._asking or self._server_error):
            # Here, since the task starts a little later.
            self.is_read = True
            self._tasks.append(asyncio.create_task(self.read_server()))

    def watch(self, on_end: Callable[[], object], *, reads: bool = True) -> None:
        """Call a function when the client leaves, or the server fails, until `unwatch`.

        It is called once, and not at all if a call of `read` reports the end. The reading starts
        in the next turn of the event loop: a handler that is done by then costs no task.

        Args:
            on_end: Called without arguments.
            reads: Whether to read from the server for that.
        """
        self._on_end = on_end
        self._end_is_told = False
        if self.client_has_left or self._server_error is not None:
            self._starting = self._loop.call_soon(self._tell_end)
        elif reads:
            self._starting = self._loop.call_soon(self.start_reading)

    def unwatch(self) -> None:
        """End what `watch` began; frames that were read are kept."""
        self._on_end = None
        if self._readers:
            self._wake()
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None

    def _client_left(self) -> None:
        if not self.client_has_left:
            self.client_has_left = True
            self._tell_end()

    def _tell_end(self) -> None:
        if self._on_end is not None and not self._readers and not self._end_is_told:
            self._end_is_told = True
            self._on_end()

    # The channel layer

    def listen_to(self, layer: Any, channel: str, receive: Receive) -> None:
        """Take the messages of a channel, too.

        Args:
            layer: The channel layer.
            channel: The channel's name.
            receive: Receives from the channel, for a layer without `listen`.
        """
        listen = find_listen(layer)
        if listen is None:
            reader = _LayerReader(self, receive)
            self._take_from_layer = reader.take
            self._tasks.append(asyncio.create_task(reader.run()))
        else:
            self._take_from_layer = listen(channel, self.layer_has_message)
            self.layer_has_message()

    def layer_has_message(self) -> None:
        """Record that the layer may have a message; called in the connection's event loop."""
        if not self.layer_waits:
            self.layer_waits = True
            self._layer_first = not self.frames
            self._wake_connection()

    def fail(self, error: Exception) -> None:
        """Record that the layer has failed."""
        self.layer_error = error
        self.stop(error)

    # The end

    def close(self) -> list[asyncio.Task[None]]:
        """Take no more messages.

        Returns:
            The tasks that read, which are cancelled and may not have ended yet.
        """
        self._reading_ended = True
        self.unwatch()
        self._take_from_layer = None
        self.layer_waits = False
        # Their tracebacks hold frames that hold this object: no circle is left behind.
        self._failure = self._server_error = self.layer_error = None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        return tasks


class _LayerReader:
    """Read a channel layer that has no `listen`, one message ahead."""

    __slots__ = ("_asked", "_mailbox", "_message", "_receive")

    def __init__(self, mailbox: Mailbox, receive: Receive) -> None:
        self._mailbox = mailbox
        self._receive = receive
        self._message: Message | None = None
        # Resolved when the message is taken and the next one is wanted.
        self._asked: asyncio.Future[None] | None = None

    async def run(self) -> None:
        mailbox = self._mailbox
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._message = await self._receive()
                self._asked = loop.create_future()
                mailbox.layer_has_message()
                await self._asked
        except Exception as error:  # noqa: BLE001 - the connection raises it
            mailbox.fail(error)

    def take(self) -> Message | None:
        message, self._message = self._message, None
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(None)
        return message
