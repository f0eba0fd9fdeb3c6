"""Read channels that any process may read, such as those of workers.

Their messages wait in Redis. A process that wants one listens for the announcement of new ones, and
takes a message by a script, which gives each to one process only. Calls of `receive` that wait in
one event loop share one `Reader`. A message whose call was cancelled is put back as the first one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from channels_layers_redis._layer.shard import Place

__all__ = ["Reader"]

_T = TypeVar("_T")


class Reader(Generic[_T]):
    """The calls of one event loop that wait for messages of one channel."""

    def __init__(
        self,
        shard: Place,
        address: str,
        take: Callable[[int], Awaitable[list[_T]]],
        put_back: Callable[[_T], Awaitable[Any]],
    ) -> None:
        """Start without a call that waits.

        Args:
            shard: The server that has the channel.
            address: Where new messages are announced.
            take: Takes up to a number of messages.
            put_back: Puts a message back.
        """
        self._loop = asyncio.get_running_loop()
        self._shard = shard
        self._address = address
        self._take = take
        self._put_back = put_back
        self._waiting: deque[asyncio.Future[_T]] = deque()
        self._listening: asyncio.Future[Any] | None = None
        # How often something new was announced.
        self._announced = 0
        self._taking: asyncio.Task[None] | None = None
        # What is done aside, such as to put a message back.
        self._aside: set[asyncio.Task[None]] = set()
        #: Whether nobody has waited since the last look.
        self.is_idle = False

    async def next(self) -> _T:
        """Wait for the next message.

        Raises:
            redis.exceptions.RedisError: Redis cannot be asked.
        """
        self.is_idle = False
        future: asyncio.Future[_T] = self._loop.create_future()
        self._waiting.append(future)
        self._start()
        try:
            return await future
        except BaseException:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._return(future.result())
            elif future in self._waiting:
                self._waiting.remove(future)
            raise

    def announced(self, _: bytes = b"") -> None:
        """Look again: a message was added, or may have been."""
        self._announced += 1
        self._start()

    def _start(self) -> None:
        if self._waiting and self._taking is None:
            self._taking = self._loop.create_task(self._take_all())

    async def _take_all(self) -> None:
        """Take messages for all calls that wait, until there are no more."""
        try:
            if self._listening is None:
                self._listening = self._shard.listen(self._address, self.announced)
            await asyncio.shield(self._listening)
            while self._waiting:
                seen = self._announced
                wanted = len(self._waiting)
                taken = await self._take(wanted)
                for message in taken:
                    self._hand_over(message)
                if len(taken) < wanted and seen == self._announced:
                    return
        except (RedisError, OSError) as error:
            self._listening = None
            self._shard.stop_listening(self._address)
            while self._waiting:
                future = self._waiting.popleft()
                if not future.done():
                    future.set_exception(type(error)(*error.args))
        finally:
            self._taking = None

    def _hand_over(self, message: _T) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(message)
                return
        self._return(message)

    def _return(self, message: _T) -> None:
        # If Redis is away, the message is lost, as one whose delivery was cut off.
        self.do_aside(self._put_back(message))

    def do_aside(self, work: Awaitable[Any]) -> None:
        """Do something that nobody waits for, and that is left undone if Redis is away."""

        async def do() -> None:
            with suppress(RedisError, OSError):
                await work

        task = self._loop.create_task(do())
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    def sweep(self) -> bool:
        """Return whether nobody has waited for some time, and if so stop listening."""
        if self._waiting or self._taking is not None:
            return False
        if not self.is_idle:
            self.is_idle = True
            return False
        self._shard.stop_listening(self._address)
        return True

    async def close(self) -> None:
        """Stop taking, and put back what nobody waits for."""
        if self._taking is not None:
            await asyncio.wait([self._taking], timeout=1)
        if self._aside:
            await asyncio.wait(list(self._aside))
