"""The private parts of `worker` and of the `runworker` command."""

from __future__ import annotations

__all__: list[str] = []
