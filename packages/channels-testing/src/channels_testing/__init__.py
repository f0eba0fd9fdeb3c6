"""The place of the test tools of Channels; holds its version so far."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("channels-testing")
