"""Private parts of `channels_core.generic.websocket`."""

__all__: list[str] = []
