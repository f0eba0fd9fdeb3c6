"""Time limits for the clean-up of connections, and waits that a cancellation does not end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection
from typing import Any, Final

from channels_core._eager import Rest, begin

__all__ = ["Bound", "wait_despite_cancellation"]

#: Seconds until a task that ignores its cancellation is cancelled again.
_INSIST_AFTER: Final = 0.2


class Bound:
    """A time limit for work, with a clock that can be stopped.

    Many connections that end at once wait for a free thread. Their clocks are stopped meanwhile:
    the limit is for each connection's own clean-up.
    """

    __slots__ = ("_left", "_loop", "_since", "_timeout")

    def __init__(self, seconds: float) -> None:
        """Start the clock.

        Args:
            seconds: The limit.
        """
        self._loop = asyncio.get_running_loop()
        # The seconds that were left when the clock was started last.
        self._left = seconds
        # When that was, by the event loop's clock; None while the clock is stopped.
        self._since: float | None = self._loop.time()
        # The timeout of `run`, while it waits.
        self._timeout: asyncio.Timeout | None = None

    @property
    def left(self) -> float:
        """The seconds that are left; 0 or less once the limit is reached."""
        return self._left - (0 if self._since is None else self._loop.time() - self._since)

    def pause(self) -> None:
        """Stop the clock."""
        self._left, self._since = self.left, None
        if self._timeout is not None:
            self._timeout.reschedule(None)

    def go_on(self) -> None:
        """Start the clock again, if it is stopped."""
        if self._since is None:
            self._since = self._loop.time()
            if self._timeout is not None:
                self._timeout.reschedule(self._since + self._left)

    def at_least(self, seconds: float) -> None:
        """Extend the limit to some seconds from now, if fewer are left."""
        if self._since is None:
            self._left = max(self._left, seconds)
            return
        now = self._loop.time()
        if self._left - (now - self._since) < seconds:
            self._left, self._since = seconds, now

    async def run(self, work: Awaitable[None]) -> None:
        """Wait for an awaitable, and cancel it at the limit.

        Most clean-ups never wait, so the timer is made when the work waits for the first time.

        Raises:
            TimeoutError: The limit was reached.
        """
        rest = begin(work)
        if rest is not None:
            await self.run_rest(rest)

    async def run_rest(self, rest: Rest) -> None:
        """Wait for some work that has begun, and cancel it at the limit.

        Raises:
            TimeoutError: The limit was reached.
        """
        async with asyncio.timeout(None if self._since is None else self.left) as timeout:
            self._timeout = timeout
            try:
                if await rest.first_wait():
                    await rest
            finally:
                self._timeout = None


async def wait_despite_cancellation(
    tasks: Collection[asyncio.Task[Any]],
    timeout: float | Bound,
    *,
    insist: bool = False,
) -> Collection[asyncio.Task[Any]]:
    """Wait for tasks to end, even while this task is being cancelled.

    Args:
        tasks: The tasks; their results and exceptions are left to the caller.
        timeout: Seconds to wait at most.
        insist: Whether to cancel the tasks again every 0.2 seconds. Some clients of Redis and
            Valkey ignore the first cancellation.

    Returns:
        The tasks that have not ended.

    Raises:
        asyncio.CancelledError: After the wait, if this task was cancelled during it.
    """
    bound = timeout if isinstance(timeout, Bound) else Bound(timeout)
    cancelled: asyncio.CancelledError | None = None
    pending: Collection[asyncio.Task[Any]] = [task for task in tasks if not task.done()]
    while pending and (left := bound.left) > 0:
        try:
            seconds = min(left, _INSIST_AFTER) if insist else left
            _, pending = await asyncio.wait(pending, timeout=seconds)
        except asyncio.CancelledError as error:
            # Raised after the wait.
            cancelled = error
            pending = [task for task in pending if not task.done()]
        if insist:
            for task in pending:
                task.cancel()
    if cancelled is not None:
        raise cancelled
    return pending
