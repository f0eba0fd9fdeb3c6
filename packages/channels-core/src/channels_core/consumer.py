"""Consumers: one object for each connection, with a handler method for each type of message.

`__new__` gives each consumer a companion, `consumer._channels_connection`, which holds all that
Channels keeps for it (`channels_core.connection`). `__call__` has the companion serve the
connection, and the companion gives each message to `dispatch`. `dispatch` looks up the method that
the message's type names, and calls it: as a coroutine in `AsyncConsumer`, in a thread in
`SyncConsumer`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from inspect import isawaitable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, Unpack

from asgiref.sync import async_to_sync  # noqa: F401 - tests of programs patch it here

from channels_core._consumer_classes import (
    ENDINGS,
    class_of,
    describe,
    direct,
    framework,
    get_handler_name,
    hook,
    may_reach,
    new_hook,
    readable,
    refuse_unknown_hooks,
)
from channels_core._settings import DEFAULT_CHANNEL_LAYER
from channels_core._two_step import OfScope, at_once
from channels_core.applications import ConsumerApplication, application_of
from channels_core.exceptions import StopConsumer
from channels_core.typing import (
    AnyMessage,
    AnyScope,
    Message,
    Receive,
    Scope,
    Send,
)

if TYPE_CHECKING:
    from channels_core.connection import Connection
    from channels_core.layers import BaseChannelLayer
    from channels_core.typing import ConsumerOptions
else:

    def __getattr__(name: str) -> Any:
        """Load `get_channel_layer` with the first consumer (PEP 562)."""
        if name != "get_channel_layer":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from channels_core.layers import get_channel_layer

        return globals().setdefault(name, get_channel_layer)


__all__ = ["AsyncConsumer", "SyncConsumer", "get_handler_name", "hook"]

logger: Final = logging.getLogger("django.channels.consumer")

#: What a layer tells all members of a group; most consumers have no handlers for it.
_NOTICES: Final = frozenset({"group.joined", "group.left", "group.position"})


def _companion() -> type[Connection]:
    # Loaded for the first consumer: commands and other processes import consumers and serve none.
    from channels_core.connection import Connection

    return Connection


def _call_handler(consumer: AsyncConsumer, message: AnyMessage) -> Awaitable[Any] | None:
    """Call the handler of a message, and return what to await; None if nothing is to be done.

    Raises:
        Exception: As `dispatch`.
    """
    connection = consumer._channels_connection
    # As `_find_handler`, without its call.
    try:
        found = connection.by_type[message["type"]]
    except (KeyError, TypeError):
        found = None
    handler: Any = None
    if found is not None and (found[1] or not connection.from_layer):
        name, _, shorter = found
        if shorter is not None:
            method, function = shorter
            if getattr(type(consumer), name) is method and name not in vars(consumer):
                # Without the coroutine of the method, which takes 0.1 us.
                work: Awaitable[Any] | None = function(connection, consumer, message)
                return work
        # Looked up again: a test may have replaced the method meanwhile.
        handler = getattr(consumer, name, None)
    if not callable(handler):
        handler = _choose_handler(consumer, message, found)
        if handler is None:
            return None
    result: Any = handler(message)
    if type(result) is CoroutineType or isawaitable(result):
        return result
    _refuse_ordinary(consumer, message)
    return None


@framework(_companion, prefixes=("websocket_", "http_"), cleanup_timeout=10)
class AsyncConsumer(OfScope):
    """The base of consumers whose handlers are coroutine methods.

    One instance serves one connection. A message of type `chat.message` is handled by the method
    `chat_message`; one message at a time, in order of arrival from the client and the channel
    layer together. All handlers of a connection run in one task.

    Options are keywords of the class statement: `class Chat(AsyncConsumer, cleanup_timeout=5)`.

    Options:
        cleanup_timeout: Seconds that clean-up may take when the connection ends; 10.

    Attributes:
        scope: The connection's scope.
        channel_layer: The layer of `channel_layer_alias`, or None.
        channel_name: The name under which other code reaches this consumer over the layer.
        channel_receive: Receives from that channel.
        base_send: Sends an ASGI message to the server.
        channel_layer_alias: Alias in `CHANNEL_LAYERS`; None for a consumer without a layer.
    """

    # A name of Channels 4: programs with their own `__call__` read it. True if the handlers are
    # ordinary methods.
    _sync: ClassVar[bool] = False

    channel_layer_alias: ClassVar[str | None] = DEFAULT_CHANNEL_LAYER

    scope: Scope
    # None without a layer. Its type leaves that out, since a program knows whether its settings
    # have a layer. It is not set in the class, as in other type stubs of Channels.
    channel_layer: BaseChannelLayer
    channel_name: str
    channel_receive: Receive = readable(lambda self: self._channels_connection.channel_receive())
    base_send: Callable[[Message], Any]

    # All that Channels keeps for this consumer; every other name is the program's.
    _channels_connection: Connection

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the companion; not in `__init__`, which a program may override without a call."""
        consumer = super().__new__(cls)
        known = class_of(cls)
        consumer._channels_connection = known.connection(consumer, known)
        return consumer

    def __init_subclass__(cls, **options: Unpack[ConsumerOptions]) -> None:
        """Keep the options, and make the table of the new class's handlers."""
        rest = describe(cls, options)
        try:
            super().__init_subclass__(**rest)
        except TypeError as error:
            if rest and "takes no keyword" in str(error):
                error.add_note(f"{cls.__name__} has no option {', '.join(rest)}")
            raise
        refuse_unknown_hooks(cls)

    @at_once
    def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Serve the connection until it ends.

        Scope:
            Kept as `self.scope`.

        Messages:
            Each is handed to `dispatch`, whether it comes from the server or from the layer.

        Raises:
            Exception: The first exception of a handler, of the layer, or of sending, after the
                clean-up.
        """
        connection = self._channels_connection
        self.scope = scope = connection.with_server(scope, send)
        if not hasattr(self, "channel_layer"):
            self.channel_layer = None  # type: ignore[assignment] # without a layer, as said above
        # Looked up here, where tests of programs patch it.
        connection.find_layer = sys.modules[__name__].get_channel_layer
        connection.beginner = self
        return connection.serve(scope, receive, send)

    @direct(_call_handler)
    async def dispatch(self, message: AnyMessage) -> None:
        """Hand a message to the method that is named after its type.

        Messages:
            From the layer, only methods that the program wrote are reached: never one that
            Channels itself defines, nor `websocket_*` or `http_*`. A type that is malformed or
            has no method is logged and skipped.

        Raises:
            ValueError: The message is not from the layer, and its type is missing or malformed, or
                has no method.
        """
        handling = _call_handler(self, message)
        if handling is not None:
            await handling

    async def send(self, message: dict[str, Any]) -> None:
        """Send an ASGI message to the client.

        Messages:
            Any that the connection's protocol allows; sent unchanged.
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

    @new_hook
    def report_exception(self, error: Exception, message: Message | None) -> None:
        """Log an exception that no handler caught; override it as a `hook` to report it elsewhere.

        Called once for each exception, in the event loop's thread. If several exceptions end a
        connection, each is reported, and the first one is also raised.

        Args:
            error: The exception.
            message: The message whose handler raised it; None if no handler did.
        """
        self._channels_connection.log(error, message)

    @new_hook
    async def missed(self, group: str | None) -> None:
        """Handle that messages are lost which the channel layer cannot give again.

        By default the connection ends, a WebSocket with 1012, so that its client connects again
        and loads what it needs. Override it as a `hook` to tell the client instead; the connection
        then goes on. If the group has history, the messages that are left of it follow.

        It is called as well when the messages after the position of `join_group(after=...)` are
        not kept any more; by default that does nothing.

        Args:
            group: The name of the group; None if the messages were sent to the channel, and the
                consumer is in no group.
        """
        await self._channels_connection.could_not_catch_up()


