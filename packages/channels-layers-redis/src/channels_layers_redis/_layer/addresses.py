"""The names under which processes publish and listen.

What stands between `{` and `}` decides in which slot of a cluster a name is.
"""

from __future__ import annotations

__all__ = ["TOKEN_LENGTH", "Addresses", "token_of"]

#: The length of the random part in the name of a channel that names its process.
TOKEN_LENGTH = 16


class Addresses:
    """The addresses below a prefix.

    Attributes:
        control: Where all processes listen.
    """

    __slots__ = ("_prefix", "control")

    def __init__(self, prefix: str) -> None:
        """Take the prefix, as in the option of the layer."""
        self._prefix = prefix
        self.control = f"{prefix}:control"

    def process(self, token: str) -> str:
        """Return where a process listens for its channels."""
        return f"{self._prefix}:process:{{{token}}}"

    def group(self, group: str) -> str:
        """Return where the messages of a group are published."""
        return f"{self._prefix}:group:{{{group}}}"

    def answers(self, number: str) -> str:
        """Return the key of the list for the answer to a request."""
        return f"{self._prefix}:answer:{{{number}}}"

    @property
    def everything(self) -> str:
        """A pattern of all keys."""
        escaped = "".join(f"\\{one}" if one in "*?[]\\" else one for one in self._prefix)
        return f"{escaped}:*"


def token_of(channel: str) -> str:
    """Return the part of a channel's name that names its process; empty if it names none."""
    local, mark, _ = channel.partition("!")
    return local[-TOKEN_LENGTH:] if mark else ""
