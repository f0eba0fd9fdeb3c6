"""Test tools for Channels on Django: communicators, a live server, contracts, fixtures."""

__all__ = ["__version__"]

#: The same as in pyproject.toml; the metadata are missing where a program is frozen or vendored.
__version__: str = "1.0.0"
