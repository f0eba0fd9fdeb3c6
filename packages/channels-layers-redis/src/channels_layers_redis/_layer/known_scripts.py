"""Send a script whole only to a server that does not know it yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from channels_layers_redis._layer.wire import Command, Wire
    from channels_layers_redis._scripts.calls import Call

__all__ = ["KnownScripts"]


class KnownScripts:
    """The scripts that the present connection of a wire has sent whole."""

    def __init__(self, wire: Wire) -> None:
        """Start without a script."""
        self._wire = wire
        self._known: set[str] = set()
        self._known_on: object = None

    def command(self, call: Call[Any]) -> Command:
        """Return the command that runs a script; its answer may be that the script is unknown."""
        if self._known_on is not self._wire.lost or self._known_on is None:
            # Another server may not know the scripts of the one before.
            self._known.clear()
            self._known_on = self._wire.lost
        if call.script.sha in self._known:
            return ("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.arguments)
        self._known.add(call.script.sha)
        return self.whole(call)

    @staticmethod
    def whole(call: Call[Any]) -> Command:
        """Return the command that runs a script on any server."""
        return ("EVAL", call.script.text, len(call.keys), *call.keys, *call.arguments)
