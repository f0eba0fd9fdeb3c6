"""Connections, as consumers of any protocol have them; for those who write consumer classes.

A consumer belongs to the program. What Channels has to remember for it stands in its companion, a
`Connection`, under the one reserved name `consumer._channels`. A connection goes through these
steps, whatever its protocol:

1. `serve` opens the channel layer and a mailbox for what the server and the layer send.
2. One task takes one message after the other out of the mailbox and gives it to
   `consumer.dispatch`. Without a channel layer, and for a protocol that answers at once, it is the
   server's own task. Otherwise the server's task reads, and a task beside it handles.
3. The connection ends: the client leaves, a handler raises, the server cancels its task or stops,
   or the channel layer fails. `_end` then runs in the task of the handlers, always: it leaves the
   groups, calls `disconnect` once, does what middleware has registered, and tells the layer. All
   of that is bounded by the option `cleanup_timeout`.
4. The first exception leaves `serve`. Others are reported.

A subclass is what a new protocol gives: it overrides the methods under "The protocol's part".
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from functools import partial
from time import monotonic
from types import coroutine
from typing import Any, ClassVar, Final, NoReturn
from weakref import ref

from django.contrib.sessions.exceptions import SessionInterrupted

from channels_core._asgiref import get_outer_executor, restore_outer_executor
from channels_core._cancellation import Bound, wait_despite_cancellation
from channels_core._connection.groups import ConnectionGroups
from channels_core._connection.mailbox import ENDINGS, Mailbox
from channels_core._connection.threads import HandlerThread
from channels_core._consumer.classes import ConsumerClass, class_of
from channels_core._consumer.framework import framework
from channels_core._consumer.handlers import is_overridden
from channels_core._consumer.hooks import find_hook, new_hook, readable
from channels_core._failure_log import log_failure, mark_as_logged
from channels_core._layers.endings import forget_channel
from channels_core._layers.outages import is_outage, was_answered
from channels_core._logging import collect_records, records_handled
from channels_core._remedies import explain_missing_key, explain_missing_layer
from channels_core._scope import AFTER_HANDLER, AfterHandler
from channels_core._shutdown.draining import draining
from channels_core._shutdown.open_connections import Serving, connections_here, record_cancelled
from channels_core.abort import close_with
from channels_core.db import DatabaseUsage
from channels_core.exceptions import InvalidFrame, RouteNotFound, StopConsumer
from channels_core.layers import get_channel_layer
from channels_core.refusal import refuse
from channels_core.signals import consumer_finished, consumer_started
from channels_core.typing import Message, Receive, Scope, Send

__all__ = [
    "Connection",
    "ConsumerClass",
    "class_of",
    "find_hook",
    "framework",
    "is_overridden",
    "new_hook",
    "readable",
]

logger: Final = logging.getLogger("django.channels.consumer")
drain_logger: Final = logging.getLogger("django.channels.drain")

# Not the program's fault: a router or a session's middleware answers it, with one line of the log.
_ANSWERED_OUTSIDE: Final = (InvalidFrame, RouteNotFound, SessionInterrupted)

# Where messages are always ready, nothing on their way waits. So the connection lets other tasks
# run after each message if any is ready, and at least after this many messages, or this many
# seconds of work, so that the event loop looks at its sockets.
_BURST_MESSAGES: Final = 16
_BURST_SECONDS: Final = 0.001

_RESTART: Final = 1012  # IANA, "WebSocket Close Code Number Registry": service restart
_GOODBYE: Final = "Service restart"
#: Seconds to send the goodbye: a client may be gone without a word.
_GOODBYE_WITHIN: Final = 2
#: Seconds that each remaining step of the end has when `cleanup_timeout` is used up.
_AT_LEAST: Final = 1.0


class Connection:
    """The companion of one consumer.

    Attributes:
        from_layer: Whether the message that is handled now came from the channel layer; None
            before the first message.
        is_drained: Whether the connection ends because the server stops, or the layer has failed.
        is_ending: Whether the clean-up has begun.
        options: The options of the consumer's class.
        handlers: The handlers of the consumer's class: by name, whether a message of the layer may
            reach the method.
        groups: The groups that the connection is in.
        loop: The event loop that serves it; None for a consumer that a test calls by hand.
        mailbox: What waits to be handled; None before `serve`.
        threads: Runs the handlers of a consumer with ordinary methods; None for the others.
    """

    #: Frames that may be read before they are handled.
    frames_ahead: ClassVar[int] = 16
    #: Whether most connections end with the handler of their first message. Then no task is made,
    #: and the layer is not listened to, before that handler has returned.
    answers_first: ClassVar[bool] = False
    #: Whether the consumer has a method `disconnect`.
    has_disconnect: ClassVar[bool] = False

    __slots__ = (
        "_after_handler",
        "_bound",
        "_cancels",
        "_consumer",
        "_disconnect_called",
        "_finished",
        "_is_cut",
        "_layer",
        "_message",
        "_outer_executor",
        "_task",
        "_usage",
        "from_layer",
        "groups",
        "handlers",
        "is_drained",
        "is_ending",
        "loop",
        "mailbox",
        "options",
        "threads",
    )

    def __init__(self, consumer: Any, known: ConsumerClass) -> None:
        """Begin without a server, as a test may use a consumer.

        Args:
            consumer: The consumer.
            known: What is known of its class.
        """
        # Weak: no circle is left to the garbage collector.
        self._consumer = ref(consumer)
        self.options: dict[str, Any] = known.options
        self.handlers: dict[str, bool] = known.handlers
        self.threads: HandlerThread | None = HandlerThread() if known.runs_in_threads else None
        self.groups: ConnectionGroups = ConnectionGroups()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.mailbox: Mailbox | None = None
        self.from_layer: bool | None = None
        self.is_drained: bool = False
        self.is_ending: bool = False
        self._layer: Any = None
        self._message: Message | None = None
        self._after_handler: tuple[AfterHandler, ...] = ()
        self._usage: DatabaseUsage | None = None
        # How long the end of the connection may take; None before it.
        self._bound: Bound | None = None
        self._disconnect_called = False
        # Whether `finish` has done all that it has to do.
        self._finished = not self.has_disconnect
        # The task of the handlers, while the connection is served.
        self._task: asyncio.Task[Any] | None = None
        self._is_cut = False
        # How often that task was cancelled before the connection began.
        self._cancels = 0

    @property
    def consumer(self) -> Any:
        """The consumer; its methods are the program's."""
        return self._consumer()

    # The protocol's part, which a subclass overrides

    def begin(self, scope: Scope) -> None:
        """Prepare for the first message."""

    def watch_send(self, send: Send) -> Send:
        """Return what sends to the server, perhaps with a look at what is sent."""
        return send

    def client_left(self, message: Message) -> None:
        """Record that the server has reported the end, just before its message is handled."""

    async def settle_failure(self, error: Exception, message: Message) -> bool:
        """Do what a failed handler asks for that is the client's doing.

        Returns:
            Whether it is; the connection ends with the error otherwise.
        """
        return False

    def disconnect_arguments(self) -> tuple[Any, ...]:
        """Record that the connection has ended, and return the arguments of `disconnect`."""
        return ()

    def may_say_goodbye(self, code: int, reason: str) -> bool:
        """Return whether a WebSocket may be closed with a code, and record that it is."""
        return True

    def handles_end(self, message: Message) -> bool:
        """Return whether the message ends the connection, with no handler of the program's."""
        return False

    def has_nothing_to_finish(self) -> bool:
        """Return whether `finish` would do nothing."""
        return False

    async def finish(self) -> None:
        """Leave the groups and call `disconnect`, once; continue what was interrupted before."""
        consumer = self.consumer
        arguments = self.disconnect_arguments()
        errors: list[Exception] = []
        await self.groups.leave_all(consumer, errors)
        if not self._disconnect_called:
            self._disconnect_called = True
            try:
                await self.call(consumer.disconnect, *arguments)
            except StopConsumer:
                pass
            except Exception as error:  # noqa: BLE001 - all of the clean-up runs
                errors.append(error)
            # Those that `disconnect` itself has joined.
            await self.groups.leave_all(consumer, errors)
        self._finished = True
        self.raise_first(errors)

    async def finish_unasked(self) -> None:
        """Finish where no message of the server has asked for it."""
        await self.finish()

    def drain(self) -> None:
        """End after the handler that runs now, since the server stops or the layer has failed."""
        self.is_drained = True
        self.stop(StopConsumer())

    # For the methods of consumers

    async def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a method of the program: await it, or run it in a thread."""
        if self.threads is None:
            await function(*args)
        else:
            await self.threads.call(type(self.consumer), function, args, self._bound)

    def in_loop(self, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        """Run a coroutine function in the connection's event loop, from any thread."""
        assert self.threads is not None  # a consumer with ordinary methods calls this
        return self.threads.in_loop(self.loop, function, *args)

    def join_declared(self, consumer: Any) -> Generator[str, None, None]:
        """Yield the names in the consumer's `groups`, to be joined before `connect`.

        If one of them cannot be joined, `disconnect` is not called: there was no `connect`.
        """
        self._disconnect_called = True
        yield from self.groups.declare(consumer)
        self._disconnect_called = False

    def raise_first(self, errors: list[Exception]) -> None:
        """Raise the first of several errors, and report the others."""
        for error in errors[1:]:
            self.report(error)
        if errors:
            raise errors[0]

    def stop(self, failure: BaseException) -> None:
        """End with an exception, after the handler that runs now."""
        if self.mailbox is not None:
            self.mailbox.stop(failure)

    def stop_later(self, seconds: float, failure: BaseException) -> None:
        """Call `stop` after some seconds; from any thread."""
        loop = self.loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(loop.call_later, seconds, partial(self.stop, failure))

    def cut(self) -> None:
        """Cancel the handler that runs now, and end."""
        self.stop(StopConsumer())
        handles = self._message is not None and not self.is_ending
        if handles and self._task is not None and not self._is_cut:
            self._is_cut = True
            self._task.cancel()

    # Serving

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection to its end.

        Raises:
            Exception: The first exception of a handler, of the layer, or of sending, after the
                clean-up.
        """
        collect_records()
        consumer = self.consumer
        self.loop = asyncio.get_running_loop()
        self._after_handler = scope.get(AFTER_HANDLER, ())
        self._usage = DatabaseUsage()
        self._outer_executor = get_outer_executor()
        if self.threads is not None:
            self.threads.outer_executor = self._outer_executor
        kind = scope.get("type")
        is_client = kind in ("websocket", "http")
        # A worker gives a message to a consumer that asks for one, and it is handled then.
        mailbox = self.mailbox = Mailbox(receive, self.frames_ahead if is_client else 0)
        failure: BaseException | None = None
        with self._usage, Serving(self if is_client else None):
            try:
                if consumer_started.receivers:
                    await consumer_started.asend_robust(type(consumer), environ=scope)
                await self._open(consumer, scope, send)
                if draining.begun and is_client:
                    await self._come_late(scope, receive, send)
                if not self.answers_first:
                    self._listen(consumer, mailbox)
            except BaseException as error:  # noqa: BLE001 - raised below, after the clean-up
                failure = self._failed(error)
            if failure is None and self._layer is not None and not self.answers_first:
                failure = await self._handle_beside(consumer, mailbox, send)
            elif failure is None:
                failure = await self._live(consumer, mailbox, send)
            else:
                failure = await self._end(consumer, mailbox, send, failure)
            await records_handled()
            if consumer_finished.receivers:
                await consumer_finished.asend_robust(type(consumer), environ=scope)
        if failure is not None:
            try:
                raise failure
            finally:
                # Its traceback holds this frame: no circle is left to the garbage collector.
                del failure

    async def _open(self, consumer: Any, scope: Scope, send: Send) -> None:
        """Prepare sending, and make a channel in the layer if there is one."""
        watched = self.watch_send(send)
        consumer.base_send = watched if self.threads is None else self._send_in_loop(watched)
        self.begin(scope)
        alias = consumer.channel_layer_alias
        if alias is not None:
            layer = consumer.channel_layer = get_channel_layer(alias)
            if layer is not None:
                consumer.channel_name = await layer.new_channel()
                consumer.channel_receive = partial(layer.receive, consumer.channel_name)
                self._layer = layer

    async def _come_late(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a handshake while the server stops; a request is answered, but not held open."""
        if scope["type"] == "websocket":
            await refuse(scope, receive, send, 503, body=_GOODBYE, code=_RESTART)
            raise StopConsumer
        self.is_drained = True

    def _send_in_loop(self, send: Send) -> Callable[[Message], Any]:
        assert self.loop is not None  # `serve` has set it

        async def transmit(message: Message) -> None:
            # A server's `send` need not be a coroutine function itself.
            await send(message)

        return partial(self.in_loop, transmit)

    async def _handle_beside(
        self, consumer: Any, mailbox: Mailbox, send: Send
    ) -> BaseException | None:
        """Handle in a task of its own, and read the server in this one.

        A server that cancels this task more than once does not interrupt the clean-up.
        """
        task = asyncio.create_task(self._live(consumer, mailbox, send))
        task.add_done_callback(mailbox.end_reading)
        cancelled: asyncio.CancelledError | None = None
        cancels = 0
        while not (task.done() or (cancelled is not None and self._is_overdue())):
            try:
                if cancelled is None:
                    await mailbox.read_server()
                await asyncio.wait([task], timeout=None if cancelled is None else _AT_LEAST)
            except asyncio.CancelledError as error:
                cancelled = error
                # Once: at its end an event loop cancels the handlers' task, too.
                if not self.is_ending and task.cancelling() == cancels:
                    cancels += 1
                    task.cancel()
        if not task.done():
            self._give_up(consumer)
            return cancelled
        if task.cancelled():  # before it has begun
            return await self._end(consumer, mailbox, send, cancelled or asyncio.CancelledError())
        failure = task.result()
        if cancelled is not None and isinstance(failure, asyncio.CancelledError | None):
            return cancelled
        return failure

    def _is_overdue(self) -> bool:
        """Return whether the clean-up goes on though its last step was cancelled."""
        return self.is_ending and self._bound is not None and self._bound.left < -3 * _AT_LEAST

    def _listen(self, consumer: Any, mailbox: Mailbox) -> None:
        if self._layer is not None:
            mailbox.listen_to(self._layer, consumer.channel_name, consumer.channel_receive)

    async def _live(self, consumer: Any, mailbox: Mailbox, send: Send) -> BaseException | None:
        """Handle the messages of the connection, and clean up; return what it ends with."""
        task = self._task = asyncio.current_task()
        assert task is not None  # a coroutine of asyncio is running
        cancels = self._cancels = task.cancelling()
        failure: BaseException
        try:
            await self._handle_messages(consumer, mailbox)
        except BaseException as error:  # noqa: BLE001 - returned, after the clean-up
            is_cut = self._is_cut and isinstance(error, asyncio.CancelledError)
            if is_cut and task.uncancel() <= cancels:
                failure = StopConsumer()
            else:
                failure = self._failed(error)
        try:
            return await self._end(consumer, mailbox, send, failure)
        finally:
            self._task = None
            del failure

    def _failed(self, error: BaseException) -> BaseException:
        """Report an error, and have other connections end if it is the layer's outage."""
        if isinstance(error, StopConsumer):
            return error
        self.report(error)
        mailbox = self.mailbox
        assert mailbox is not None  # `serve` has made it
        failed = mailbox.layer_error is error and not self.is_drained
        if failed and is_outage(self._layer, error):
            # Only some connections see an outage, and none can know which messages and groups
            # are lost. So all clients connect again, and join their groups again.
            for other in connections_here():
                if other is not self and other.uses_layer(self._layer):
                    other.drain()
        return error

    def uses_layer(self, layer: object) -> bool:
        """Return whether the connection receives from a channel layer."""
        return self._layer is layer

    async def _handle_messages(self, consumer: Any, mailbox: Mailbox) -> NoReturn:
        """Handle one message after the other until something raises."""
        usage = self._usage
        assert usage is not None  # `serve` has made it
        listens = not self.answers_first
        # What runs next in this thread. It tells whether any other task is ready; uvloop has no
        # such list, and there every task counts as ready.
        ready = getattr(self.loop, "_ready", None)
        # Since other tasks last ran: the messages, and a time by `monotonic`.
        messages = 0
        since = 0.0
        while True:
            self._message = message = await mailbox.next()
            self.from_layer = from_layer = mailbox.from_layer
            if not from_layer and message.get("type") in ENDINGS:
                # The handler for the end of a connection is its clean-up, and bounded as such.
                self.client_left(message)
                self._bound = Bound(self.options["cleanup_timeout"])
                await self._bound.run(consumer.dispatch(message))
            else:
                try:
                    await consumer.dispatch(message)
                except Exception as error:
                    # Here, where it has left the program's handlers: they may catch it themselves.
                    if not await self.settle_failure(error, message):
                        raise
            if self._after_handler or usage.pending:
                await self._settle()
            self._message = None
            if not listens:
                listens = True
                self._listen(consumer, mailbox)
            if mailbox.is_read and not (mailbox.frames or mailbox.layer_waits):
                messages = 0  # the wait for the next message lets other tasks run
                continue
            if not messages:
                since = monotonic()
            messages += 1
            if (
                ready is None
                or ready
                or messages >= _BURST_MESSAGES
                or monotonic() - since >= _BURST_SECONDS
            ):
                messages = 0
                await _give_way()

    async def _settle(self) -> None:
        """Do what middleware has registered, and close the database connections that are old."""
        try:
            for function in self._after_handler:
                if (work := function()) is not None:
                    await work
        finally:
            if self._usage is not None and self._usage.pending:
                await self._usage.release()

    # The end

    async def _say_goodbye(self, consumer: Any, send: Send) -> None:
        """Close a WebSocket so that its client connects again."""
        if consumer.scope["type"] != "websocket":
            return
        if not self.may_say_goodbye(_RESTART, _GOODBYE):
            return
        try:
            async with asyncio.timeout(_GOODBYE_WITHIN):
                if not close_with(consumer.scope, _RESTART, _GOODBYE):
                    await send({"type": "websocket.close", "code": _RESTART, "reason": _GOODBYE})
        except Exception:
            drain_logger.debug("A client could not be told to come back", exc_info=True)

    async def _end(
        self, consumer: Any, mailbox: Mailbox, send: Send, failure: BaseException
    ) -> BaseException | None:
        """Do all steps of the clean-up, each of them whatever becomes of the others.

        A step that a cancellation interrupts is continued once.

        Args:
            consumer: The consumer.
            mailbox: Its mailbox, which is closed.
            send: The server's.
            failure: What has ended the connection.

        Returns:
            What is to leave `serve`: the first exception, or None.
        """
        self.is_ending = True
        restore_outer_executor(self._outer_executor)
        readers = mailbox.close()
        stops = isinstance(failure, StopConsumer)
        first = None if stops else failure
        del failure
        steps = self._steps_of_end(consumer, readers, send if stops else None)
        step = next(steps, None)
        if step is None:
            return first
        task = asyncio.current_task()
        assert task is not None  # a coroutine of asyncio is running
        self._clear_cancellation(task)
        self._bound = bound = Bound(self.options["cleanup_timeout"])
        given_up = False
        while step is not None:
            for _ in range(2):
                try:
                    await bound.run(step())
                except asyncio.CancelledError as error:
                    if self._clear_cancellation(task):
                        first = first or error
                    continue
                except TimeoutError as error:
                    if bound.left > 0:  # the program's own
                        first = self._failed_in_end(first, error)
                    elif not given_up:
                        given_up = True
                        self._give_up(consumer)
                except BaseException as error:  # noqa: BLE001 - it leaves `serve`, or is reported
                    first = self._failed_in_end(first, error)
                break
            bound.at_least(_AT_LEAST)
            step = next(steps, None)
        try:
            return first
        finally:
            # Its traceback holds this frame: no circle is left to the garbage collector.
            del first

    def _clear_cancellation(self, task: asyncio.Task[Any]) -> bool:
        """Let a cancelled task wait again, and return whether it was cancelled.

        The clean-up may close what a handler has opened, such as a task group. That takes its own
        cancellations from those of the task, and waits for nothing while one of the latter stands.
        """
        was_cancelled = task.cancelling() > self._cancels
        if was_cancelled:
            record_cancelled(task)
        while task.cancelling() > self._cancels:
            task.uncancel()
        return was_cancelled

    def _steps_of_end(
        self, consumer: Any, readers: list[asyncio.Task[None]], send: Send | None
    ) -> Iterator[Callable[[], Awaitable[Any]]]:
        """Yield one step after the other, each of them if it is needed when its turn comes."""
        if self.is_drained and send is not None:
            yield partial(self._say_goodbye, consumer, send)
        if readers:
            yield partial(self._end_readers, readers)
        # Without any message there was no `connect` that a `disconnect` could answer.
        has_begun = self.from_layer is not None
        if has_begun and not (self._finished or self.has_nothing_to_finish()):
            yield self.finish_unasked
        if self._after_handler or (self._usage is not None and self._usage.pending):
            yield self._settle
        if self._layer is not None:
            yield partial(forget_channel, self._layer, consumer.channel_name)

    async def _end_readers(self, readers: list[asyncio.Task[None]]) -> None:
        assert self._bound is not None  # `_end` has set it
        await wait_despite_cancellation(readers, self._bound, insist=True)

    def _failed_in_end(
        self, failure: BaseException | None, error: BaseException
    ) -> BaseException | None:
        self.report(error)
        return failure or error

    def _give_up(self, consumer: Any) -> None:
        logger.error(
            "%s did not end its clean-up within %s seconds; the rest of it is given up",
            type(consumer).__name__,
            self.options["cleanup_timeout"],
        )

    # Errors

    def report(self, error: BaseException) -> None:
        """Report an exception that no handler caught, through the hook `report_exception`."""
        message, self._message = self._message, None
        if isinstance(error, _ANSWERED_OUTSIDE) or was_answered(error):
            return
        if isinstance(error, Exception):
            consumer = self.consumer
            mark_as_logged(error)
            explain_missing_key(error, getattr(consumer, "scope", {}))
            explain_missing_layer(error, consumer)
            try:
                find_hook(consumer, "report_exception")(error, message)
            except Exception:
                logger.exception("%s.report_exception failed", type(consumer).__name__)

    def log(self, error: Exception, message: Message | None) -> None:
        """Log an exception of a handler with its place."""
        consumer = self.consumer
        channel = getattr(consumer, "channel_name", None)
        log_failure(type(consumer), consumer.scope, channel, message, error)


@coroutine
def _give_way() -> Generator[None, None, None]:
    """Let the event loop run what is ready; for less than `asyncio.sleep(0)`."""
    yield
