"""The types of scopes, events, messages and options whose keys are known.

They are dictionaries for type checkers, and take as long to make as a fifth of the other modules
together. So `channels_core.typing` loads them when a program asks for one.
"""

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
    "ChannelScope",
    "ConsumerOptions",
    "HttpDisconnect",
    "HttpRequest",
    "HttpScope",
    "JsonOptions",
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

# The events of servers. Optional keys may be absent, though asgiref declares all: use `get`.
WebsocketConnect: TypeAlias = WebSocketConnectEvent
WebsocketReceive: TypeAlias = WebSocketReceiveEvent
WebsocketDisconnect: TypeAlias = WebSocketDisconnectEvent
HttpRequest: TypeAlias = HTTPRequestEvent
HttpDisconnect: TypeAlias = HTTPDisconnectEvent


class UrlRoute(TypedDict):
    """The values that the patterns of the routes have captured, the outer router's first.

    Attributes:
        args: The groups without a name.
        kwargs: The groups with a name, converted, and the extra arguments of the routes.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class _Enriched(TypedDict, total=False):
    """Keys that routers and middleware add to a scope, if they are used."""

    #: Added by a `URLRouter`.
    url_route: UrlRoute
    #: Added by a `URLRouter`: the part of the path that a router inside has to match.
    path_remaining: str
    #: Added by a `CookieMiddleware`.
    cookies: dict[str, str]
    # Any: the class of a session depends on the engine, and that of a user on the project.
    #: Added by a `SessionMiddleware`.
    session: Any
    #: Added by an `AuthMiddleware` or a `TokenAuthMiddleware`.
    user: Any


class WebsocketScope(_Enriched, WebSocketScope):
    """The scope of a WebSocket, with the keys that routers and middleware add."""


class HttpScope(_Enriched, HTTPScope):
    """The scope of a request, with the keys that routers and middleware add."""


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
    """Options of every consumer, given as keywords of its class statement."""

    #: Seconds that the clean-up may take when the connection ends; 10 by default.
    cleanup_timeout: float


class WebsocketOptions(ConsumerOptions, total=False):
    """Options of a WebSocket consumer."""

    #: The size in bytes of the largest frame that is accepted; None accepts any. By default, the
    #: setting `CHANNELS_MAX_MESSAGE_SIZE` applies.
    max_message_size: int | None
    #: The number of frames that the client may send in a second; None, the default, for any.
    max_messages_per_second: float | None
    #: The bytes that may wait in the server for a client that does not read; None, the default,
    #: for any.
    max_pending: int | None
    #: What happens to a client for which more than `max_pending` waits.
    slow_client: Literal["close", "drop"]


class JsonOptions(WebsocketOptions, total=False):
    """Options of a JSON WebSocket consumer."""

    #: The encoder class of `encode_json`; None, the default, for that of the standard library.
    json_encoder: type[JSONEncoder] | None
