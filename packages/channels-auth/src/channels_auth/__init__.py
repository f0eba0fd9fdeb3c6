"""Cookies, sessions, login and logout on WebSockets and other ASGI connections of Django."""

__all__ = ["__version__"]

#: The same as in pyproject.toml; the metadata are missing where a program is frozen or vendored.
__version__: str = "1.0.0"
