"""Types of scopes, messages and applications: loose where they pass through, exact where we send.

Source: ASGI 3.0, and its HTTP, WebSocket and lifespan specifications (versions 2.5 and 2.0).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

__all__ = [
    "ASGIApplication",
    "AnyMessage",
    "AnyScope",
    "ChannelMessage",
    "Headers",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "WebsocketAccept",
    "WebsocketClose",
    "WebsocketDenialBody",
    "WebsocketDenialStart",
    "WebsocketFrame",
]

# Any: servers, middleware and programs add keys of their own to scopes and messages.
Scope: TypeAlias = dict[str, Any]
Message: TypeAlias = Mapping[str, Any]
ChannelMessage: TypeAlias = dict[str, Any]

# Any: for a scope, and for a message that may be of any kind, each server and each library has a
# type of its own, and so have programs where they override a method. What is called with one, or
# is to be overridden, takes them all.
AnyScope: TypeAlias = Any
AnyMessage: TypeAlias = Any

Receive: TypeAlias = Callable[[], Awaitable[AnyMessage]]
Send: TypeAlias = Callable[[AnyMessage], Awaitable[None]]
# It returns nothing by ASGI, but programs test with applications that do.
ASGIApplication: TypeAlias = Callable[[AnyScope, Receive, Send], Awaitable[Any]]

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]


class WebsocketAccept(TypedDict):
    """Accept a WebSocket handshake."""

    type: Literal["websocket.accept"]
    subprotocol: str | None
    headers: NotRequired[list[tuple[bytes, bytes]]]


class WebsocketFrame(TypedDict):
    """Send one text or one binary frame."""

    type: Literal["websocket.send"]
    text: NotRequired[str]
    bytes: NotRequired[bytes]


class WebsocketClose(TypedDict):
    """Close a WebSocket, or refuse its handshake."""

    type: Literal["websocket.close"]
    code: NotRequired[int]
    reason: NotRequired[str]


class WebsocketDenialStart(TypedDict):
    """Refuse a handshake with an HTTP status and headers."""

    type: Literal["websocket.http.response.start"]
    status: int
    headers: list[tuple[bytes, bytes]]


class WebsocketDenialBody(TypedDict):
    """Send the body of a refusal."""

    type: Literal["websocket.http.response.body"]
    body: bytes
