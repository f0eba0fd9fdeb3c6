"""How a consumer ends because its server is stopping, or because its channel layer has failed."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, ClassVar, Final

from channels_core._layers.outages import is_outage
from channels_core._serving import connections_here
from channels_core.abort import close_with
from channels_core.exceptions import StopConsumer
from channels_core.refusal import refuse
from channels_core.typing import Receive, Scope, Send

if TYPE_CHECKING:
    from channels_core._dispatch import MessageLoop

__all__ = ["DrainedConsumer"]

logger = logging.getLogger("django.channels.drain")

_RESTART: Final = 1012  # IANA, "WebSocket Close Code Number Registry": service restart
_GOODBYE: Final = "Service restart"
# Seconds: a client may be gone without a word.
_GOODBYE_WITHIN: Final = 2


class DrainedConsumer:
    """The part of a consumer that ends it in good order, though nobody has closed it."""

    _channels_framework: ClassVar[bool] = True
    # Whether this connection ends because the server is stopping, or the channel layer has failed.
    _channels_drained = False

    # Of the consumer this is mixed into.
    scope: Scope
    channel_layer: Any
    channel_receive: Receive
    _channels_loop: "MessageLoop | None"

    def _channels_is_connection(self) -> bool:
        """Tell whether this is a connection; a worker looks after its consumers itself."""
        return self.scope.get("type") in ("websocket", "http")

    def _channels_drain(self) -> None:
        """End once the handler that runs has ended."""
        self._channels_drained = True
        if self._channels_loop is not None:
            self._channels_loop.stop(StopConsumer())

    def _channels_cut(self) -> None:
        """Cancel the handler that runs, and end."""
        if self._channels_loop is not None:
            self._channels_loop.stop(StopConsumer(), at_once=True)

    def _channels_end_together(self, error: Exception) -> None:
        """Have the others end that receive from the same layer, if it was that which failed.

        Only some of them may see it fail, and none can know whether it has lost messages and
        groups. So their clients connect again, and they join their groups anew.
        """
        loop = self._channels_loop
        if self._channels_drained or loop is None or loop.failed_source is None:
            return
        layer = self.channel_layer
        if loop.failed_source is getattr(self, "channel_receive", None) and is_outage(layer, error):
            for other in connections_here():
                if other.channel_layer is layer:
                    other._channels_drain()

    async def _channels_come_late(self, receive: Receive, send: Send) -> None:
        """Refuse a handshake while the server stops; a request is answered, but not held."""
        self._channels_drained = True
        if self.scope["type"] == "websocket":
            await refuse(self.scope, receive, send, 503, body=_GOODBYE, code=_RESTART)
            raise StopConsumer

    async def _channels_say_goodbye(self, send: Send) -> None:
        """Tell the client of a WebSocket to come back."""
        if self.scope["type"] != "websocket" or not self._channels_may_close(_RESTART, _GOODBYE):
            return
        try:
            async with asyncio.timeout(_GOODBYE_WITHIN):
                if not close_with(self.scope, _RESTART, _GOODBYE):
                    await send({"type": "websocket.close", "code": _RESTART, "reason": _GOODBYE})
        except Exception:
            logger.debug("A client could not be told to come back", exc_info=True)

    def _channels_may_close(self, code: int, reason: str) -> bool:
        """Tell whether the client is still there, and take note that we close."""
        return True