@framework(runs_in_threads=True)
class SyncConsumer(AsyncConsumer):
    """The base of consumers whose handlers are ordinary methods.

    Each handler runs in a thread of a pool with `CHANNELS_SYNC_THREADS` threads. Handlers of one
    connection run one after the other, and those of different connections run in parallel. Under
    an outer `async_to_sync`, they run in the thread that called it.

    Options are keywords of the class statement: `class Chat(SyncConsumer, cleanup_timeout=5)`.

    Options:
        cleanup_timeout: Seconds that clean-up may take when the connection ends; 10.

    Attributes:
        scope: The connection's scope.
        channel_layer: The layer of `channel_layer_alias`, or None.
        channel_name: The name under which other code reaches this consumer over the layer.
        channel_receive: Receives from that channel.
        base_send: Sends an ASGI message to the server.
        channel_layer_alias: Alias in `CHANNEL_LAYERS`; None for a consumer without a layer.
    """

    _sync: ClassVar[bool] = True

    async def dispatch(self, message: AnyMessage) -> None:
        """Hand a message to the method that is named after its type, in a thread.

        Messages:
            From the layer, only methods that the program wrote are reached: never one that
            Channels itself defines, nor `websocket_*` or `http_*`. A type that is malformed or
            has no method is logged and skipped.

        Raises:
            ValueError: The message is not from the layer, and its type is missing or malformed, or
                has no method.
        """
        handler = _find_handler(self, message)
        if handler is None:
            return
        if message["type"] in ENDINGS and self._channels_connection.handles_end(message):
            # Not in a thread: nearly all of the clean-up runs in the event loop, and a thread would
            # wait for that loop, which a server may stop.
            await self._channels_connection.finish()
            raise StopConsumer
        await self._channels_connection.call(handler, message)

    def send(self, message: dict[str, Any]) -> None:  # type: ignore[override] # the synchronous colour
        """Send an ASGI message to the client; called from a handler's thread.

        Messages:
            Any that the connection's protocol allows; sent unchanged.
        """
        self.base_send(message)

    @new_hook
    def missed(self, group: str | None) -> None:  # type: ignore[override] # the synchronous colour
        """Handle that messages are lost which the channel layer cannot give again.

        By default the connection ends, a WebSocket with 1012, so that its client connects again
        and loads what it needs. Override it as a `hook` to tell the client instead; the connection
        then goes on. If the group has history, the messages that are left of it follow.

        It is called as well when the messages after the position of `join_group(after=...)` are
        not kept any more; by default that does nothing.

        Args:
            group: The name of the group; None if the messages were sent to the channel, and the
                consumer is in no group.
        """
        self._channels_connection.in_loop(self._channels_connection.could_not_catch_up)


