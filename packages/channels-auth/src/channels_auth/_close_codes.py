"""The close codes of this package: 4000 plus an HTTP status.

They stand for the status where a server cannot send one. `channels_core.close_codes` decides which
codes may be sent at all.
"""

from __future__ import annotations

from typing import Final

__all__ = ["UNAUTHORIZED", "close_code_of"]


def close_code_of(status: int) -> int:
    """Return the close code that stands for an HTTP status."""
    return 4000 + status


#: The connection has no valid login, or its login has ended.
UNAUTHORIZED: Final = close_code_of(401)
