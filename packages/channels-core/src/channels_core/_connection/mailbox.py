"""The messages that a connection has received and not handled yet.

All handlers of a connection run in one task, which takes one message after the other out of its
mailbox by `take`. If none is there, it waits for the future that `wait` returns. A message gets
into the mailbox in one of three ways:

- Without a channel layer, that task calls the server's `receive` itself.
- With a layer, `read_server` runs in another task and reads a few frames ahead. So the end of the
  connection is seen while a handler runs.
- A channel layer that has `listen` calls `layer_has_message`, or `layer_wakes_waiting` for a
  connection that waits, and `take` takes the message out of the layer. Another layer is read in a
  task of its own (`_LayerReader`), one message ahead. In all cases messages stay in the layer until
  the connection wants them, so the layer's capacity bounds them.

If frames and messages of the layer wait at the same time, they are handled in turns.

Two kinds of task may wait here: the connection's task, and a handler, or a task that it started, in
`read` (consumers of HTTP requests read the body so). The server's `receive` is never called twice
at once. The connection, `_ask_for_handler` and `read_server` call it, and each of them first checks
that neither of the others does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from channels_core._consumer_classes import ENDINGS
from channels_core._layers.optional_methods import find_listen, takes_wake_waiting
from channels_core.exceptions import ConnectionStateError, MessagesMissed
from channels_core.typing import Message, Receive

if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # only type checkers need it, and it is slow to make

__all__ = ["SEND_WITHIN", "Mailbox", "Overseer", "Sieve"]

#: Seconds that the server's `send` has to return once the client has left.
SEND_WITHIN: Final = 10.0


def _take_nothing() -> None:
    """Return no message: there is no channel layer, or the mailbox does not listen to it."""


class Overseer(Protocol):
    """Looks after the handler of a connection."""

    def end_hanging_send(self) -> None:
        """End the handler if it waits for the server's `send`, though the client has left."""


class Sieve(Protocol):
    """Stands between the layer and a mailbox, and decides which messages get through.

    Attributes:
        source: Returns the layer's next message, or None; None before the mailbox listens.
    """

    source: Callable[[], Message | None] | None

    def take(self) -> Message | None:
        """Return the next message for the mailbox, or None if none waits."""


