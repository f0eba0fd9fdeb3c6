"""Read the messages of one channel for a worker, across outages and until the worker stops.

`next()` makes one attempt after another. An attempt waits for a message or for the stop. After a
failure the next attempt waits as long as the `Backoff` says; one that has waited for some seconds
without an error counts as working again. When the worker stops, the attempt that is under way may
still bring a message for a moment, which is not lost.

If the layer gives the channel's messages again until they are acknowledged, an attempt waits for a
`Delivery`. Cancelling it loses nothing, so nothing is waited for when the worker stops.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from channels_core._layers.channels_redis import LAST_RECEIVE, subscribe_anew
from channels_core.backoff import Backoff
from channels_core.exceptions import WorkerError
from channels_core.typing import ChannelMessage

if TYPE_CHECKING:
    from channels_core._worker.acknowledgements import Acknowledgements, Job

__all__ = ["ChannelReader"]

logger = logging.getLogger("django.channels.worker")

#: Seconds: the longest wait after a first failure, and the bound of every wait.
_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 10.0
#: Seconds after which an attempt that still waits counts as working. Less than the five after
#: which some clients of Redis give up waiting for an answer, though nothing is wrong.
_STEADY: Final = 3.0

_Sleep = Callable[[float], Awaitable[object]]


class ChannelReader:
    """The messages of one channel, one after the other.

    Attributes:
        job: What settles the message that `next` has returned last; None if nothing has to.
    """

    def __init__(
        self,
        layer: Any,
        channel: str,
        stopped: asyncio.Event,
        *,
        max_outage: float,
        acknowledgements: Acknowledgements | None = None,
        failing: set[str] | None = None,
        sleep: _Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take the channel, and what ends the reading.

        Args:
            layer: The channel layer; `Any`, since not every layer derives from ours.
            channel: The channel's name.
            stopped: Set when no further message is wanted.
            max_outage: Seconds that the layer may fail before the reader gives up.
            acknowledgements: Those of the channel; None if its messages are not acknowledged.
            failing: The channels for which the layer fails at present, shared by the readers of a
                worker: the log has one line for all of them.
            sleep: Waits for some seconds.
            clock: Returns the time in seconds and never goes back.
            jitter: As for `Backoff`.
        """
        self._layer = layer
        self._channel = channel
        self._stopped = stopped
        self._acknowledgements = acknowledgements
        self._failing: set[str] = set() if failing is None else failing
        self.job: Job | None = None
        self._sleep = sleep
        self._backoff = Backoff(
            first=_FIRST_WAIT, longest=_LONGEST_WAIT, limit=max_outage, clock=clock, jitter=jitter
        )
        # Whether any attempt has worked: a layer may believe that its first one has.
        self._has_worked = False
        # An attempt that has begun already, and has a message.
        self._begun: asyncio.Future[Any] | None = None

    async def next(self) -> ChannelMessage | None:
        """Return the next message; None if `stopped` is set before one comes.

        Raises:
            WorkerError: The layer failed for too long.
        """
        while not self._stopped.is_set():
            receiving, self._begun = self._begun or self._receive(), None
            try:
                await self._wait_for(receiving)
            except BaseException:
                await _end(receiving)
                self._give_back(receiving)
                raise
            await _end(receiving)
            if receiving.cancelled():
                # By `_end`, when the worker stops. A layer that cancels its own call has failed.
                error: BaseException | None = asyncio.CancelledError("from within")
            else:
                error = receiving.exception()
            if error is None:
                self._worked()
                message: ChannelMessage = self._accept(receiving.result())
                if (fault := _fault_of(message)) is None:
                    return message
                logger.error("A message from channel %r %s; it is skipped", self._channel, fault)
                if self.job is not None:
                    self.job.failed(f"The message {fault}")
            elif not self._stopped.is_set():
                await self._failed(error)
        return None

    def _receive(self) -> asyncio.Future[Any]:
        layer = self._layer
        receive = layer.receive if self._acknowledgements is None else layer.receive_delivery
        receiving: asyncio.Future[Any] = asyncio.ensure_future(receive(self._channel))
        return receiving

    def _accept(self, received: Any) -> Any:
        """Return the message of what an attempt has brought, and keep its job."""
        if self._acknowledgements is None:
            return received
        self.job = self._acknowledgements.job(received)
        return received.message

    def _give_back(self, receiving: asyncio.Future[Any]) -> None:
        """Give a message back that has come while this task was cancelled."""
        if self._acknowledgements is None or receiving.cancelled() or receiving.exception():
            return
        self._acknowledgements.job(receiving.result()).give_back()

    async def _wait_for(self, receiving: asyncio.Future[Any]) -> None:
        """Wait until an attempt is done, or the worker has stopped and its last moment is over."""
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            if self._backoff.failures:
                await self._wait({receiving, stopped}, _STEADY)
                if not (receiving.done() or stopped.done()):
                    self._worked()
            await asyncio.wait({receiving, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done() and self._acknowledgements is None:
                await self._wait({receiving}, LAST_RECEIVE)
        finally:
            stopped.cancel()

    async def _wait(self, futures: set[asyncio.Future[Any]], seconds: float) -> None:
        """Wait for one of the futures, but no longer than some seconds."""
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait({sleeping, *futures}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()

    def _worked(self) -> None:
        self._has_worked = True
        failures = self._backoff.worked()
        self._failing.discard(self._channel)
        if failures and not self._failing:
            logger.info(
                "The channel layer works again for channel %r, after %d failures",
                self._channel,
                failures,
            )

    async def _failed(self, error: BaseException) -> None:
        """Log the first failure of an outage, and wait before the next attempt."""
        delay = self._backoff.failed()
        text = f"{type(error).__name__}: {error}"
        if delay is None:
            raise WorkerError(
                f"The channel layer has failed {self._backoff.failures} times within "
                f"{self._backoff.seconds:.0f} seconds for channel {self._channel!r}, the last "
                f"time with {text}"
            ) from error
        is_news = not self._failing
        self._failing.add(self._channel)
        if is_news:
            logger.warning(
                "The channel layer failed for channel %r and is tried again: %s",
                self._channel,
                text,
            )
        if not self._has_worked and self._acknowledgements is None:
            self._begun = await subscribe_anew(self._layer, self._channel)
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await self._wait({stopped}, delay)
        finally:
            stopped.cancel()


async def _end(receiving: asyncio.Future[Any]) -> None:
    """Cancel an attempt that is not done, wait for its end, and leave its result in it."""
    if not receiving.done():
        receiving.cancel()
        await asyncio.wait({receiving})
    if not receiving.cancelled():
        receiving.exception()  # read, so that asyncio does not log it as never retrieved


def _fault_of(message: object) -> str | None:
    """Return why something is no message, for a log that must not show it; None if it is one."""
    if not isinstance(message, Mapping):
        return f"is a {type(message).__name__}, not a dict"
    if "type" not in message:
        return "has no 'type'"
    if not isinstance(message["type"], str):
        return f"has a 'type' that is not a str: {type(message['type']).__name__}"
    return None if message["type"] else "has an empty 'type'"
