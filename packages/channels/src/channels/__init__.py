"""WebSockets, long-lived HTTP and background messages for Django."""

from importlib.metadata import version
from typing import Final

__all__ = ["DEFAULT_CHANNEL_LAYER", "__version__"]

__version__ = version("channels")

DEFAULT_CHANNEL_LAYER: Final = "default"
