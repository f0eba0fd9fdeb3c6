"""Consumers for the protocols that browsers speak."""

__all__: list[str] = []
