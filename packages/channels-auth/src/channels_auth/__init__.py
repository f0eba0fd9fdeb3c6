"""Cookies, sessions and login for Channels consumers, the way Django does them."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("channels-auth")
