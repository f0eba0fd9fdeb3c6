"""What the two colours of WebSocket consumers share: all that neither waits nor sends."""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from channels_core.exceptions import InvalidChannelLayerError, InvalidFrame, StopConsumer
from channels_core.generic import _events
from channels_core.generic._socket import Socket, SocketState
from channels_core.layers import BaseChannelLayer
from channels_core.typing import Message, Scope, Send, WebsocketClose

__all__ = ["WebsocketBase"]

logger = logging.getLogger("django.channels.consumer")

if TYPE_CHECKING:
    from channels_core._dispatch import MessageLoop


class _IsOpen:
    """Whether the handshake was accepted and neither side has closed since.

    No property: a program written before this name existed may set one of its own.
    """

    def __get__(self, consumer: "WebsocketBase | None", owner: type) -> bool:
        return consumer is not None and consumer._channels_socket.state is SocketState.OPEN


# Seconds that a server has to tell of a client's leaving, once sending to it has failed.
_DISCONNECT_WITHIN: Final = 0.5


def _offers_groups(layer: Any) -> bool:
    own = getattr(type(layer), "group_add", None)
    if own is None:
        # None of ours: one that hands its calls on, perhaps. It is asked for nothing else, since
        # that may work in an event loop only, and this may be a handler's thread.
        return callable(getattr(layer, "group_add", None))
    # A layer of a program's own may not list what it can do.
    return own is not BaseChannelLayer.group_add or "groups" in layer.extensions


