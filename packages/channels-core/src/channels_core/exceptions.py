"""The exceptions of Channels: errors under one base, and signals that steer a consumer."""

from __future__ import annotations

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
    "MessagesMissed",
    "RequestAborted",
    "RequestTimeout",
    "RouteNotFound",
    "StopConsumer",
    "WorkerError",
]


class ChannelsError(Exception):
    """Base of every error of Channels."""


class RequestAborted(ChannelsError):
    """The client left while its request was still being read."""


class RequestTimeout(RequestAborted):
    """The client took too long to send its request."""


class InvalidChannelLayerError(ChannelsError, ValueError):
    """A channel layer is missing, is misconfigured, or does not have the called method."""


class ChannelFull(ChannelsError):
    """A channel holds as many messages as its capacity allows."""


class MessageTooLarge(ChannelsError):
    """A message is larger than its channel layer allows."""


class MessagesMissed(ChannelsError):
    """A channel layer may have lost messages of a channel; the next one can be received.

    A layer with the extension `gaps` raises it in `receive`, or in the function of `listen`.
    """


class RouteNotFound(ChannelsError, ValueError):
    """No route, channel or protocol of a router matches a connection.

    It is a `ValueError`, which programs expect from a router that they call directly.
    """


class ConnectionStateError(ChannelsError, RuntimeError):
    """A message was sent in a state of the connection that does not allow it.

    Raised for a frame before the handshake was accepted, for a second accept, and for a frame
    after the consumer closed the connection. A frame after the *client* left is not an error.
    """


class WorkerError(ChannelsError, RuntimeError):
    """A worker has given up, since its channel layer failed for too long."""


class InvalidFrame(ChannelsError, ValueError):
    """A client sent a frame that its consumer cannot read.

    `ProtocolTypeRouter` answers it with one warning in the log; a consumer without that router
    raises it.
    """

    def __init__(self, message: str, code: int) -> None:
        """Take the fault and its close code.

        Args:
            message: What was expected and what came, without the frame's content.
            code: RFC 6455 close code: 1003 (unsupported data), 1007 (invalid payload) or
                1009 (too big).
        """
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Allow pickling, which passes it to another process."""
        return type(self), (str(self), self.code)


class InvalidJSON(InvalidFrame, json.JSONDecodeError):
    """A text frame is not JSON; the close code is 1007.

    Its text, `msg`, `doc` and `pos` are those of the `json.JSONDecodeError` of the parser.
    """

    def __init__(self, msg: str, doc: str, pos: int) -> None:
        """Take the arguments of `json.JSONDecodeError`.

        Args:
            msg: The fault.
            doc: The frame's text.
            pos: The position of the fault, as an index of `doc`.
        """
        json.JSONDecodeError.__init__(self, msg, doc, pos)
        self.code = 1007

    def __reduce__(self) -> tuple[Any, ...]:
        """Allow pickling, as `json.JSONDecodeError` does."""
        return type(self), (self.msg, self.doc, self.pos)


class ConsumerSignal(Exception):
    """Base of the exceptions that a handler raises to control its consumer."""


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
        """Take how to refuse; without arguments the server answers in its own way (403).

        Args:
            code: Close code, an int, for servers that pass one on before the handshake. A str is
                taken as the reason, as in `DenyConnection("not allowed")`.
            reason: Close reason, and the body of the HTTP response if `status` is sent.
            status: HTTP status of the answer, if the server offers the
                `websocket.http.response` extension.
            args: Further arguments, which are only kept in `self.args`.
        """
        # `self.args` was set by `BaseException.__new__`.
        super().__init__(*self.args)
        if isinstance(code, str):
            code, reason = None, reason or code
        self.code: int | None = code if isinstance(code, int) else None
        self.reason = reason
        self.status = status
