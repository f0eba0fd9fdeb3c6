"""Log what clients cause, so that no client can fill or forge the log; for authors of plugins."""

from __future__ import annotations

from typing import Final

from channels_core._logging import log_of_client

__all__ = ["log_of_client", "one_line"]

_LONGEST: Final = 1000


def one_line(text: str) -> str:
    """Return a text for the log: of bounded length, and on one line."""
    # Cut first, since the text may be long, and again, since escapes make it longer.
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= _LONGEST + 3 else f"{text[:_LONGEST]}..."
