"""Private parts of `channels_core.consumer`."""

__all__: list[str] = []
