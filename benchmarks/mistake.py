"""What a user gets wrong: one line on the terminal, and no traceback."""

__all__ = ["MistakeError"]


class MistakeError(Exception):
    """What was asked for cannot be done; the text is one line that says what to do instead."""
