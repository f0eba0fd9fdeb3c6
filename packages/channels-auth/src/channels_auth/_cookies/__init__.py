"""The private parts of `cookies`."""

__all__: list[str] = []
