"""The place of HTTP consumers and the development server; holds its version so far."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("channels-http")
