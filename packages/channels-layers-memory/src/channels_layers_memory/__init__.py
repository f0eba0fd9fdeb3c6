"""The in-memory channel layer of Channels for Django."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("channels-layers-memory")
