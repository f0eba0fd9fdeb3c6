"""Private parts of `channels_http.generic.sse`."""

__all__: list[str] = []
