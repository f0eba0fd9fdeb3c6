"""The private parts of `routing`."""

__all__: list[str] = []
