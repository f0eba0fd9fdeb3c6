"""Long-lived HTTP consumers and the development server of Channels for Django."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("channels-http")
