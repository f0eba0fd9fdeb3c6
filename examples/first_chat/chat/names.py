"""What a room may be called."""

from typing import Final

__all__ = ["ROOM_NAME"]

# The characters are those that a group of the channel layer may have in its name. The first one
# is no dot, for browsers take "/rooms/../" as the way up.
ROOM_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,49}"
