"""Test tools for Channels on Django: communicators, a live server, contracts, fixtures."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("channels-testing")
