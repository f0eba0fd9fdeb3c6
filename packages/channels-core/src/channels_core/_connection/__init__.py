"""Private parts of `channels_core.connection`."""

__all__: list[str] = []
