"""Consumers, routing and the channel layer interface of Channels for Django.

The names that most programs need can be imported from here. Each is loaded from its own module
when it is first used, so `import channels_core` stays free.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from channels_core._settings import DEFAULT_CHANNEL_LAYER
    from channels_core.consumer import AsyncConsumer, SyncConsumer, hook
    from channels_core.db import database_sync_to_async
    from channels_core.exceptions import DenyConnection, StopConsumer
    from channels_core.generic.websocket import (
        AsyncJsonWebsocketConsumer,
        AsyncWebsocketConsumer,
        JsonWebsocketConsumer,
        WebsocketConsumer,
    )
    from channels_core.layers import BaseChannelLayer, get_channel_layer
    from channels_core.middleware import BaseMiddleware
    from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
    from channels_core.security.websocket import AllowedHostsOriginValidator, OriginValidator

__all__ = [
    "DEFAULT_CHANNEL_LAYER",
    "AllowedHostsOriginValidator",
    "AsyncConsumer",
    "AsyncJsonWebsocketConsumer",
    "AsyncWebsocketConsumer",
    "BaseChannelLayer",
    "BaseMiddleware",
    "ChannelNameRouter",
    "DenyConnection",
    "JsonWebsocketConsumer",
    "OriginValidator",
    "ProtocolTypeRouter",
    "StopConsumer",
    "SyncConsumer",
    "URLRouter",
    "WebsocketConsumer",
    "__version__",
    "database_sync_to_async",
    "get_channel_layer",
    "hook",
]

#: The same as in pyproject.toml; the metadata are missing where a program is frozen or vendored.
__version__: str = "1.0.0"

#: The module of each name that is loaded when it is first used.
_MODULES: Final = {
    "AllowedHostsOriginValidator": "security.websocket",
    "AsyncConsumer": "consumer",
    "AsyncJsonWebsocketConsumer": "generic.websocket",
    "AsyncWebsocketConsumer": "generic.websocket",
    "BaseChannelLayer": "layers",
    "BaseMiddleware": "middleware",
    "ChannelNameRouter": "routing",
    "DEFAULT_CHANNEL_LAYER": "_settings",
    "DenyConnection": "exceptions",
    "JsonWebsocketConsumer": "generic.websocket",
    "OriginValidator": "security.websocket",
    "ProtocolTypeRouter": "routing",
    "StopConsumer": "exceptions",
    "SyncConsumer": "consumer",
    "URLRouter": "routing",
    "WebsocketConsumer": "generic.websocket",
    "database_sync_to_async": "db",
    "get_channel_layer": "layers",
    "hook": "consumer",
}

if not TYPE_CHECKING:  # pragma: no branch - for type checkers any attribute would be right

    def __getattr__(name: str) -> Any:
        """Load a name from its module (PEP 562); not kept, so that a patch there is seen here."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

    def __dir__() -> list[str]:
        """List the names that are not loaded yet, too."""
        return sorted({*globals(), *__all__})
