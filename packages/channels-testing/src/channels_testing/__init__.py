"""Test tools for Channels consumers and channel layers."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("channels-testing")
