"""What the server sends, with a look ahead: whether the client leaves while a handler runs."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from channels_core.typing import AnyMessage, Message, Receive

__all__ = ["DISCONNECT", "Inbox"]

DISCONNECT: Final = "http.disconnect"


class Inbox:
    """Hand on one connection's messages in order, and read one of them ahead when asked to.

    No more than one: a client that sends a large body is to wait until it is read.

    Attributes:
        held: Whether nothing is read ahead before something is asked for. To read makes the
            server ask a client for its body that has sent `Expect: 100-continue`.
    """

    def __init__(self, receive: Receive) -> None:
        self.held = False
        self._receive = receive
        self._ready: list[Message] = []
        self._ahead: asyncio.Future[Message] | None = None
        self._put: asyncio.Future[None] | None = None
        self._on_disconnect: Callable[[], object] | None = None
        self._start: asyncio.Handle | None = None
        self._ended = False
        self._readers = 0

    def release(self) -> None:
        """Read ahead from now on: the server will not ask the client for anything more."""
        self.held = False
        if self._on_disconnect is not None:
            self.watch(self._on_disconnect)

    async def read(self) -> AnyMessage:
        """Return the next message to who watches as well, and is told of the end by it alone."""
        self._readers += 1
        try:
            return await self.get()
        finally:
            self._readers -= 1

    async def get(self) -> AnyMessage:
        """Return the next message; a cancelled call loses none."""
        if self._ready:
            return self._ready.pop(0)
        if self._ahead is None and self._on_disconnect is None and self._put is None:
            return await self._receive()
        ahead = self._look_ahead()
        # Not awaited as it is: a cancelled wait must not cancel what reads ahead.
        both: list[asyncio.Future[Any]] = [ahead, *([self._put] if self._put is not None else [])]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if self._ready:
            if self._put is not None and self._put.done():
                self.expect()
            return self._ready.pop(0)
        self._ahead = None
        message = ahead.result()
        if self._on_disconnect is not None and message["type"] != DISCONNECT:
            self._look_ahead()
        return message

    def put(self, message: Message) -> None:
        """Have a message come before all that the server sends."""
        self._ready.append(message)
        if self._put is not None and not self._put.done():
            self._put.set_result(None)

    def expect(self) -> None:
        """Let `put` reach a call of `get` that waits."""
        self._put = asyncio.get_running_loop().create_future()

    def watch(self, on_disconnect: Callable[[], object]) -> None:
        """From the next turn of the event loop on, tell when the client has left.

        A handler that is done by then costs nothing.
        """
        self._on_disconnect = on_disconnect
        if self._ended:
            self._start = asyncio.get_running_loop().call_soon(on_disconnect)
        elif not self.held:
            self._start = asyncio.get_running_loop().call_soon(self._look_ahead)

    def unwatch(self) -> None:
        """Tell no more; what was read ahead is kept."""
        self._on_disconnect = None
        if self._start is not None:
            self._start.cancel()
            self._start = None

    def _look_ahead(self) -> asyncio.Future[Message]:
        if self._ahead is None:
            self._ahead = asyncio.ensure_future(self._receive())
            self._ahead.add_done_callback(self._tell)
        return self._ahead

    def _tell(self, ahead: asyncio.Future[Message]) -> None:
        if ahead.cancelled():
            return
        goes_on = ahead.exception() is None and ahead.result()["type"] != DISCONNECT
        if goes_on or self._ended:
            return
        self._ended = True
        if self._on_disconnect is not None and not self._readers:
            self._on_disconnect()

    async def close(self) -> None:
        """Read no more."""
        if self._ahead is not None and not self._ahead.done():
            self._ahead.cancel()
            await asyncio.wait([self._ahead])
