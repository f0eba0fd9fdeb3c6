"""The companion of a consumer, which serves its connection; for authors of consumer classes.

A consumer belongs to the program. Channels keeps its own data in the consumer's companion, a
`Connection`, under the one reserved name `consumer._channels_connection`; programs have a method
`_channels()`, for example. A connection of any protocol goes through these steps:

1. `serve` opens the channel layer, and a mailbox for the messages of the server and the layer. If
   the protocol answers first, it begins to handle the first message itself, and the mailbox is made
   when it is first used: most HTTP requests end before that, and skip step 2 and all of step 3 that
   has nothing to do.
2. One task takes one message after the other out of the mailbox and gives it to
   `consumer.dispatch`. Without a channel layer, and for a protocol that answers at once, this is
   the server's own task. Otherwise the server's task reads from the server, and a second task
   handles.
3. The connection ends: the client leaves, a handler raises, the server cancels its task or stops,
   or the channel layer fails. Then `_end` runs, always in the task of the handlers: it leaves the
   groups, calls `disconnect` once, calls the functions that middleware has registered, and has the
   layer forget the channel. The option `cleanup_timeout` bounds all of that.
4. `serve` raises the first exception. All exceptions are reported by `report_exception`.

For a new protocol, write a subclass that overrides the methods under "The protocol's part".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from threading import Lock
from time import monotonic
from types import coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn
from weakref import ref

from channels_core._asgiref import get_outer_executor, restore_outer_executor
from channels_core._cancellation import Bound, wait_despite_cancellation
from channels_core._connection.groups import ConnectionGroups
from channels_core._connection.mailbox import SEND_WITHIN, Mailbox
from channels_core._consumer_classes import (
    ENDINGS,
    STOP,
    ConsumerClass,
    class_of,
    direct,
    find_direct,
    find_hook,
    framework,
    is_overridden,
    is_readable,
    new_hook,
    readable,
)
from channels_core._database_usage import DatabaseUsage
from channels_core._eager import Rest, begin
from channels_core._layers.optional_methods import forget_channel, name_at_once, names_at_once
from channels_core._layers.outages import (
    is_outage,
    mark_as_answered,
    mark_to_refuse,
    ongoing,
    was_answered,
)
from channels_core._logging import collect_records, records_handled
from channels_core._scope import AFTER_HANDLER, AfterHandler, answers_failures
from channels_core._server import with_server
from channels_core._shutdown.draining import draining
from channels_core._shutdown.open_connections import (
    connections_here,
    record_cancelled,
    serving_begins,
    serving_ends,
)
from channels_core.exceptions import (
    InvalidFrame,
    MessagesMissed,
    RouteNotFound,
    StopConsumer,
)
from channels_core.layers import get_channel_layer
from channels_core.signals import consumer_finished, consumer_started
from channels_core.typing import AnyScope, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from channels_core._connection.threads import HandlerThread

__all__ = [
    "STOP",
    "Connection",
    "ConsumerClass",
    "Rest",
    "begin",
    "class_of",
    "direct",
    "find_hook",
    "framework",
    "is_overridden",
    "new_hook",
    "readable",
]

logger: Final = logging.getLogger("django.channels.consumer")
drain_logger: Final = logging.getLogger("django.channels.drain")

# While messages are always ready, no `await` between them lets other tasks run. So the connection
# gives way after each message if another task is ready. If none is, it gives way after this many
# messages or seconds, since the event loop must also look at its sockets.
_BURST_MESSAGES: Final = 64
_BURST_SECONDS: Final = 0.001

_RESTART: Final = 1012  # IANA, "WebSocket Close Code Number Registry": service restart
_GOODBYE: Final = "Service restart"
#: Seconds to send the goodbye: the client may have vanished, and sending may block.
_GOODBYE_WITHIN: Final = 2
_MISSING: Final = object()
# Threads that a handler has started may read the channel's name at the same time.
_naming: Final = Lock()
#: Seconds that each remaining step of the end has when `cleanup_timeout` is used up.
_AT_LEAST: Final = 1.0


class Connection:
    """The companion of one consumer.

    Attributes:
        beginner: The consumer, from its call until `serve` begins: the caller may have no other
            reference to it. None afterwards.
        find_layer: Returns the channel layer of an alias.
        from_layer: Whether the latest message came from the channel layer; None before the first
            message.
        is_drained: Whether the connection ends because the server stops, or the layer has failed.
        is_ending: Whether the clean-up has begun.
        options: The options of the consumer's class.
        known: The facts about the consumer's class.
        by_type: Its handlers by the type of the message; see `ConsumerClass.by_type`.
        groups: The groups that the connection is in.
        loop: The event loop that serves it; None for a consumer without a server, as in a unit
            test.
        threads: Runs the handlers of a consumer with ordinary methods; None for a consumer with
            coroutine methods.
    """

    #: Frames that may be read before they are handled.
    frames_ahead: ClassVar[int] = 16
    #: Whether most connections end in the handler of their first message. If so, that handler runs
    #: in the server's task, and the connection listens to its layer only after it has returned.
    answers_first: ClassVar[bool] = False
    #: Whether the consumer has a method `disconnect`.
    has_disconnect: ClassVar[bool] = False
    #: Keeps what is known of the server in the scope. Here, since a consumer's module loads neither
    #: this one nor those below it.
    with_server: ClassVar[staticmethod[[AnyScope, Any], Any]] = staticmethod(with_server)

    __slots__ = (
        "_after_handler",
        "_asking",
        "_bound",
        "_cancels",
        "_cleared",
        "_consumer",
        "_disconnect_called",
        "_finished",
        "_handling",
        "_is_cut",
        "_is_unnamed",
        "_layer",
        "_mailbox",
        "_message",
        "_outer_executor",
        "_receive",
        "_task",
        "_usage",
        "beginner",
        "by_type",
        "find_layer",
        "from_layer",
        "groups",
        "is_drained",
        "is_ending",
        "known",
        "loop",
        "options",
        "threads",
    )

    def __init__(self, consumer: Any, known: ConsumerClass) -> None:
        """Begin without a server; `serve` connects one.

        Args:
            consumer: The consumer.
            known: The facts about its class.
        """
        # Weak, since the consumer holds this object: no circle is left to the garbage collector.
        self._consumer = ref(consumer)
        self.beginner: Any = None
        self.known: ConsumerClass = known
        self.options: dict[str, Any] = known.options
        self.by_type: dict[str, tuple[str, bool, Any]] = known.by_type
        self.threads: HandlerThread | None = None
        if known.runs_in_threads:
            # Loaded with the first such consumer: many programs have none.
            from channels_core._connection import threads

            self.threads = threads.HandlerThread()
        self.groups: ConnectionGroups = ConnectionGroups()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._mailbox: Mailbox | None = None
        # ASGI receive, for a mailbox that is made when it is first used; None for all others.
        self._receive: Receive | None = None
        # The task that waits for the first message before there is a mailbox.
        self._asking: asyncio.Task[Any] | None = None
        # What is to be awaited for that message, or `STOP`; None if nothing is.
        self._handling: Any = None
        self.find_layer: Callable[[str], Any] = get_channel_layer
        self.from_layer: bool | None = None
        self.is_drained: bool = False
        self.is_ending: bool = False
        # The channel layer in which the connection has a channel; None without one.
        self._layer: Any = None
        # Whether that channel is made only when the consumer uses its name.
        self._is_unnamed = False
        # The message that is handled now, for the report of an exception.
        self._message: Message | None = None
        # The functions of middleware to call after each handler.
        self._after_handler: tuple[AfterHandler, ...] = ()
        # The database connections that the handlers open; None before `serve`.
        self._usage: DatabaseUsage | None = None
        # The time limit of the clean-up; None before it.
        self._bound: Bound | None = None
        self._disconnect_called = False
        # Whether `finish` has done all of its steps.
        self._finished = not self.has_disconnect
        # The task of the handlers, while they run.
        self._task: asyncio.Task[Any] | None = None
        # Whether `cut` has cancelled that task.
        self._is_cut = False
        # How often that task was cancelled before the connection began.
        self._cancels = 0
        # How many cancellations the clean-up has taken back; `serve` makes them again.
        self._cleared = 0

    @property
    def consumer(self) -> Any:
        """The consumer."""
        return self._consumer()

    @property
    def mailbox(self) -> Mailbox | None:
        """The messages that wait to be handled; None before `serve`."""
        if self._mailbox is None and self._receive is not None:
            # Only now, since most HTTP requests end without one.
            self._mailbox = Mailbox(self._receive, self.frames_ahead, self.loop)
            self._mailbox.asking = self._asking
        return self._mailbox

    # The protocol's part, which a subclass overrides

    def begin(self, scope: Scope) -> None:
        """Prepare for the first message."""

    def watch_send(self, send: Send) -> Send:
        """Return a function that sends to the server; a subclass may have it watch the messages."""
        return send

    def client_left(self, message: Message) -> None:
        """Record that the server has reported the end, just before its message is handled."""

    async def settle_failure(self, error: Exception, message: Message) -> bool:
        """Handle a handler's exception that the client has caused, by a bad frame for example.

        Returns:
            True if the connection goes on. If False, it ends with the error.
        """
        return False

    def disconnect_arguments(self) -> tuple[Any, ...]:
        """Record that the connection has ended, and return the arguments of `disconnect`."""
        return ()

    def may_say_goodbye(self, code: int, reason: str) -> bool:
        """Return whether a close may be sent, and record it as sent if so."""
        return True

    def handles_end(self, message: Message) -> bool:
        """Return whether the message ends the connection without a handler of the program."""
        return False

    def has_nothing_to_finish(self) -> bool:
        """Return whether `finish` would do nothing."""
        return False

    def is_beginning(self) -> bool:
        """Return whether the handshake, or what comes before a request's handler, is not done.

        While the channel layer is away, the next handshakes of a consumer class for which it fails
        then are refused at once.
        """
        if self.from_layer is None:
            return True
        # While the groups of its class are joined, or at the end.
        ends = self.is_ending or (self._message or {}).get("type") in ENDINGS
        return self._disconnect_called and not ends

    def is_answered(self) -> bool:
        """Return whether nobody waits for a first answer, so that an outage is not answered by 503.

        If it is not known, the outermost router finds out whether anything was sent.
        """
        return False

    def ends_with_goodbye(self) -> bool:
        """Return whether an outage of the layer ends the connection as a server's stop does."""
        return False

    async def finish(self) -> None:
        """Leave the groups and call `disconnect` once.

        A second call continues a first one that was interrupted.
        """
        consumer = self.consumer
        arguments = self.disconnect_arguments()
        errors: list[Exception] = []
        if names := self.groups.to_leave(consumer):
            rest = self._begin_step(self.groups.leave_all, consumer, names, errors)
            if rest is not None:
                await rest
        if not self._disconnect_called:
            self._disconnect_called = True
            try:
                if self.threads is not None and self.is_ending:
                    await self._protect(self.call, consumer.disconnect, *arguments)
                elif self.threads is not None:
                    await self.call(consumer.disconnect, *arguments)
                else:
                    await consumer.disconnect(*arguments)
            except StopConsumer:
                pass
            except Exception as error:  # noqa: BLE001 - all of the clean-up runs
                errors.append(error)
            # The groups that `disconnect` itself has joined.
            if names := self.groups.to_leave(consumer):
                await self._insist(None, self.groups.leave_all, consumer, names, errors)
        self._finished = True
        if errors:
            self.raise_first(errors)

    async def finish_unasked(self) -> None:
        """Finish a connection that has ended without a message of the server about it."""
        await self.finish()

    def ended(self, failure: BaseException | None) -> BaseException | None:
        """Record that the clean-up is done, and return the exception that `serve` raises, or None.

        Args:
            failure: The exception that it would raise otherwise.
        """
        return failure

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
        """Yield the names in the consumer's `groups`, for the caller to join before `connect`.

        If a group cannot be joined, `disconnect` is not called, since `connect` was not called.
        """
        self._disconnect_called = True
        yield from self.groups.declare(consumer)
        # All are joined: `connect` is called next.
        self._disconnect_called = False

    def raise_first(self, errors: list[Exception]) -> None:
        """Raise the first of some errors, if any, and report the others."""
        for error in errors[1:]:
            self.report(error)
        if errors:
            raise errors[0]

    def stop(self, failure: BaseException) -> None:
        """End with an exception, after the handler that runs now."""
        if (mailbox := self.mailbox) is not None:
            mailbox.stop(failure)

    def stop_later(self, seconds: float, failure: BaseException) -> None:
        """Call `stop` after some seconds; from any thread."""
        loop = self.loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(loop.call_later, seconds, partial(self.stop, failure))

    def cut(self) -> None:
        """Cancel the handler that runs now, and end."""
        self.stop(StopConsumer())
        # Only a handler is cancelled: the clean-up has a time limit of its own.
        handles = self._message is not None and not self.is_ending
        if handles and self._task is not None and not self._is_cut:
            self._is_cut = True
            self._task.cancel()

    def end_hanging_send(self) -> None:
        """End the handler if it waits for the server's `send`, though the client has left."""
        task, loop = self._task, self.loop
        if task is None or loop is None or self.is_ending:
            return
        # Loaded for a handler that runs for long after the end.
        from channels_core._connection.hanging_sends import waits_for_send

        if not waits_for_send(task):
            loop.call_later(SEND_WITHIN, self.end_hanging_send)
            return
        kind = type(self.consumer).__name__
        text = "The server's send has not returned within %s s after the client left; %s is ended"
        logger.warning(text, SEND_WITHIN, kind)
        assert self._mailbox is not None  # it has called this
        for message in self._mailbox.frames:
            if message.get("type") in ENDINGS:
                self.client_left(message)
        self.cut()

    # Serving

    async def serve(  # noqa: C901 - no coroutine for a step that has nothing to do
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve a connection to its end.

        Raises:
            Exception: The first exception of a handler, of the layer, or of sending, after the
                clean-up.
        """
        records = collect_records()
        consumer = self._consumer()
        self.beginner = None
        loop = self.loop = asyncio.get_running_loop()
        is_client = scope.get("type") in ("websocket", "http")
        if self.answers_first and is_client:
            self._mailbox, self._receive = None, receive
        else:
            # Nothing is read ahead for a worker's consumer: the worker counts a message that it has
            # handed over as being handled.
            self._mailbox = Mailbox(receive, self.frames_ahead if is_client else 0, loop)
        self._reset(scope)
        failure: BaseException | None = None
        served = self if is_client else None
        current = asyncio.current_task(loop)
        assert current is not None  # a coroutine of asyncio is running
        task = serving_begins(served, loop, current)
        usage = self._usage = DatabaseUsage()
        # Not as a context manager, since Python would keep its `__exit__`, of 64 bytes.
        usage.begin()
        try:
            try:
                if consumer_started.receivers:
                    await consumer_started.asend_robust(type(consumer), environ=scope)
                opening = self._open(consumer, scope, receive, send)
                if opening is not None:
                    await opening
                    opening = None  # an idle connection does not keep the coroutine
                if draining.begun and is_client:
                    await self._come_late(scope, receive, send)
                if not self.answers_first:
                    self._listen(consumer)
                elif self._mailbox is None:
                    # Most connections end in the handler of the first message. So they do without
                    # what only further messages need: a fifth of an HTTP request.
                    self._asking = current
                    self._cancels = current.cancelling()
                    try:
                        message = await receive()
                    except BaseException as error:
                        if not self._ends_asking(error):
                            raise
                    else:
                        self._asking = None
                        self._begin_first(consumer, message)
                        del message  # not kept while the connection lives on
            except BaseException as error:  # noqa: BLE001 - raised below, after the clean-up
                failure = self._failed(error)
            if failure is not None:
                failure = await self._end(consumer, send, failure)
            elif self._handling is STOP and self._has_nothing_to_end():
                self.is_ending = True
                self._message = self._handling = None
            elif self._layer is None or self.answers_first:
                failure = await self._live(consumer, send, current)
            else:
                # The handlers run in a second task, and this one reads from the server. Here, since
                # a coroutine would take 0.3 KiB of each idle connection.
                mailbox = self._mailbox
                assert mailbox is not None  # made above
                handlers, context = self._handle_beside(consumer, mailbox, send, loop)
                cancelled: asyncio.CancelledError | None = None
                cancels = 0
                while not (handlers.done() or (cancelled is not None and self._is_overdue())):
                    try:
                        if cancelled is None:
                            await mailbox.read_server(self)
                        if not handlers.done():
                            seconds = None if cancelled is None else _AT_LEAST
                            await asyncio.wait([handlers], timeout=seconds)
                    except asyncio.CancelledError as error:
                        cancelled = error
                        # Not if it was cancelled already: `asyncio.run` cancels all tasks at its
                        # end.
                        if not self.is_ending and handlers.cancelling() == cancels:
                            cancels += 1
                            handlers.cancel()
                failure = self._outcome(consumer, handlers, context, cancelled)
                cancelled = None  # its traceback holds this frame
                # Before its first step, so that it has not cleaned up.
                if handlers.cancelled():  # pragma: no cover - Python 3.11: after a throw()
                    assert failure is not None  # a cancellation
                    failure = await self._end(consumer, send, failure)
            failure = self.ended(failure)
            if records.last is not None:
                await records_handled()
            if consumer_finished.receivers:
                await consumer_finished.asend_robust(type(consumer), environ=scope)
        finally:
            usage.end()
            serving_ends(served, task)
        # Make the cancellations again that the clean-up has taken back, for those around us.
        for _ in range(self._cleared):
            await _count_cancellation()
        if failure is not None:
            try:
                raise failure
            finally:
                # The exception's traceback holds this frame: leave no circle to the garbage
                # collector.
                del failure

    def _reset(self, scope: Scope) -> None:
        """Set what is known before the first message; a test may call a consumer more than once."""
        self._after_handler = scope.get(AFTER_HANDLER, ())
        self._outer_executor = get_outer_executor()
        if self.threads is not None:
            self.threads.outer_executor = self._outer_executor
        self.is_ending = self._is_cut = False
        self._bound = self._message = None
        self._cleared = 0

    def _open(
        self, consumer: Any, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None] | None:
        """Set the consumer's attributes for sending and for the layer, and make its channel.

        Returns:
            What makes the channel, if that may wait.
        """
        watched = self.watch_send(send)
        consumer.base_send = watched if self.threads is None else self._send_in_loop(watched)
        self.begin(scope)
        alias = consumer.channel_layer_alias
        if alias is None:
            return None
        layer = consumer.channel_layer = self.find_layer(alias)
        if layer is None:
            return None
        if ongoing and not self._may_try(layer):
            return self._refuse_for_now(scope, receive, send)
        if self.answers_first and self._may_name_later(consumer, layer):
            self._is_unnamed = True
            self._layer = layer
            return None
        return self._open_channel(consumer, layer)

    async def _refuse_for_now(self, scope: Scope, receive: Receive, send: Send) -> NoReturn:
        from channels_core.refusal import refuse_for_now  # few are refused

        await refuse_for_now(scope, receive, send)
        raise StopConsumer

    async def _open_channel(self, consumer: Any, layer: Any) -> None:
        self._name(consumer, layer, await layer.new_channel())
        self._layer = layer

    def _is_served(self) -> bool:
        """Return whether a server gets an answer of ours to an outage, and no test an exception."""
        from channels_core.headers import may_add_headers  # most connections do not fail

        return answers_failures.get() and may_add_headers(getattr(self.consumer, "scope", {}))

    def _may_try(self, layer: Any) -> bool:
        """Return whether the handshake may ask a layer; False shortly after others have failed."""
        from channels_core._layers.ongoing_outages import may_try  # loaded with the first failure

        return not self._is_served() or may_try(layer, self.consumer)

    def meets_outage(self, error: Exception) -> bool:
        """Record an outage of the channel layer, if an exception is one of a call of the layer.

        Returns:
            Whether it is one, and the client is told without an exception: the connection came
            from a server, through a `ProtocolTypeRouter`. Nobody has to log the exception then.
        """
        consumer = self.consumer
        layer = getattr(consumer, "channel_layer", None)
        if layer is None or not self._is_served():
            return False
        # Loaded with the first error.
        from channels_core._layers.ongoing_outages import came_from_layer, record_failure

        received = self._mailbox is not None and self._mailbox.layer_error is error
        if received:
            if not is_outage(layer, error):
                return False
        elif not came_from_layer(layer, error, consumer):
            return False
        begins = received or self.is_beginning()
        record_failure(layer, error, type(consumer) if begins else None, connected=received)
        mark_as_answered(error)
        if not self.is_answered():
            mark_to_refuse(error)
        return True

    def _may_name_later(self, consumer: Any, layer: Any) -> bool:
        """Return whether the channel can be made when the consumer first uses its name."""
        if not (is_readable(type(consumer), "channel_name") and names_at_once(layer)):
            return False
        own = vars(consumer)
        if "channel_name" in own:  # of an earlier call
            own.pop("channel_name")
            own.pop("channel_receive", None)
        return True

    def _name(self, consumer: Any, layer: Any, name: str) -> None:
        """Set the consumer's attributes for its channel."""
        self._is_unnamed = False
        consumer.channel_name = name
        if self.answers_first or not is_readable(type(consumer), "channel_receive"):
            consumer.channel_receive = partial(layer.receive, name)

    def channel_receive(self) -> Receive:
        """Return a function that receives from the channel; few programs ever use it.

        Raises:
            AttributeError: There is no layer, or the consumer is not served.
        """
        consumer = self.consumer
        if self._layer is None:
            raise _no_attribute(consumer, "channel_receive")
        return partial(self._layer.receive, consumer.channel_name)

    def make_channel(self, attribute: str) -> Any:
        """Make the channel of a protocol that answers at once, since the consumer uses it now.

        Args:
            attribute: The consumer's attribute that is read, such as `channel_name`.

        Returns:
            The value of this attribute.

        Raises:
            AttributeError: There is no layer, or the consumer is not served.
        """
        consumer = self.consumer
        with _naming:
            if self._is_unnamed:
                self._name(consumer, self._layer, name_at_once(self._layer))
        own = vars(consumer)
        if attribute not in own:
            raise _no_attribute(consumer, attribute)
        return own[attribute]

    async def _come_late(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a handshake while the server stops; an HTTP request is answered.

        A long response, such as a stream of events, reads `is_drained` and ends at once.
        """
        if scope["type"] == "websocket":
            from channels_core.refusal import refuse

            await refuse(scope, receive, send, 503, body=_GOODBYE, code=_RESTART)
            raise StopConsumer
        self.is_drained = True

    def _send_in_loop(self, send: Send) -> Callable[[Message], Any]:
        """Return an ordinary function that sends to the server, from any thread."""
        assert self.loop is not None  # `serve` has set it
        return partial(self.in_loop, _transmit, send)

    def _handle_beside(
        self, consumer: Any, mailbox: Mailbox, send: Send, loop: asyncio.AbstractEventLoop
    ) -> tuple[asyncio.Task[BaseException | None], Context]:
        """Begin the task of the handlers, beside the one that reads from the server.

        If the server cancels its task, `serve` cancels the task of the handlers once, and waits
        until its clean-up has ended. More cancellations do not interrupt the clean-up.

        Returns:
            The task and its context.
        """
        mailbox.is_read = True  # already here, for an event loop that starts tasks at once
        context = copy_context()
        task = loop.create_task(
            self._live(consumer, send, None), name=type(consumer).__name__, context=context
        )
        # For a task that is cancelled before its first step: `_live` removes it.
        task.add_done_callback(mailbox.end_reading, context=context)
        return task, context

    def _outcome(
        self,
        consumer: Any,
        task: asyncio.Task[BaseException | None],
        context: Context,
        cancelled: asyncio.CancelledError | None,
    ) -> BaseException | None:
        """Return the exception to raise after the task of the handlers.

        Args:
            consumer: The consumer.
            task: That task; it goes on if it ignores the time limit of its clean-up.
            context: Its context.
            cancelled: The server's cancellation of this task; None if there was none.
        """
        self._cleared = 0  # that was the other task
        if not task.done():
            self._give_up(consumer)
            return cancelled
        _adopt(context)
        if task.cancelled():
            return cancelled or asyncio.CancelledError()
        failure = task.result()
        if cancelled is not None and isinstance(failure, asyncio.CancelledError | None):
            return cancelled
        return failure

    def _is_overdue(self) -> bool:
        """Return whether the clean-up ignores its time limit, and is not worth waiting for."""
        return self.is_ending and self._bound is not None and self._bound.left < -3 * _AT_LEAST

    def _ends_asking(self, error: BaseException) -> bool:
        """Return whether the wait for the first message was only interrupted, as by `stop`."""
        self._asking = None
        # What interrupts has made a mailbox.
        mailbox = self._mailbox
        return mailbox is not None and mailbox.ends_interruption(error, self._cancels)

    def _begin_first(self, consumer: Any, message: Message) -> None:
        """Begin to handle the first message, unless its handler must be called by `dispatch`."""
        if self._mailbox is not None:
            # It was made during the wait for the message.
            self._mailbox.end_asking()
        call_handler = find_direct(type(consumer).dispatch)
        is_end = message.get("type") in ENDINGS
        if call_handler is None or is_end or "dispatch" in vars(consumer):
            mailbox = self.mailbox
            assert mailbox is not None  # `serve` has begun
            mailbox.frames.append(message)
            return
        self._message = message
        self.from_layer = False
        try:
            self._handling = call_handler(consumer, message)
        except Exception as error:  # noqa: BLE001 - raised by `_live`
            self._handling = _raise(error)

    def _listen(self, consumer: Any) -> None:
        """Let the messages of the consumer's channel into the mailbox."""
        if self._layer is not None:
            mailbox = self.mailbox
            assert mailbox is not None  # `serve` has begun
            mailbox.listen_to(self._layer, consumer.channel_name, consumer)

    async def _live(  # noqa: C901 - a coroutine more would cost each wait of a handler 0.05 us
        self, consumer: Any, send: Send, task: asyncio.Task[Any] | None
    ) -> BaseException | None:
        """Handle the messages of the connection, clean up, and return the exception to raise.

        Args:
            consumer: The consumer.
            send: ASGI send.
            task: The present task; None in that of `_handle_beside`.
        """
        if task is None:
            task = asyncio.current_task(self.loop)
            assert task is not None  # a coroutine of asyncio is running
            assert self._mailbox is not None  # `serve` has made it for the task that reads
            # It has begun, so it calls that itself. Kept, it would take 64 bytes while it waits.
            task.remove_done_callback(self._mailbox.end_reading)
        self._task = task
        cancels = self._cancels = task.cancelling()
        listens = not self.answers_first
        failure: BaseException
        try:
            if (message := self._message) is not None:
                # `serve` has begun to handle the first one.
                handling, self._handling = self._handling, None
                try:
                    if handling is not None:
                        await handling
                except StopConsumer:
                    raise
                except Exception as error:
                    if not await self.settle_failure(error, message):
                        raise
                if (work := self._settle()) is not None:
                    await work
                # Neither is kept until the next message comes.
                self._message = message = handling = None
                listens = True
                self._listen(consumer)
            await self._handle_messages(consumer, listens)
        except BaseException as error:  # noqa: BLE001 - returned, after the clean-up
            # `cut` has cancelled the handler: the connection ends in order. But if somebody else
            # has cancelled this task as well, `uncancel` leaves a cancellation to raise.
            is_cut = self._is_cut and isinstance(error, asyncio.CancelledError)
            if is_cut and task.uncancel() <= cancels:
                failure = StopConsumer()
            else:
                failure = self._failed(error)
        try:
            return await self._end(consumer, send, failure)
        finally:
            self._task = None
            if (mailbox := self._mailbox) is not None:
                # Not only when this task is done: that would cost one more turn of the event loop.
                mailbox.end_reading()
            del failure

    def _has_nothing_to_end(self) -> bool:
        """Return whether `_end` would do nothing after a handler that has not waited."""
        return not (
            self._mailbox is not None
            or self.is_drained
            or (self._layer is not None and not self._is_unnamed)
            or self._after_handler
            or (self._usage is not None and (self._usage.opened or self._usage.kept))
            or not (self._finished or self.has_nothing_to_finish())
        )

    def _failed(self, error: BaseException) -> BaseException:
        """Report an error; if it is an outage of the layer, end the layer's other connections."""
        if isinstance(error, StopConsumer):
            return error
        is_outage_met = self.report(error)
        mailbox = self._mailbox
        failed = mailbox is not None and mailbox.layer_error is error and not self.is_drained
        if failed and is_outage(self._layer, error):
            # Only some connections see an outage, and a connection cannot know which messages and
            # groups are lost. So all clients have to connect again, and join their groups again.
            for other in connections_here():
                if other is not self and other.uses_layer(self._layer):
                    other.drain()
        if is_outage_met and self.ends_with_goodbye():
            self.is_drained = True
            return StopConsumer()
        return error

    def uses_layer(self, layer: object) -> bool:
        """Return whether the connection receives from a channel layer."""
        return self._layer is layer

    async def _handle_messages(  # noqa: C901 - the price of no call for each message
        self, consumer: Any, listens: bool
    ) -> NoReturn:
        """Handle one message after the other until the mailbox or a handler raises.

        Args:
            consumer: The consumer.
            listens: Whether the mailbox gets the messages of the layer already.
        """
        usage, task, mailbox = self._usage, self._task, self.mailbox
        assert usage is not None  # `serve` has made it
        assert mailbox is not None  # likewise
        assert task is not None  # `_live` has set it
        frames = mailbox.frames
        kind, own = type(consumer), vars(consumer)
        # What calls a handler for `dispatch`, unless the program has overridden that.
        dispatch = call_handler = None
        # asyncio's list of callbacks to run next: empty if no other task is ready. uvloop does not
        # have it, and there the loop gives way after each message.
        ready = getattr(self.loop, "_ready", None)
        # The number of messages that were handled since other tasks last ran, and the time when
        # the first of them was done.
        messages = 0
        since = 0.0
        message: Message | None = None
        while True:
            # All that waits for a message stands here: a coroutine more would take 0.15 us for each
            # message, and 0.2 KiB for each idle connection.
            try:
                while True:
                    if not mailbox.is_quiet:
                        if frames or mailbox.layer_waits or mailbox.failure is not None:
                            message = mailbox.take()
                            if message is not None:
                                break
                        if (waiter := mailbox.wait()) is not None:
                            await waiter
                            continue
                    # Nothing else can wake this task, so it asks the server itself.
                    mailbox.asking = task
                    cancels = task.cancelling()
                    try:
                        message = await mailbox.receive()
                    except BaseException as error:
                        if mailbox.ends_interruption(error, cancels):
                            continue
                        raise
                    if mailbox.was_interrupted:
                        # Python 3.11 traces no line after a throw().
                        mailbox.forget_interruption()  # pragma: no cover - after a throw()
                    mailbox.asking = None
                    mailbox.from_layer = False
                    break
            except MessagesMissed as error:
                await self._catch_up(consumer, mailbox, error)
                continue
            self._message = message
            self.from_layer = from_layer = mailbox.from_layer
            if not from_layer and message.get("type") in ENDINGS:
                # The handler of this message is part of the clean-up, so it has its time limit.
                self.client_left(message)
                self._bound = Bound(self.options["cleanup_timeout"])
                # As `Bound.run`, without its coroutine.
                if (rest := begin(consumer.dispatch(message))) is not None:
                    await self._bound.run_rest(rest)
            else:
                try:
                    # Looked up again: a test may have replaced it.
                    if kind.dispatch is not dispatch:
                        dispatch = kind.dispatch
                        call_handler = find_direct(dispatch)
                    if call_handler is None or "dispatch" in own:
                        await consumer.dispatch(message)
                    else:
                        handling = call_handler(consumer, message)
                        if handling is not None:
                            await handling
                except StopConsumer:
                    raise  # most requests end so
                except Exception as error:
                    # Only now: the program's handlers may catch the exception themselves.
                    if not await self.settle_failure(error, message):
                        raise
            # As `usage.pending`, without its call for each message.
            is_due = self._after_handler or usage.opened or usage.kept
            if is_due and (settling := self._settle()) is not None:
                await settling
            # Neither is kept until the next message comes.
            self._message = message = handling = None
            if not listens:
                # The first handler of a protocol that answers at once has returned, and the
                # connection goes on.
                listens = True
                self._listen(consumer)
            # Without a reader, nobody knows whether the server has a message. A frame is seen
            # without a call.
            try:
                if mailbox.is_read and not (frames or mailbox.has_message()):
                    messages = 0  # the wait for the next message lets other tasks run
                    continue
            except MessagesMissed as error:
                await self._catch_up(consumer, mailbox, error)
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

    async def _catch_up(self, consumer: Any, mailbox: Mailbox, error: MessagesMissed) -> None:
        """Fetch the messages that were missed, or say which groups have missed some."""
        mailbox.layer_error = None
        if self.from_layer is None:
            return  # nothing was handled yet, so that nobody knows of the channel
        self.from_layer = True
        groups = self.groups
        if groups.positions is None or not groups.positions.caused(error):
            for name in groups.not_followed(consumer):
                await self._tell_missed(name)
            if groups.positions is not None:
                groups.positions.fall_behind()
        if groups.positions is not None and not self.is_drained:
            await groups.positions.catch_up(self._layer, self._tell_missed)
        await self._settle_rest(None, self._after_handler)
        await _give_way()

    async def _tell_missed(self, group: str | None) -> bool:
        """Call the hook `missed`, and return whether the connection goes on."""
        await self.call(find_hook(self.consumer, "missed"), group)
        return not self.is_drained

    async def could_not_catch_up(self) -> None:
        """End, since messages are lost, unless a group is only being joined."""
        positions = self.groups.positions
        if positions is None or not positions.is_joining:
            self.drain()

    def _settle(self) -> Coroutine[Any, Any, None] | None:
        """Call the functions of middleware, and close old database connections.

        Returns:
            What to await; None, as a rule, if nothing has to wait.
        """
        usage = self._usage
        if usage is None or not usage.pending:
            for number, function in enumerate(self._after_handler, 1):
                if (work := function()) is not None:
                    return self._settle_rest(work, self._after_handler[number:])
            # One of them may have opened a connection.
            return self._settle_rest(None, ()) if usage is not None and usage.pending else None
        return self._settle_rest(None, self._after_handler)

    async def _settle_rest(
        self, work: Awaitable[None] | None, functions: tuple[AfterHandler, ...]
    ) -> None:
        """Wait for what a function of middleware has begun, and call the ones after it."""
        try:
            if work is not None:
                await work
            for function in functions:
                if (work := function()) is not None:
                    await work
        finally:
            if self._usage is not None and self._usage.pending:
                await self._usage.release()

    # The end

    async def _say_goodbye(self, consumer: Any, send: Send) -> None:
        """Close a WebSocket with 1012, which asks its client to connect again."""
        if consumer.scope["type"] != "websocket":
            return
        if not self.may_say_goodbye(_RESTART, _GOODBYE):
            return
        from channels_core.abort import close_with  # loaded when the server stops

        try:
            async with asyncio.timeout(_GOODBYE_WITHIN):
                if not close_with(consumer.scope, _RESTART, _GOODBYE):
                    await send({"type": "websocket.close", "code": _RESTART, "reason": _GOODBYE})
        except Exception:
            drain_logger.debug("A client could not be told to come back", exc_info=True)

    async def _end(  # noqa: C901 - no coroutine for each step
        self, consumer: Any, send: Send, failure: BaseException
    ) -> BaseException | None:
        """Do all steps of the clean-up, even if some of them fail.

        All steps share the time limit `cleanup_timeout`. When it is used up, each step that is left
        still gets one second. A step that a cancellation interrupts is called once more, and
        continues where it was.

        Args:
            consumer: The consumer.
            send: ASGI send.
            failure: The exception that has ended the connection.

        Returns:
            The exception that `serve` raises: the first one, or None.
        """
        self.is_ending = True
        # A cancelled handler may have left asgiref's executor of an inner `async_to_sync` behind.
        restore_outer_executor(self._outer_executor)
        readers = [] if self._mailbox is None else self._mailbox.close()
        stops = isinstance(failure, StopConsumer)
        first = None if stops else failure
        del failure
        steps = self._steps_of_end(consumer, readers, send if stops else None)
        step = next(steps, None)
        if step is None:
            return first
        task = self._task or asyncio.current_task()
        assert task is not None  # a coroutine of asyncio is running
        if task.cancelling() > self._cancels:
            self._clear_cancellation(task)
        self._bound = bound = Bound(self.options["cleanup_timeout"])
        given_up = False
        while step is not None:
            for _ in range(2):
                try:
                    # As `bound.run`, without its coroutine: most steps do not wait.
                    work = step()
                    if work is not None and (rest := begin(work)) is not None:
                        await bound.run_rest(rest)
                except asyncio.CancelledError as error:
                    if self._clear_cancellation(task):
                        first = first or error
                    continue
                except TimeoutError as error:
                    if bound.left > 0:  # the program has raised it itself
                        first = self._failed_in_end(first, error)
                    elif not given_up:
                        given_up = True
                        self._give_up(consumer)
                except BaseException as error:  # noqa: BLE001 - `serve` raises it, or it is reported
                    first = self._failed_in_end(first, error)
                break
            step = next(steps, None)
            if step is not None:
                bound.at_least(_AT_LEAST)
        try:
            return first or self._cancellation()
        finally:
            # The exception's traceback holds this frame: leave no circle to the garbage collector.
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
            self._cleared += 1
        return was_cancelled

    def _cancellation(self) -> asyncio.CancelledError | None:
        """Return the server's cancellation if there was one, during a step that went on."""
        return asyncio.CancelledError() if self._cleared else None

    def _begin_step(
        self, function: Callable[..., Coroutine[Any, Any, Any] | None], *args: Any
    ) -> Coroutine[Any, Any, None] | None:
        """Begin a step of ours, and return what to await if it has to wait; see `_insist`."""
        if self._cleared:
            return self._insist(None, function, *args)
        work = function(*args)
        if work is None or (rest := begin(work)) is None:
            return None
        return self._insist(rest, function, *args)

    async def _insist(
        self,
        rest: Rest | None,
        function: Callable[..., Coroutine[Any, Any, Any] | None],
        *args: Any,
    ) -> None:
        """Run a step of ours, which may be begun again, to its end.

        Before the clean-up it is an ordinary call. A server that has cancelled this task once may
        do so again: Daphne does every second, and a cancel scope of anyio in each turn of the event
        loop. Then the step runs in a task of its own; handlers of the program never do.

        Args:
            rest: The rest of the step if it has begun; None if not.
            function: Begins the step.
            args: Its arguments.
        """
        if not self._cleared:
            try:
                if rest is None:
                    await _all_of(function, args)
                elif await rest.first_wait():  # pragma: no branch - Python 3.11: after a throw()
                    await rest
                return
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if not self.is_ending or task is None or not self._clear_cancellation(task):
                    raise
        await self._protect(_all_of, function, args)

    async def _protect(self, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
        """Run a coroutine function in a task that nobody else can cancel.

        Raises:
            TimeoutError: The time limit of the clean-up was reached.
        """
        task = asyncio.current_task()
        assert task is not None  # a coroutine of asyncio is running
        assert self._bound is not None  # `_end` has set it
        work = asyncio.create_task(function(*args))
        try:
            await wait_despite_cancellation([work], self._bound)
        except asyncio.CancelledError:
            self._clear_cancellation(task)
        if not work.done():
            work.cancel()
            raise TimeoutError
        work.result()

    def _steps_of_end(
        self, consumer: Any, readers: list[asyncio.Task[None]], send: Send | None
    ) -> Iterator[Callable[[], Awaitable[Any] | None]]:
        """Yield the steps of the clean-up; whether one is needed is decided when its turn comes."""
        if self.is_drained and send is not None:
            yield partial(self._say_goodbye, consumer, send)
        if readers:
            yield partial(self._end_readers, readers)
        # If no message was handled, `connect` was not called, and `disconnect` must not be either.
        has_begun = self.from_layer is not None
        if has_begun and not (self._finished or self.has_nothing_to_finish()):
            yield self.finish_unasked
        if self._after_handler or (self._usage is not None and self._usage.pending):
            yield partial(self._begin_step, self._settle)
        if self._layer is not None and not self._is_unnamed:
            yield partial(self._begin_step, forget_channel, self._layer, consumer.channel_name)

    async def _end_readers(self, readers: list[asyncio.Task[None]]) -> None:
        """Wait for the tasks that read from the server and the layer; they are cancelled."""
        assert self._bound is not None  # `_end` has set it
        await wait_despite_cancellation(readers, self._bound, insist=True)

    def _failed_in_end(
        self, failure: BaseException | None, error: BaseException
    ) -> BaseException | None:
        """Report an exception of the clean-up, and return the first one."""
        self.report(error)
        return failure or error

    def _give_up(self, consumer: Any) -> None:
        """Log that the clean-up took too long."""
        logger.error(
            "%s did not end its clean-up within %s seconds; the rest of it is given up",
            type(consumer).__name__,
            self.options["cleanup_timeout"],
        )

    # Errors

    def report(self, error: BaseException) -> bool:
        """Report an exception that no handler caught, through the hook `report_exception`.

        Returns:
            Whether it is an outage of the channel layer, which `meets_outage` has recorded; it is
            logged once for all connections, and not reported.
        """
        is_outage_met = isinstance(error, Exception) and self.meets_outage(error)
        message, self._message = self._message, None
        if is_outage_met:
            return True
        # Imported here: a site may do without sessions.
        from django.contrib.sessions.exceptions import SessionInterrupted

        # Errors of the client: a router or the session middleware answers them, with one line in
        # the log.
        answered_outside = (InvalidFrame, RouteNotFound, SessionInterrupted)
        if isinstance(error, answered_outside) or was_answered(error):
            return False
        if isinstance(error, Exception):
            # Imported here: an error is rare.
            from channels_core._failure_log import mark_as_logged
            from channels_core._remedies import explain

            mark_as_logged(error)
            consumer = self.consumer
            explain(error, consumer)
            try:
                find_hook(consumer, "report_exception")(error, message)
            except Exception:
                logger.exception("%s.report_exception failed", type(consumer).__name__)
        return False

    def log(self, error: Exception, message: Message | None) -> None:
        """Log an exception, with its consumer, its path or channel, and its message."""
        from channels_core._failure_log import log_failure

        consumer = self.consumer
        channel = getattr(consumer, "channel_name", None)
        log_failure(type(consumer), consumer.scope, channel, message, error)


class GroupConnection(Connection):
    """The companion of a consumer that joins groups, which is also told of its end."""

    has_disconnect: ClassVar[bool] = True

    __slots__ = ()


def _no_attribute(consumer: Any, name: str) -> AttributeError:
    fault = f"{type(consumer).__name__!r} object has no attribute {name!r}"
    return AttributeError(fault, name=name, obj=consumer)


def _adopt(context: Context) -> None:
    """Set the variables of this task as they are in the context of the handlers' task.

    Middleware around the consumer sees what its handlers have set, as without a layer.
    """
    for variable, value in context.items():
        if variable.get(_MISSING) is not value:
            variable.set(value)


async def _transmit(send: Send, message: Message) -> None:
    """Send to the server, whose `send` need not be a coroutine function itself."""
    await send(message)


async def _raise(error: Exception) -> NoReturn:
    try:
        raise error
    finally:
        del error  # its traceback holds this frame: leave no circle to the garbage collector


async def _all_of(
    function: Callable[..., Coroutine[Any, Any, Any] | None], args: tuple[Any, ...]
) -> None:
    """Run a step of the clean-up."""
    if (work := function(*args)) is not None:
        await work


async def _count_cancellation() -> None:
    """Cancel this task once more, without an effect but for those who count: `asyncio.timeout`."""
    task = asyncio.current_task()
    assert task is not None  # a coroutine of asyncio is running
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)


@coroutine
def _give_way() -> Generator[None, None, None]:
    """Let the event loop run once; as `asyncio.sleep(0)` does, at a lower cost."""
    yield
