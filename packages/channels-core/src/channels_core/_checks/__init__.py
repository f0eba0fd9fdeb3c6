"""The private parts of `checks`."""

__all__: list[str] = []
