"""The place of cookies, sessions and login on Channels consumers; holds its version so far."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("channels-auth")
