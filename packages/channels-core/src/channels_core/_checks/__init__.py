"""The private parts of `checks`."""

from __future__ import annotations

__all__: list[str] = []
