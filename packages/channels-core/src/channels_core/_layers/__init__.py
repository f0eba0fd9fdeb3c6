"""Private parts of `channels_core.layers`."""

__all__: list[str] = []
