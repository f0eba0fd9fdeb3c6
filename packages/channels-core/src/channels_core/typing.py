"""Types of scopes, messages and applications: loose for what is passed through, exact for the rest.

Messages that Channels sends have exact types. Programs can use exact types for the events and
scopes that they receive: events as asgiref defines them, and scopes with the keys that routers and
middleware add.

The types with known keys are loaded when they are first used; modules of Channels name them in
annotations only.

Source: ASGI 3.0, and its HTTP, WebSocket and lifespan specifications (versions 2.5 and 2.0).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from channels_core._typed_dicts import (
        ChannelScope,
        ConsumerOptions,
        HttpDisconnect,
        HttpRequest,
        HttpScope,
        JsonOptions,
        UrlRoute,
        WebsocketAccept,
        WebsocketClose,
        WebsocketConnect,
        WebsocketDenialBody,
        WebsocketDenialStart,
        WebsocketDisconnect,
        WebsocketFrame,
        WebsocketOptions,
        WebsocketReceive,
        WebsocketScope,
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
#: The scope of a connection.
Scope: TypeAlias = dict[str, Any]
#: A message of ASGI, or one that is sent over a channel layer.
Message: TypeAlias = Mapping[str, Any]
#: A message that a channel layer delivers.
ChannelMessage: TypeAlias = dict[str, Any]

# Any: servers and libraries have their own types for scopes and messages, and programs use others
# in methods that they override. A parameter of this type accepts all of them.
AnyScope: TypeAlias = Any
AnyMessage: TypeAlias = Any

#: The function from which an application gets the server's messages.
Receive: TypeAlias = Callable[[], Awaitable[AnyMessage]]
#: The function to which an application gives its messages.
Send: TypeAlias = Callable[[AnyMessage], Awaitable[None]]
# Any: by ASGI it returns nothing, but programs test with applications that return something.
#: An application of ASGI 3.
ASGIApplication: TypeAlias = Callable[[AnyScope, Receive, Send], Awaitable[Any]]

#: The headers of a scope or of a response.
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

# Any, for bool or int: programs override methods that take it with only one of the two types.
CloseArgument: TypeAlias = Any

if not TYPE_CHECKING:  # pragma: no branch - for type checkers any attribute would be right

    def __getattr__(name: str) -> Any:
        """Load a type with known keys (PEP 562)."""
        if name not in __all__:  # the import system asks for `__path__`
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Imported here: see the docstring of that module.
        from channels_core import _typed_dicts

        return globals().setdefault(name, getattr(_typed_dicts, name))

    def __dir__() -> list[str]:
        """List the types that are not loaded yet, too."""
        return sorted({*globals(), *__all__})
