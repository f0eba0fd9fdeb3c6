"""The private parts of `routing`."""

from __future__ import annotations

__all__: list[str] = []
