"""Test tools for Channels on Django: communicators, a live server, a contract for channel layers.

Each name is imported from its module when it is first used, so that importing this package costs
nothing, and the live server's Django parts are loaded only by those who need them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from channels_testing.application import ApplicationCommunicator
    from channels_testing.http import HttpCommunicator, Response
    from channels_testing.layers import ChannelLayerContract
    from channels_testing.live import ChannelsLiveServerTestCase, LiveServerError
    from channels_testing.websocket import Denial, WebsocketCommunicator

__all__ = [
    "ApplicationCommunicator",
    "ChannelLayerContract",
    "ChannelsLiveServerTestCase",
    "Denial",
    "HttpCommunicator",
    "LiveServerError",
    "Response",
    "WebsocketCommunicator",
    "__version__",
]

#: The same as in pyproject.toml. Not read from the package's metadata, which a frozen or vendored
#: program lacks.
__version__: str = "1.0.0"

#: The module of each name that is loaded when it is first used.
_MODULES: Final = {
    "ApplicationCommunicator": "application",
    "ChannelLayerContract": "layers",
    "ChannelsLiveServerTestCase": "live",
    "Denial": "websocket",
    "HttpCommunicator": "http",
    "LiveServerError": "live",
    "Response": "http",
    "WebsocketCommunicator": "websocket",
}


if not TYPE_CHECKING:  # pragma: no branch - type checkers would accept any attribute

    def __getattr__(name: str) -> Any:
        """Load a name from its module (PEP 562); not stored, so patches there are seen."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