class Mailbox:
    """The messages that wait for one connection.

    Attributes:
        receive: ASGI receive.
        asking: The task that waits in `receive` and may be interrupted there: the connection's, or
            that of `read_server`. None if neither waits.
        was_interrupted: Whether `_interrupt` has cancelled that task.
        from_layer: Whether the message that was taken last came from the channel layer.
        client_has_left: Whether the server has reported the end of the connection; that message
            may still wait in `frames`.
        failure: The exception given to `stop`; `take` raises it before it returns anything else.
        frames: The server's messages that wait.
        layer_waits: Whether the layer has announced a message, which may have expired since.
        is_read: Whether `read_server` runs; if so, nothing else may call `receive`.
        is_quiet: Whether nothing has changed since `wait` has returned None last, so that the
            connection can ask the server again without another look.
        layer_error: The exception that the channel layer raised; None unless it has failed.
    """

    __slots__ = (
        "_ahead",
        "_end_is_told",
        "_handler_asks",
        "_layer_first",
        "_looked_up",
        "_loop",
        "_on_end",
        "_read_waiters",
        "_readers",
        "_reading_ended",
        "_room",
        "_server_error",
        "_sieve",
        "_starting",
        "_take_from_layer",
        "_tasks",
        "_waiter",
        "asking",
        "client_has_left",
        "failure",
        "frames",
        "from_layer",
        "is_quiet",
        "is_read",
        "layer_error",
        "layer_waits",
        "receive",
        "was_interrupted",
        "woken_by_layer",
    )

    def __init__(
        self, receive: Receive, ahead: int, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        """Begin with no message.

        Args:
            receive: ASGI receive.
            ahead: The number of frames that may be read before they are handled; 0 to read a frame
                only when the one before it is handled.
            loop: The running event loop, if the caller has it.
        """
        self.from_layer: bool = False
        self.client_has_left: bool = False
        self.layer_error: Exception | None = None
        self.receive: Receive = receive
        self._ahead = ahead
        self._loop = loop or asyncio.get_running_loop()
        # A list, of at most `ahead` frames: an empty deque takes 0.6 KiB for each idle connection.
        self.frames: list[Message] = []
        self.failure: BaseException | None = None
        # The exception of `receive`; `wait` raises it after the frames that came before.
        self._server_error: BaseException | None = None
        self.is_read: bool = False
        self.is_quiet: bool = False
        # Whether `read_server` is to return, and `read` to refuse.
        self._reading_ended = False
        # The number of calls of `read` that wait; they report the end of the connection themselves.
        self._readers = 0
        # The futures that these calls wait for; resolved together with `_waiter`.
        self._read_waiters: tuple[asyncio.Future[None], ...] = ()
        # Whether such a call waits in the server's `receive`.
        self._handler_asks = False
        # The future that the connection's task waits for; None while it does not wait.
        self._waiter: asyncio.Future[None] | None = None
        # The future that `read_server` waits for while the mailbox is full; None otherwise.
        self._room: asyncio.Future[None] | None = None
        self.asking: asyncio.Task[Any] | None = None
        self.was_interrupted: bool = False
        # Returns the layer's next message, or None.
        self._take_from_layer: Callable[[], Message | None] = _take_nothing
        # Stands before that function; None unless `sift` was called.
        self._sieve: Sieve | None = None
        self.layer_waits: bool = False
        # A message that `has_message` has taken out of the layer; None if it has found none.
        self._looked_up: Message | None = None
        # Whether the layer's message is handled before the next frame.
        self._layer_first = False
        # Whether a layer's message has woken the connection's task, which has not run since.
        self.woken_by_layer: bool = False
        # The function given to `watch`; None outside of a watch.
        self._on_end: Callable[[], object] | None = None
        # Whether the end was reported during this watch.
        self._end_is_told = False
        # Starts the reading for a watch, in the next turn of the event loop.
        self._starting: asyncio.Handle | None = None
        # The tasks that were started here, which `close` cancels.
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    # The connection takes messages out

    def has_message(self) -> bool:
        """Return whether a message waits, so that `take` returns one.

        The layer is asked, since it announces only the first of several messages.
        """
        if not self.layer_waits or self.frames or self._looked_up is not None:
            return self.layer_waits or bool(self.frames)
        try:
            self._looked_up = message = self._take_from_layer()
        except Exception as error:
            self.layer_error = error
            raise
        if message is not None:
            return True
        self.layer_waits = False
        return False

    def take(self) -> Message | None:
        """Return the next message of the server or the layer if one waits.

        Raises:
            BaseException: The exception given to `stop`, or that of the layer.
        """
        if self.failure is not None:
            raise self.failure
        self.woken_by_layer = False
        frames = self.frames
        if self.layer_waits and (self._layer_first or not frames):
            message = self._looked_up
            if message is None:
                try:
                    message = self._take_from_layer()
                except Exception as error:
                    self.layer_error = error
                    raise
            else:
                self._looked_up = None
            # At most one frame comes before the layer's next message.
            self._layer_first = not frames
            if message is not None:
                self.from_layer = True
                return message
            self.layer_waits = False
        if not frames:
            return None
        self.from_layer = False
        self._layer_first = True
        message = frames.pop(0)
        # The reader goes on once half of the frames are handled: a switch between the two tasks
        # costs more than handling several frames.
        if self._room is not None and self._ahead and len(frames) <= self._ahead // 2:
            self._make_room()
        return message

    def wait(self) -> asyncio.Future[None] | None:
        """Return the future to wait for if no message waits; None if `receive` is to be called.

        Raises:
            BaseException: The exception of the server.
        """
        if self._server_error is not None:
            raise self._server_error
        if not self.is_read:
            if self._take_from_layer is _take_nothing and not self._readers:
                self.is_quiet = True
                return None
            self.start_reading()
        if self._room is not None:
            self._make_room()
        # Made directly: the loop's create_future() would take 0.1 us longer.
        waiter = self._waiter = asyncio.Future(loop=self._loop)
        return waiter

    def ends_interruption(self, error: BaseException, cancels: int) -> bool:
        """Return whether a call of `receive` has failed only since `_interrupt` has cancelled it.

        Args:
            error: What the call has raised.
            cancels: How often the task was cancelled before the call.
        """
        task, self.asking = self.asking, None
        was_interrupted, self.was_interrupted = self.was_interrupted, False
        assert task is not None  # the caller has set it
        if not (was_interrupted and isinstance(error, asyncio.CancelledError)):
            return False
        # Not if somebody else has cancelled the task as well.
        return task.uncancel() <= cancels

    def forget_interruption(self) -> None:
        """Undo `_interrupt`: the server's `receive` has caught it, and returned a message."""
        self.was_interrupted = False
        assert self.asking is not None  # the caller has set it
        self.asking.uncancel()

    def end_asking(self) -> None:
        """Record that `receive` has returned, after it was called without the mailbox."""
        if self.was_interrupted:
            self.forget_interruption()
        self.asking = None

    async def read(self) -> Message:
        """Return the server's next message to a handler that is running.

        During a `watch`, a cancelled call does not lose a message.

        Raises:
            ConnectionStateError: The handler that started the calling task has returned.
            BaseException: The exception of the server.
        """
        self._readers += 1
        self.is_quiet = False
        try:
            message = await self._read(self._on_end)
            if message.get("type") in ENDINGS:
                self._end_is_told = True
            return message
        finally:
            self._readers -= 1
            if self.client_has_left or self._server_error is not None:
                # The end came while this call waited, so it was not reported to `watch`. If the
                # call was cancelled, it has not reported the end either.
                self._tell_end()

    async def _read(self, watch: Callable[[], object] | None) -> Message:
        """Return the server's next message; `watch` is the watch under which the call began."""
        while True:
            if self._on_end is not watch or self._reading_ended:
                raise ConnectionStateError(
                    "A task still reads the request, but the handler that started it has returned"
                )
            if self.frames:
                message = self.frames.pop(0)
                self._make_room()
                return message
            if self._server_error is not None:
                self._end_is_told = True
                raise self._server_error
            if watch is not None:
                # The task of `read_server` keeps a message whose reader is cancelled.
                self.start_reading()
            if not (self.is_read or self._handler_asks or self.asking is not None):
                return await self._ask_for_handler()
            self._make_room()
            waiter = self._loop.create_future()
            self._read_waiters += (waiter,)
            await waiter

    async def _ask_for_handler(self) -> Message:
        """Wait for the server in the task of `read`, and block the other calls of `receive`."""
        self._handler_asks = True
        try:
            message: Message = await self.receive()
            return message
        finally:
            self._handler_asks = False
            # Calls that waited for the end of this one may ask the server now.
            self._wake()

    def _wake(self) -> None:
        """Wake `next` and all calls of `read`, which then check the mailbox again."""
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

    def _interrupt(self) -> None:
        """End the wait of `next` or `read_server` for the server; handlers are not cancelled."""
        if self.asking is not None and not self.was_interrupted:
            self.was_interrupted = True
            self.asking.cancel()

    def _wake_connection(self) -> None:
        """End the wait of `next`, whether for a future or in the server's `receive`."""
        self._wake()
        if not self.is_read:
            self._interrupt()

    def stop(self, failure: BaseException) -> None:
        """Have the next call of `next`, after the handler that runs now, raise an exception."""
        if self.failure is None:
            self.failure = failure
        self.is_quiet = False
        self._wake_connection()

    def put(self, message: Message) -> None:
        """Add a message that is handled before all messages of the server."""
        self.frames.insert(0, message)
        self.is_quiet = False
        self._wake_connection()

    # The server

    async def read_server(  # noqa: C901 - no call for each frame
        self, connection: Overseer | None = None
    ) -> None:
        """Read the server's messages until `end_reading` is called, or the server raises.

        Args:
            connection: Looks after a handler that still runs a while after the client has left.
        """
        task = self.asking = asyncio.current_task(self._loop)
        assert task is not None  # a coroutine of asyncio is running
        cancels = task.cancelling()
        frames, receive, ahead = self.frames, self.receive, self._ahead
        self.is_read = True
        self.is_quiet = False
        try:
            while not self._reading_ended:
                message = await receive()
                frames.append(message)
                if self.woken_by_layer:
                    # The connection has not run since it was woken, so this message came first.
                    self._layer_first = False
                if message.get("type") in ENDINGS:
                    self._client_left()
                if self._waiter is not None or self._read_waiters:
                    self._wake()  # not in a burst, where the connection is handling a frame
                elif self.client_has_left and connection is not None:
                    await self._wait_for_handler(connection)
                    continue
                del message  # not kept until the next one comes
                if self.client_has_left or len(frames) >= ahead:
                    self._room = self._loop.create_future()
                    await self._room
                    self._room = None
        except asyncio.CancelledError as error:
            if self.was_interrupted and task.uncancel() <= cancels:
                return
            if task.cancelling() > cancels:
                raise
            # This task was not cancelled: the server has cancelled a task that `receive` awaits.
            self._server_error = error
            self._wake()
        except Exception as error:  # noqa: BLE001 - `next` raises it
            self._server_error = error
            self._wake()
            self._tell_end()
        finally:
            self.asking = None
            self.is_read = False

    async def _wait_for_handler(self, connection: Overseer) -> None:
        """Wait until the end is being handled, after the handler that runs now."""
        timer = self._loop.call_later(SEND_WITHIN, connection.end_hanging_send)
        while self.frames and not self._reading_ended:
            self._room = self._loop.create_future()
            await self._room
            self._room = None
        timer.cancel()

    def end_reading(self, *_: object) -> None:
        """Have `read_server` return."""
        self._reading_ended = True
        if self._room is not None:
            # It does not wait for the server, but for room: nothing has to be cancelled.
            self._make_room()
        elif self.asking is not None:
            self._interrupt()

    def _make_room(self) -> None:
        """Let `read_server` go on, if it waits since the mailbox was full."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def start_reading(self) -> None:
        """Run `read_server` in a task, unless it runs or `receive` is being called already."""
        if not (self.is_read or self._handler_asks or self.asking or self._server_error):
            # Set here already, since the task begins later.
            self.is_read = True
            self.is_quiet = False
            self._tasks += (asyncio.create_task(self.read_server()),)

    def watch(self, on_end: Callable[[], object]) -> None:
        """Call a function when the client leaves, or the server fails, until `unwatch`.

        The function is called once, and not at all if a call of `read` reports the end. Unless the
        end is seen already, somebody has to read: a call of `read`, or `keep_watch`.

        Args:
            on_end: Called without arguments.
        """
        self._on_end = on_end
        self._end_is_told = False

    def keep_watch(self, *, reads: bool = True) -> None:
        """Report the end also while the handler does not read, since it waits for something else.

        The reading starts in the next turn of the event loop.

        Args:
            reads: Whether to read from the server; if not, only an end that was seen is reported.
        """
        if self.client_has_left or self._server_error is not None:
            self._starting = self._loop.call_soon(self._tell_end)
        elif reads:
            self._starting = self._loop.call_soon(self.start_reading)

    def unwatch(self) -> None:
        """End a watch; frames that were read are kept."""
        self._on_end = None
        # Tasks that the handler has left behind get their error.
        if self._readers:
            self._wake()
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None

    def _client_left(self) -> None:
        if not self.client_has_left:
            self.client_has_left = True
            if self._waiter is not None:
                self._layer_first = False  # nothing else waits, so the end comes first
            self._tell_end()

    def _tell_end(self) -> None:
        """Call the function of `watch`, unless the end is reported already or `read` reports it."""
        if self._on_end is not None and not self._readers and not self._end_is_told:
            self._end_is_told = True
            self._on_end()

    # The channel layer

    def listen_to(self, layer: Any, channel: str, consumer: Any) -> None:
        """Let the messages of a channel of the layer into the mailbox.

        Args:
            layer: The channel layer.
            channel: The channel's name.
            consumer: Its `channel_receive` is called for a layer without `listen`.
        """
        self.is_quiet = False
        listen = find_listen(layer)
        if listen is None:
            reader = _LayerReader(self, consumer.channel_receive)
            self._take_from_layer = reader.take
            self._tasks += (asyncio.create_task(reader.run()),)
        else:
            more = (self.layer_wakes_waiting,) if takes_wake_waiting(listen) else ()
            self._take_from_layer = listen(channel, self.layer_has_message, *more)
            # A message may have come before the listening began.
            self.layer_has_message()
        if self._sieve is not None:
            self._put_sieve_between()

    def sift(self, sieve: Sieve) -> None:
        """Take the layer's messages through a sieve from now on."""
        self._sieve = sieve
        self._put_sieve_between()

    def _put_sieve_between(self) -> None:
        if self._sieve is not None and self._take_from_layer is not _take_nothing:
            self._sieve.source, self._take_from_layer = self._take_from_layer, self._sieve.take
            # It may have a message of its own.
            self.layer_has_message()

    def layer_has_message(self) -> None:
        """Record that the layer may have a message; called in the connection's event loop."""
        if not (self.layer_waits or self.layer_wakes_waiting()):
            self.layer_waits = True
            self._layer_first = not self.frames
            if self._waiter is None and (self._read_waiters or self.asking is not None):
                self._wake_connection()

    def layer_wakes_waiting(self) -> bool:
        """Wake the connection's task for a message of the layer, and return whether it waits.

        If it waits for something else, or does not wait, nothing is done.
        """
        waiter = self._waiter
        if waiter is None or self.layer_waits or waiter.done():
            return False
        self.layer_waits = True
        self._layer_first = not self.frames
        # Nobody else has to know, and a message to a group does this for each of its members.
        self._waiter = None
        self.woken_by_layer = True
        waiter.set_result(None)
        return True

    def fail(self, error: Exception) -> None:
        """Record that the layer has failed; `next` raises the error."""
        self.layer_error = error
        self.stop(error)

    # The end

    def close(self) -> list[asyncio.Task[None]]:
        """Stop reading from the server and the layer.

        Returns:
            The reading tasks; they are cancelled, but may not have ended yet.
        """
        self._reading_ended = True
        if self._on_end is not None or self._readers:
            self.unwatch()
        self._take_from_layer = _take_nothing
        self._looked_up = self._sieve = None
        self.layer_waits = False
        # The tracebacks of these exceptions hold frames that hold this object: break the circles.
        self.failure = self._server_error = self.layer_error = None
        tasks, self._tasks = list(self._tasks), ()
        for task in tasks:
            task.cancel()
        return tasks


class _LayerReader:
    """Read a channel layer that does not have `listen`, one message ahead."""

    __slots__ = ("_asked", "_mailbox", "_message", "_missed", "_receive")

    def __init__(self, mailbox: Mailbox, receive: Receive) -> None:
        self._mailbox = mailbox
        self._receive = receive
        # The message that was read and not taken yet.
        self._message: Message | None = None
        # What the layer has raised instead, since messages may be lost.
        self._missed: MessagesMissed | None = None
        # Resolved when the message is taken and the next one is wanted.
        self._asked: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Read until the task is cancelled, or the layer raises."""
        mailbox = self._mailbox
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    self._message = await self._receive()
                except MessagesMissed as missed:
                    self._missed = missed
                self._asked = loop.create_future()
                mailbox.layer_has_message()
                # This task has run in its turn: the order is that of the readers.
                mailbox.woken_by_layer = False
                await self._asked
        except Exception as error:  # noqa: BLE001 - the connection raises it
            mailbox.fail(error)

    def take(self) -> Message | None:
        """Return the message that was read, if there is one, and have the next one read."""
        message, self._message = self._message, None
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(None)
        if message is None and self._missed is not None:
            missed, self._missed = self._missed, None
            try:
                raise missed
            finally:
                del missed  # its traceback holds this frame
        return message
