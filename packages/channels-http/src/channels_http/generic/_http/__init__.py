"""Private parts of `channels_http.generic.http`."""

__all__: list[str] = []
