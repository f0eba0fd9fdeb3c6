"""The exceptions of Channels: errors under one base, and signals that steer a consumer."""

import json
from typing import Any

__all__ = [
    "AcceptConnection",
    "ChannelFull",
    "ChannelsError",
    "ConnectionStateError",
    "ConsumerSignal",
    "DenyConnection",
    "InvalidChannelLayerError",
    "InvalidFrame",
    "InvalidJSON",
    "MessageTooLarge",
    "RequestAborted",
    "RequestTimeout",
    "RouteNotFound",
    "StopConsumer",
    "WorkerError",
]


class ChannelsError(Exception):
    """Base of every error that Channels raises of its own."""


class RequestAborted(ChannelsError):
    """The client left while its request was still being read."""


class RequestTimeout(RequestAborted):
    """The client took too long to send its request."""


class InvalidChannelLayerError(ChannelsError, ValueError):
    """A channel layer is missing, misconfigured or lacks what was asked of it."""


class ChannelFull(ChannelsError):
    """A channel holds as many messages as its capacity allows."""


class MessageTooLarge(ChannelsError):
    """A message is larger than its channel layer carries."""


class RouteNotFound(ChannelsError, ValueError):
    """No route, channel or protocol of a router matches a connection.

    It is a `ValueError` because that is what programs expect from a router called bare.
    """


class ConnectionStateError(ChannelsError, RuntimeError):
    """A message was sent in a state of the connection that does not allow it.

    Raised for a frame before the handshake was accepted, a second accept, and a frame after the
    consumer itself closed the connection. A frame after the *client* left is no error.
    """


class WorkerError(ChannelsError, RuntimeError):
    """A worker has ended by itself: its channel layer failed for too long."""


class InvalidFrame(ChannelsError, ValueError):
    """A client sent a frame that its consumer cannot read.

    `ProtocolTypeRouter` answers it with one warning line; a consumer driven bare raises it.
    """

    def __init__(self, message: str, code: int) -> None:
        """Name the fault and the close code for it.

        Args:
            message: What was expected and what came, without the frame's content.
            code: RFC 6455 close code: 1003 (unsupported data), 1007 (invalid payload) or
                1009 (too big).
        """
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it be pickled, and so pass from one process to another."""
        return type(self), (str(self), self.code)


class InvalidJSON(InvalidFrame, json.JSONDecodeError):
    """A text frame is not JSON; its close code is 1007.

    Its text, `msg`, `doc` and `pos` are those of the `json.JSONDecodeError` that it stands for.
    """

    def __init__(self, msg: str, doc: str, pos: int) -> None:
        """Take what `json.JSONDecodeError` takes.

        Args:
            msg: What is wrong.
            doc: The frame's text.
            pos: Where it is, as an index of `doc`.
        """
        json.JSONDecodeError.__init__(self, msg, doc, pos)
        self.code = 1007

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it be pickled, as `json.JSONDecodeError` can be."""
        return type(self), (self.msg, self.doc, self.pos)


class ConsumerSignal(Exception):
    """Base of the exceptions by which a handler tells its consumer what to do."""


class StopConsumer(ConsumerSignal):
    """End this connection's consumer, with its clean-up, without an error."""


class AcceptConnection(ConsumerSignal):
    """Accept the WebSocket handshake; raised in `connect`."""


class DenyConnection(ConsumerSignal):
    """Refuse the WebSocket handshake; raised in `connect`."""

    def __init__(
        self,
        code: object = None,
        reason: str | None = None,
        status: int | None = None,
        *args: object,
    ) -> None:
        """Say how to refuse; with no argument the server answers as it does by itself (403).

        Args:
            code: Close code, an int, for servers that pass one on before the handshake. A str is
                taken for the reason, as in `DenyConnection("not allowed")`.
            reason: Close reason, and the body of the HTTP response where `status` is sent.
            status: HTTP status to answer with, where the server offers the
                `websocket.http.response` extension.
            args: Anything else, which only `self.args` has, as those of any exception.
        """
        # As they were given: Python has set them already.
        super().__init__(*self.args)
        if isinstance(code, str):
            code, reason = None, reason or code
        self.code: int | None = code if isinstance(code, int) else None
        self.reason = reason
        self.status = status
