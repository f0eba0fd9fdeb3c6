"""The private parts of `layers`."""

__all__: list[str] = []
