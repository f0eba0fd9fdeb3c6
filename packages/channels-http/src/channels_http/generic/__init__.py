"""Consumers for HTTP."""

__all__: list[str] = []
