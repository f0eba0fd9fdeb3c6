"""Types of scopes, messages and applications: loose where they pass through, exact where we send.

For what comes in, programs have exact types too: events by asgiref's definitions, and scopes with
the keys that routers and middleware add.

Source: ASGI 3.0, and its HTTP, WebSocket and lifespan specifications (versions 2.5 and 2.0).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from json import JSONEncoder
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from asgiref.typing import (
    HTTPDisconnectEvent,
    HTTPRequestEvent,
    HTTPScope,
    WebSocketConnectEvent,
    WebSocketDisconnectEvent,
    WebSocketReceiveEvent,
    WebSocketScope,
)

__all__ = [
    "ASGIApplication",
    "AnyMessage",
    "AnyScope",
    "ChannelMessage",
    "ChannelScope",
    "CloseArgument",
    "ConsumerOptions",
    "Headers",
    "HttpDisconnect",
    "HttpRequest",
    "HttpScope",
    "JsonOptions",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "UrlRoute",
    "WebsocketAccept",
    "WebsocketClose",
    "WebsocketConnect",
    "WebsocketDenialBody",
    "WebsocketDenialStart",
    "WebsocketDisconnect",
    "WebsocketFrame",
    "WebsocketOptions",
    "WebsocketReceive",
    "WebsocketScope",
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

# Any, for bool or int: programs override what takes it, and know one of the two.
CloseArgument: TypeAlias = Any

# What servers send. Optional keys may be absent, though asgiref has them all: read with `get`.
WebsocketConnect: TypeAlias = WebSocketConnectEvent
WebsocketReceive: TypeAlias = WebSocketReceiveEvent
WebsocketDisconnect: TypeAlias = WebSocketDisconnectEvent
HttpRequest: TypeAlias = HTTPRequestEvent
HttpDisconnect: TypeAlias = HTTPDisconnectEvent


class UrlRoute(TypedDict):
    """What the patterns of the routes have captured, the outer router's first.

    Attributes:
        args: Groups without a name.
        kwargs: Groups with a name, what converters made of them, and the routes' extra arguments.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class _Enriched(TypedDict, total=False):
    """Keys that routers and middleware add to a scope, each only where it is used."""

    #: Of a `URLRouter`.
    url_route: UrlRoute
    #: Of a `URLRouter`: what a router inside it is to match.
    path_remaining: str
    #: Of a `CookieMiddleware`.
    cookies: dict[str, str]
    # Any: the session's class is that of the engine, and the user's the project's.
    #: Of a `SessionMiddleware`.
    session: Any
    #: Of an `AuthMiddleware` or a `TokenAuthMiddleware`.
    user: Any


class WebsocketScope(_Enriched, WebSocketScope):
    """The scope of a WebSocket, with what routers and middleware add."""


class HttpScope(_Enriched, HTTPScope):
    """The scope of a request, with what routers and middleware add."""


class ChannelScope(TypedDict):
    """The scope of a consumer that a worker runs."""

    type: Literal["channel"]
    channel: str


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


class ConsumerOptions(TypedDict, total=False):
    """Options of every consumer: keywords of its class statement."""

    #: Seconds that clean-up may take when the connection ends; 10.
    cleanup_timeout: float


class WebsocketOptions(ConsumerOptions, total=False):
    """Options of a WebSocket consumer."""

    #: Largest frame that is taken from the client, in bytes; None, the default, for any.
    max_message_size: int | None


class JsonOptions(WebsocketOptions, total=False):
    """Options of a JSON WebSocket consumer."""

    #: Encoder class of `encode_json`; None, the default, for the standard library's.
    json_encoder: type[JSONEncoder] | None
