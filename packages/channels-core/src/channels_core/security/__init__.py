"""Protection of sockets against requests from other sites."""

from __future__ import annotations

__all__: list[str] = []
