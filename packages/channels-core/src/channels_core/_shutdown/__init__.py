"""How the connections of a process end when its server is told to stop."""

from __future__ import annotations

__all__: list[str] = []