class WebsocketBase:
    """The state of a WebSocket consumer, and the decisions that need nothing else.

    Attributes:
        groups: Names of groups to be in while the connection lasts: an iterable, a property or
            a method. Read before `connect`, when `self.scope` is there.
        max_message_size: Largest frame taken from the client, in bytes; None for any. A larger
            one closes the connection with 1009.
        close_code: Close code of the connection, when `disconnect` is called.
        close_reason: Close reason that goes with it; often empty.
        is_open: Whether the handshake was accepted and neither side has closed since.
    """

    _channels_framework: ClassVar[bool] = True
    _channels_finished = False

    # Any: a subclass gives a list, a property or a method, as it likes.
    groups: Any = None
    max_message_size: int | None = None
    close_code: int | None = None
    close_reason: str = ""
    is_open = _IsOpen()

    scope: Scope
    channel_layer: Any
    channel_name: str

    _channels_socket: Socket
    _channels_joined: set[str]
    _channels_declared: frozenset[str] = frozenset()
    _channels_disconnect_called: bool
    _channels_takes: ClassVar[frozenset[str]] = frozenset({"text_data", "bytes_data"})

    # Of the consumer this is mixed into.
    _channels_loop: "MessageLoop | None"
    _channels_report: Callable[[BaseException], None]
    _channels_call: Callable[..., Coroutine[Any, Any, None]]
    disconnect: Callable[[int], Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Learn which kinds of frames the new class takes."""
        super().__init_subclass__(**kwargs)
        cls._channels_takes = _events.frames_taken(getattr(cls, "receive", None))

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the state here: a program's constructor need not call ours."""
        consumer = super().__new__(cls)
        consumer._channels_socket = Socket()
        consumer._channels_joined = set()
        consumer._channels_disconnect_called = False
        return consumer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take any arguments, for subclasses that pass theirs on."""
        declared = getattr(type(self), "groups", None)
        unset = "groups" not in vars(self)
        if unset and (declared is None or isinstance(declared, list | tuple | set | frozenset)):
            # Its own list: one that a connection appends to must not be the class's.
            self.groups = list(declared or ())

    def _channels_peer_left(self, message: Message) -> None:
        self._channels_socket.peer_left(message.get("code", 1005), message.get("reason") or "")

    def _channels_lost(self, error: OSError) -> None:
        """Take note that a server refused to send since the client has left (ASGI, WebSocket)."""
        self._channels_socket.lost()
        logger.debug("The client left before a message could be sent: %r", error)
        # What the client sent before is still read, and the server knows the close code.
        if (loop := self._channels_loop) is not None:
            loop.stop_later(_DISCONNECT_WITHIN, StopConsumer())

    def _channels_payload(self, message: Message) -> dict[str, Any]:
        return _events.payload(message, self.max_message_size, self._channels_takes)

    def _channels_private_close(self, error: InvalidFrame) -> WebsocketClose:
        """Return the close for a server that keeps the codes below 3000 to itself."""
        code = error.code + 3000
        self._channels_socket.closing(code, None)
        return _events.close(code, None)

    def _channels_check_subprotocol(self, subprotocol: str | None) -> None:
        offered = self.scope.get("subprotocols") or []
        if subprotocol is not None and subprotocol not in offered:
            logger.warning(
                "%s accepts with subprotocol %r, but the client offered %r; it will fail the "
                "handshake (RFC 6455, section 4.1)",
                type(self).__name__,
                subprotocol,
                list(offered),
            )

    def _channels_group_layer(self) -> BaseChannelLayer:
        layer: BaseChannelLayer | None = self.channel_layer
        if layer is None or not _offers_groups(layer):
            raise InvalidChannelLayerError(
                "BACKEND is unconfigured or doesn't support groups: "
                f"{type(self).__name__} joins a group, but its channel layer is {layer!r}"
            )
        return layer

    def _channels_groups(self) -> list[str]:
        names = _events.group_names(self.groups)
        self._channels_declared = frozenset(names)
        return names

    def _channels_groups_to_leave(self) -> list[str]:
        """Return what was joined, and what a program added to `groups` itself."""
        added = set(self._channels_own_groups()) - self._channels_declared
        return sorted(self._channels_joined | added)

    def _channels_own_groups(self) -> list[str]:
        """Return the list that is this consumer's own, and not its class's."""
        groups = vars(self).get("groups")
        return groups if isinstance(groups, list) else []

    def _channels_forget(self, group: str) -> None:
        self._channels_joined.discard(group)
        groups = self._channels_own_groups()
        if group in groups:
            groups.remove(group)

    async def _channels_finish(self) -> None:
        """Leave the groups and call `disconnect`, once; what was cut short is taken up again.

        In both colours it runs in the event loop, where it needs no thread but for `disconnect`.
        """
        socket = self._channels_socket
        socket.lost()
        self.close_code = socket.close_code
        self.close_reason = socket.reason
        errors: list[Exception] = []
        await self._channels_leave_groups(errors)
        if not self._channels_disconnect_called:
            self._channels_disconnect_called = True
            try:
                await self._channels_call(self.disconnect, socket.close_code)
            except StopConsumer:
                pass
            except Exception as error:  # noqa: BLE001 - all of the clean-up runs
                errors.append(error)
            # Those that `disconnect` itself has joined.
            await self._channels_leave_groups(errors)
        self._channels_finished = True
        self._channels_raise_first(errors)

    async def _channels_leave_groups(self, errors: list[Exception]) -> None:
        for group in self._channels_groups_to_leave():
            try:
                await self._channels_group_layer().group_discard(group, self.channel_name)
            except Exception as error:  # noqa: BLE001 - all of the clean-up runs
                errors.append(error)
            self._channels_forget(group)

    def _channels_watch(self, send: Send) -> Send:
        socket = self._channels_socket

        def noting_send(message: Message) -> Awaitable[None]:
            # A program may answer the handshake without our methods.
            if socket.state is SocketState.CONNECTING:
                socket.answered(message["type"])
            return send(message)

        return noting_send

    def _channels_raise_first(self, errors: list[Exception]) -> None:
        """Raise the first of the errors of a clean-up; report the others."""
        for error in errors[1:]:
            self._channels_report(error)
        if errors:
            raise errors[0]
