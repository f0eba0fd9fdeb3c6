"""Consumers, routing and the channel layer interface of Channels for Django."""

from importlib.metadata import version
from typing import Final

__all__ = ["DEFAULT_CHANNEL_LAYER", "__version__"]

__version__ = version("channels-core")

DEFAULT_CHANNEL_LAYER: Final = "default"
