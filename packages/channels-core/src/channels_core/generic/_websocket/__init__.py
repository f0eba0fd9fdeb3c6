"""Private parts of `channels_core.generic.websocket`."""

from __future__ import annotations

__all__: list[str] = []