def _find_handler(consumer: AsyncConsumer, message: Message) -> Callable[[Message], Any] | None:
    """Return the handler of a message; None, with a line in the log, if the layer may not reach it.

    Raises:
        StopConsumer: The server has reported the end, and there is no handler for that.
        ValueError: Another message of the server does not have a handler, or is malformed.
    """
    try:
        found = consumer._channels_connection.by_type[message["type"]]
    except (KeyError, TypeError):  # it is not known, there is no type, or one that is not a str
        found = None
    # Not there, where an error would have that one as its context.
    return _choose_handler(consumer, message, found)


def _choose_handler(
    consumer: AsyncConsumer, message: Message, known: tuple[str, bool, Any] | None
) -> Callable[[Message], Any] | None:
    """Return the handler of a message, as `_find_handler` does.

    Args:
        consumer: The consumer.
        message: The message.
        known: What `by_type` has for its type; None if it has nothing.
    """
    found: tuple[str, bool | None, Any] | None = known or _look_closer(consumer, message)
    if found is None:
        return None
    name, reach, _ = found
    connection = consumer._channels_connection
    if reach or (reach is not None and not connection.from_layer):
        # Looked up again: a test may have replaced the method meanwhile.
        handler: Callable[[Message], Any] | None = getattr(consumer, name, None)
        if callable(handler):
            return handler
    if not connection.from_layer:
        if message["type"] in ENDINGS:
            raise StopConsumer
        raise ValueError(f"No handler for message type {message['type']}")
    if message["type"] in _NOTICES:
        return None
    from channels_core._failure_log import log_lost

    kind = type(consumer)
    fault = f"has no handler for message type {message['type']!r:.200} from the channel layer"
    log_lost(kind, message["type"], f"{kind.__name__} {fault}; the message is dropped")
    return None


def _look_closer(consumer: AsyncConsumer, message: Message) -> tuple[str, bool | None, None] | None:
    """Return the handler's name for a message that `by_type` does not have, and who may reach it.

    The type is malformed or spelled unusually, or the class did not have the method at first.

    Returns:
        As in `by_type`; None if the message is dropped.
    """
    try:
        name = get_handler_name(message)
    except (TypeError, ValueError) as error:
        if not consumer._channels_connection.from_layer:
            raise
        from channels_core._failure_log import log_lost

        # One line and not the end of the connection: a message to a group reaches all members.
        kind = type(consumer)
        fault = f"{error}; the message from the channel layer is dropped"
        log_lost(kind, None, f"{kind.__name__}: {fault}")
        return None
    reach = consumer._channels_connection.known.handlers.get(name)
    # If None, the class did not have it when it was made: it may be an attribute of this instance.
    return name, may_reach(consumer, name) if reach is None else reach, None


def _refuse_ordinary(consumer: AsyncConsumer, message: Message) -> None:
    """Refuse a handler that is not a coroutine method."""
    kind = type(consumer)
    text = (
        f"{kind.__name__}.{get_handler_name(message)} must be 'async def', since it is an "
        "AsyncConsumer's"
    )
    if not consumer._channels_connection.from_layer:
        raise TypeError(text)
    from channels_core._failure_log import log_lost

    # As for a type without a handler: a message of the layer must not end the connection.
    log_lost(kind, message["type"], f"{text}; the message from the channel layer is lost")
