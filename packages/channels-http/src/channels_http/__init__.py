"""The place of HTTP consumers and the development server; holds its version so far."""

__all__ = ["__version__"]

#: The same as in pyproject.toml; the metadata are missing where a program is frozen or vendored.
__version__: str = "1.0.0"
