"""Consumers: one object for one connection, with a handler method for each type of message."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import cache, partial
from inspect import isawaitable
from types import CoroutineType
from typing import Any, ClassVar, Final, Unpack

from asgiref.sync import async_to_sync
from django.contrib.sessions.exceptions import SessionInterrupted

from channels_core._asgiref import get_outer_executor, restore_outer_executor
from channels_core._dispatch import Bound, MessageLoop, Source, run_despite_cancellation
from channels_core._drained import DrainedConsumer
from channels_core._draining import draining
from channels_core._failure_log import log_failure, log_lost, mark_as_logged
from channels_core._handlers import find_handlers, get_handler_name, may_reach
from channels_core._layers.endings import forget_channel
from channels_core._layers.names import DEFAULT_CHANNEL_LAYER
from channels_core._layers.outages import was_answered
from channels_core._logging import collect_records, records_handled
from channels_core._options import find_hook, hook, refuse_unknown_hooks, take_options
from channels_core._remedies import explain_missing_key, explain_missing_layer
from channels_core._scope import AFTER_HANDLER, AfterHandler
from channels_core._serving import Serving
from channels_core._threads import ThreadCall, run_in_loop, run_in_thread
from channels_core._two_step import OfScope
from channels_core.abort import with_server
from channels_core.applications import ConsumerApplication, application_of
from channels_core.db import DatabaseUsage
from channels_core.exceptions import InvalidFrame, RouteNotFound, StopConsumer
from channels_core.layers import BaseChannelLayer, get_channel_layer
from channels_core.signals import consumer_finished, consumer_started
from channels_core.typing import (
    AnyMessage,
    AnyScope,
    ConsumerOptions,
    Message,
    Receive,
    Scope,
    Send,
)

__all__ = ["AsyncConsumer", "SyncConsumer", "get_handler_name", "hook"]

logger: Final = logging.getLogger("django.channels.consumer")

# Not the program's fault: a router or a session's middleware answers it, with one line of the log.
_ANSWERED_OUTSIDE: Final = (InvalidFrame, RouteNotFound, SessionInterrupted)
# With these a server tells of the end of a connection.
_ENDINGS: Final = ("websocket.disconnect", "http.disconnect")


class AsyncConsumer(DrainedConsumer, OfScope):
    """The base of consumers whose handlers are coroutine methods.

    One instance serves one connection. A message of type `chat.message` is handled by the method
    `chat_message`; one message at a time, in order of arrival from the client and the channel
    layer together.

    Options are keywords of the class statement: `class Chat(AsyncConsumer, cleanup_timeout=5)`.

    Options:
        cleanup_timeout: Seconds that clean-up may take when the connection ends; 10.

    Attributes:
        scope: The connection's scope.
        channel_layer: The layer of `channel_layer_alias`, or None.
        channel_name: The name under which other code reaches this consumer over the layer.
        channel_layer_alias: Alias in `CHANNEL_LAYERS`; None for a consumer without a layer.
    """

    # Private names all begin alike: programs that subclass us choose theirs freely.
    _channels_framework: ClassVar[bool] = True
    _channels_handlers: ClassVar[dict[str, bool]] = {}

    # Programs that have a `__call__` of their own ask it for the consumer's colour.
    _sync: ClassVar[bool] = False

    channel_layer_alias: ClassVar[str | None] = DEFAULT_CHANNEL_LAYER

    scope: Scope
    # Or None, but a program knows whether its settings have a layer. There is none before the call:
    # stubs know of no None in the class.
    channel_layer: BaseChannelLayer
    channel_name: str
    channel_receive: Receive
    base_send: Callable[[Message], Any]

    _channels_options: ClassVar[tuple[str, ...]] = ("cleanup_timeout",)
    _channels_cleanup_timeout: float = 10
    # None before the first message.
    _channels_from_layer: bool | None = None
    _channels_message: Message | None = None
    _channels_loop: MessageLoop | None = None
    # Whether `_channels_finish` has nothing (more) to do, as it has not in plain consumers.
    _channels_finished = True
    _channels_finish: Callable[[], Coroutine[Any, Any, None]]
    _channels_finish_unasked: Callable[[], Coroutine[Any, Any, None]]
    # How long the end of the connection may take; None before it.
    _channels_end_bound: Bound | None = None
    # Whether most connections end before they need the layer: it is read a little later then.
    _channels_answers_first: ClassVar[bool] = False
    _channels_after: tuple[AfterHandler, ...] = ()
    _channels_outer_executor: Any = None

    def __init_subclass__(cls, **options: Unpack[ConsumerOptions]) -> None:
        """Keep the options, and make the table of the new class's handlers."""
        rest = take_options(cls, options)
        try:
            super().__init_subclass__(**rest)
        except TypeError as error:
            if rest and "takes no keyword" in str(error):
                error.add_note(f"{cls.__name__} has no option {', '.join(rest)}")
            raise
        refuse_unknown_hooks(cls)
        cls._channels_handlers = find_handlers(cls)

    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> None:
        """Serve the connection until it ends.

        Scope:
            Kept as `self.scope`.

        Messages:
            Each is handed to `dispatch`, whether it comes from the server or from the layer.

        Raises:
            Exception: The first exception of a handler, of the layer, or of sending, after the
                clean-up.
        """
        collect_records()
        self.scope = scope = with_server(scope, send)
        if not hasattr(self, "channel_layer"):
            self.channel_layer = None  # type: ignore[assignment] # without a layer, as said above
        self._channels_after = scope.get(AFTER_HANDLER, ())
        self._channels_outer_executor = get_outer_executor()
        self._channels_usage = DatabaseUsage()
        failure: BaseException | None = None
        with self._channels_usage, Serving(self if self._channels_is_connection() else None):
            try:
                if consumer_started.receivers:
                    await consumer_started.asend_robust(type(self), environ=scope)
                await self._channels_serve(receive, send)
            except StopConsumer:
                if self._channels_drained:
                    await self._channels_say_goodbye(send)
            except BaseException as error:  # noqa: BLE001 - raised below, after the clean-up
                failure = error
                self._channels_report(error)
                if isinstance(error, Exception):
                    self._channels_end_together(error)
            try:
                await self._channels_clean_up()
            except BaseException as error:  # noqa: BLE001 - raised below, if it is the first
                failure = failure or error
            await records_handled()
            if consumer_finished.receivers:
                await consumer_finished.asend_robust(type(self), environ=scope)
        if failure is not None:
            try:
                raise failure
            finally:
                # Its traceback holds this frame: no circle is left to the garbage collector.
                del failure

    async def _channels_serve(self, receive: Receive, send: Send) -> None:
        self.base_send = self._channels_make_base_send(self._channels_watch(send))
        sources: list[Source] = [(receive, self._channels_handle_client)]
        if self.channel_layer_alias is not None:
            layer = self.channel_layer = get_channel_layer(self.channel_layer_alias)  # type: ignore[assignment] # or None
            if layer is not None:
                self.channel_name = await layer.new_channel()
                self.channel_receive = partial(layer.receive, self.channel_name)
                # Of the class: a mock of a layer has any method.
                ask = getattr(type(layer), "has_messages", None)
                has_messages = None if ask is None else partial(ask, layer, self.channel_name)
                sources.append((self.channel_receive, self._channels_handle_layer, has_messages))
        loop = self._channels_loop = MessageLoop(*sources, late=self._channels_answers_first)
        if draining.begun and self._channels_is_connection():
            await self._channels_come_late(receive, send)
        await loop.run(self._channels_cleanup_timeout)

    def _channels_watch(self, send: Send) -> Send:
        """Return what sends, perhaps with a look at what is sent."""
        return send

    def _channels_make_base_send(self, send: Send) -> Callable[[Message], Any]:
        """Return what sends in the consumer's own colour: here a coroutine function."""
        return send

    async def _channels_handle_client(self, message: Message) -> None:
        self._channels_from_layer = False
        self._channels_message = message
        if message.get("type") in _ENDINGS:
            # The handler for the end of a connection is its clean-up, and bounded as such.
            self._channels_peer_left(message)
            self._channels_end_bound = Bound(self._channels_cleanup_timeout)
            await self._channels_end_bound.run(self.dispatch(message))
        else:
            try:
                await self.dispatch(message)
            except Exception as error:
                # Here, where it has left the program's handlers: they may catch it themselves.
                if not await self._channels_settle_failure(error, message):
                    raise
        if self._channels_after or self._channels_usage.pending:
            await self._channels_settle()
        self._channels_message = None

    async def _channels_handle_layer(self, message: Message) -> None:
        self._channels_from_layer = True
        self._channels_message = message
        try:
            await self.dispatch(message)
        except Exception as error:
            if not await self._channels_settle_failure(error, message):
                raise
        if self._channels_after or self._channels_usage.pending:
            await self._channels_settle()
        self._channels_message = None

    async def _channels_settle_failure(self, error: Exception, message: Message) -> bool:
        """Do what a failure asks for that is the client's doing, and return whether it is."""
        return False

    async def _channels_settle(self) -> None:
        """Do what is due between two handlers, and after the last one."""
        try:
            for function in self._channels_after:
                if (work := function()) is not None:
                    await work
        finally:
            if self._channels_usage.pending:
                await self._channels_usage.release()

    def _channels_peer_left(self, message: Message) -> None:
        """Take note that the client is gone."""

    async def dispatch(self, message: AnyMessage) -> None:
        """Hand a message to the method that is named after its type.

        Messages:
            From the layer, only methods that the program wrote are reached: never one that
            Channels itself defines, nor `websocket_*` or `http_*`. A type without a method is
            logged and skipped.

        Raises:
            ValueError: The type is missing or malformed, or comes from the server and has no
                method.
        """
        handler = self._channels_find_handler(message)
        if handler is not None:
            result = handler(message)
            if type(result) is CoroutineType or isawaitable(result):
                await result
            else:
                self._channels_wrong_colour(message, "must be 'async def', since it is an Async")

    def _channels_wrong_colour(self, message: Message, fault: str) -> None:
        text = f"{type(self).__name__}.{get_handler_name(message)} {fault}Consumer's"
        if not self._channels_from_layer:
            raise TypeError(text)
        # As for a type without a handler: no sender of messages may end the connection.
        log_lost(type(self), message, f"{text}; the message from the channel layer is lost")

    def _channels_find_handler(self, message: Message) -> Callable[[Message], Any] | None:
        name = get_handler_name(message)
        from_layer = self._channels_from_layer
        reach = self._channels_handlers.get(name)
        if reach is None:
            # Not in the class when it was made: perhaps an attribute of this instance.
            reach = may_reach(self, name)
        if reach is not None and not (from_layer and not reach):
            # What Python finds under the name is called, whatever has put it there.
            handler: Callable[[Message], Any] | None = getattr(self, name, None)
            if callable(handler):
                return handler
        if not from_layer:
            if message["type"] in _ENDINGS:
                raise StopConsumer
            raise ValueError(f"No handler for message type {message['type']}")
        fault = f"has no handler for message type {message['type']!r} from the channel layer"
        log_lost(type(self), message, f"{type(self).__name__} {fault}; the message is dropped")
        return None

    async def send(self, message: dict[str, Any]) -> None:
        """Send an ASGI message to the client.

        Messages:
            Any that the connection's protocol allows, as it is.
        """
        await self.base_send(message)

    @classmethod
    def as_asgi(cls, **initkwargs: Any) -> ConsumerApplication:
        """Return an ASGI 3 application that makes a new consumer for each connection.

        Args:
            initkwargs: Keyword arguments for the constructor.

        Source: `django.views.View.as_view`, its counterpart.
        """
        return application_of(cls, lambda _: cls(**initkwargs), initkwargs)

    # The end of a connection

    async def _channels_clean_up(self) -> None:
        """Finish in a task of its own, so that no cancellation of this one cuts it short."""
        restore_outer_executor(self._channels_outer_executor)
        if self._channels_is_clean():
            return
        self._channels_end_bound = Bound(self._channels_cleanup_timeout)
        task, cancelled = await run_despite_cancellation(
            self._channels_clean_up_parts, self._channels_end_bound
        )
        if not task.done():
            logger.error(
                "%s did not end its clean-up within %s seconds; the rest of it is given up",
                type(self).__name__,
                self._channels_cleanup_timeout,
            )
        elif not task.cancelled() and (error := task.exception()):
            self._channels_report(error)
            raise error
        if cancelled is not None:
            raise cancelled

    def _channels_is_clean(self) -> bool:
        """Tell whether the clean-up has nothing to do, and so needs no task."""
        return (
            (self._channels_finished or self._channels_from_layer is None)
            and not (self._channels_after or self._channels_usage.pending)
            and self.channel_layer is None
        )

    async def _channels_clean_up_parts(self) -> None:
        try:
            # Without any message there was no `connect` that a `disconnect` could answer.
            if not self._channels_finished and self._channels_from_layer is not None:
                await self._channels_finish_unasked()
        finally:
            try:
                await self._channels_settle()
            finally:
                if hasattr(self, "channel_name"):
                    await forget_channel(self.channel_layer, self.channel_name)

    async def _channels_call(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a method in the consumer's own colour: here a coroutine method."""
        await function(*args)

    # Errors

    @hook
    def report_exception(self, error: Exception, message: Message | None) -> None:
        """Log an exception that no handler caught; override it as a `hook` to tell others.

        Called once for each, in the event loop's thread; what is reported while the connection
        ends is raised on unless it is a second one.

        Args:
            error: The exception.
            message: The message whose handler raised it; None if there was none.
        """
        log_failure(type(self), self.scope, getattr(self, "channel_name", None), message, error)

    def _channels_report(self, error: BaseException) -> None:
        message, self._channels_message = self._channels_message, None
        if isinstance(error, _ANSWERED_OUTSIDE) or was_answered(error):
            return
        if isinstance(error, Exception):
            mark_as_logged(error)
            explain_missing_key(error, getattr(self, "scope", {}))
            explain_missing_layer(error, self)
            try:
                find_hook(self, "report_exception")(error, message)
            except Exception:
                logger.exception("%s.report_exception failed", type(self).__name__)


@cache
def _warn_of_coroutine(consumer: type, name: str) -> None:
    """Say once that a method of a sync consumer does nothing."""
    logger.warning(
        "%s.%s does nothing: it is 'async def', which a SyncConsumer does not wait for. Make it "
        "an ordinary method, or derive the consumer from an async one",
        consumer.__name__,
        name,
    )


class SyncConsumer(AsyncConsumer):
    """The base of consumers whose handlers are ordinary methods.

    Each handler runs in a thread: handlers of one connection one after the other, those of
    different connections in parallel, in a pool of `CHANNELS_SYNC_THREADS`. Under an outer
    `async_to_sync` they run in its caller's thread.
    """

    _channels_framework: ClassVar[bool] = True
    _sync: ClassVar[bool] = True
    _channels_running: ThreadCall | None = None
    _channels_event_loop: asyncio.AbstractEventLoop | None = None
    _channels_ending: ClassVar[Any] = object()  # our own handler of the end, if there is one

    def _channels_make_base_send(self, send: Send) -> Callable[[Message], Any]:
        loop = self._channels_event_loop = asyncio.get_running_loop()

        async def transmit(message: Message) -> None:
            # A server's `send` need not be a coroutine function itself.
            await send(message)

        return partial(run_in_loop, loop, transmit)

    def _channels_in_loop(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a coroutine function in the connection's event loop, from whatever thread."""
        loop = self._channels_event_loop
        if loop is None:  # a consumer that is driven by hand, as in a unit test
            return async_to_sync(function)(*args)
        return run_in_loop(loop, function, *args)

    async def dispatch(self, message: AnyMessage) -> None:
        """Hand a message to the method that is named after its type, in a thread.

        Messages and errors are those of `AsyncConsumer.dispatch`.
        """
        handler = self._channels_find_handler(message)
        if handler is None:
            return
        if getattr(handler, "__func__", None) is self._channels_ending:
            # In the loop, where its work is: a thread would wait for a loop that may stop.
            await self._channels_finish()
            raise StopConsumer
        await self._channels_call(handler, message)

    async def _channels_call(self, function: Callable[..., Any], *args: Any) -> None:
        bound = self._channels_end_bound
        call = ThreadCall(function, args, None if bound is None else bound.go_on)
        if get_outer_executor() is not self._channels_outer_executor:
            # Called by a handler through async_to_sync: its own thread waits to be used.
            result = await run_in_thread(call)
        else:
            if self._channels_running is not None:
                # A cancelled handler's thread goes on; handlers of one connection never overlap.
                await self._channels_running.wait()
            self._channels_running = call
            if bound is not None:
                bound.pause()
            result = await run_in_thread(call, ending=bound is not None)
            self._channels_running = None
        if asyncio.iscoroutine(result):
            result.close()
            consumer: Any = type(self)  # a class; mypy does not see that it can be hashed
            _warn_of_coroutine(consumer, getattr(function, "__name__", str(function)))

    def send(self, message: dict[str, Any]) -> None:  # type: ignore[override] # the synchronous colour
        """Send an ASGI message to the client; called from a handler's thread.

        Messages:
            Any that the connection's protocol allows, as it is.
        """
        self.base_send(message)
