"""Consumers for the protocols that browsers speak."""

from __future__ import annotations

__all__: list[str] = []
