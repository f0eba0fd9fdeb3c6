"""Consumers, routing and the channel layer interface of Channels for Django."""

from typing import Final

__all__ = ["DEFAULT_CHANNEL_LAYER", "__version__"]

#: The same as in pyproject.toml; the metadata are missing where a program is frozen or vendored.
__version__: str = "1.0.0"

DEFAULT_CHANNEL_LAYER: Final = "default"
