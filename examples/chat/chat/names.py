"""The pattern of room names."""

from typing import Final

__all__ = ["ROOM_NAME"]

# The characters that group names of the channel layer may contain. The first one is not a dot,
# because browsers resolve "/rooms/../" to "/".
ROOM_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,49}"
