"""Private parts of `channels_core.connection`."""

from __future__ import annotations

__all__: list[str] = []
