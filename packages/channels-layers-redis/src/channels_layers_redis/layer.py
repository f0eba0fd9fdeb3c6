"""The channel layer that connects several processes through Redis or Valkey."""

from __future__ import annotations

from typing import ClassVar

from channels_core.layers import BaseChannelLayer

__all__ = ["RedisChannelLayer"]


class RedisChannelLayer(BaseChannelLayer):
    """A channel layer for several processes, on a server of Redis or Valkey."""

    reaches_other_processes: ClassVar[bool | None] = True
