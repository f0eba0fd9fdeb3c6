"""Cookies, sessions, login and logout on WebSockets and other ASGI connections of Django."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("channels-auth")
