"""Tell a channel layer what became of the messages that a worker has received.

A layer with the extension `acks` gives a message of some channels again until it is acknowledged.
Each such message is a `Job` here, which is settled once: it was handled, it has failed, or it goes
back to the layer, since the worker stops before it was handled. The calls run in tasks of their
own, so that no instance waits for them, and are repeated for a while in an outage.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from channels_core._cancellation import wait_despite_cancellation
from channels_core._layers.optional_methods import has_extension
from channels_core._layers.outages import is_outage
from channels_core.backoff import Backoff

if TYPE_CHECKING:
    from channels_core.layer_extensions import Delivery, QueueLimits

__all__ = ["Acknowledgements", "Job", "error_text", "queue_limits"]

logger = logging.getLogger("django.channels.worker")

#: Seconds: the longest wait after a first failure, and the bound of every wait.
_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 2.0
#: Seconds that the calls under way get when the worker ends.
_LAST_CALLS: Final = 5.0
#: Characters of an error that are kept with a message.
_LONGEST_ERROR: Final = 1000

_Call = Callable[[], Awaitable[bool]]


def queue_limits(layer: Any, channel: str) -> QueueLimits | None:
    """Return how a layer gives the messages of a channel again; None if it gives them once."""
    if not has_extension(layer, "acks"):
        return None
    limits: QueueLimits | None = layer.queue_limits(channel)
    return limits


def error_text(error: BaseException) -> str:
    """Return the type and the text of an exception, cut short; never the payload of a message."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return text[:_LONGEST_ERROR]


class Job:
    """A message that has to be settled; only the first call of its methods counts."""

    __slots__ = ("_acknowledgements", "_is_settled", "_token")

    def __init__(self, acknowledgements: Acknowledgements, token: str) -> None:
        self._acknowledgements = acknowledgements
        self._token = token
        self._is_settled = False

    def handled(self) -> None:
        """Acknowledge the message."""
        self._settle("acknowledge", self._token)

    def failed(self, error: str) -> None:
        """Have the message given again, or kept as a dead letter after its last attempt."""
        self._settle("reject", self._token, error)

    def give_back(self) -> None:
        """Let another worker have the message at once."""
        self._settle("give_back", self._token)

    def _settle(self, method: str, *args: str) -> None:
        if not self._is_settled:
            self._is_settled = True
            self._acknowledgements.begin(method, *args)


class Acknowledgements:
    """What a worker tells a layer about the messages of one channel."""

    def __init__(
        self,
        layer: Any,
        channel: str,
        limits: QueueLimits,
        *,
        max_outage: float,
        sleep: Callable[[float], Awaitable[object]],
        clock: Callable[[], float],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take the channel, and how long to repeat what fails.

        Args:
            layer: The channel layer.
            channel: The channel's name.
            limits: Those of the channel.
            max_outage: Seconds for which a call is repeated in an outage. It is not repeated for
                longer than the time after which the layer gives the message again.
            sleep: Waits for some seconds.
            clock: Returns the time in seconds and never goes back.
            jitter: As for `Backoff`.
        """
        self._layer = layer
        self._channel = channel
        self._limits = limits
        self._limit = min(max_outage, limits.redeliver_after)
        self._sleep = sleep
        self._clock = clock
        self._jitter = jitter
        # The calls under way.
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_late_logged = False

    def job(self, delivery: Delivery) -> Job:
        """Return the job of a delivery."""
        return Job(self, delivery.token)

    def begin(self, method: str, *args: str) -> None:
        """Call a method of the layer in a task of its own."""
        task = asyncio.get_running_loop().create_task(self._call(method, args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until all calls have ended, for some seconds at most; then the rest is cancelled."""
        if left := await wait_despite_cancellation(list(self._tasks), _LAST_CALLS):
            for task in left:
                task.cancel()
            await wait_despite_cancellation(left, _LAST_CALLS)
            logger.warning(
                "The channel layer was not told of %d messages of channel %r, and gives them again",
                len(left),
                self._channel,
            )

    async def _call(self, method: str, args: tuple[str, ...]) -> None:
        backoff = Backoff(
            first=_FIRST_WAIT,
            longest=_LONGEST_WAIT,
            limit=self._limit,
            clock=self._clock,
            jitter=self._jitter,
        )
        while True:
            try:
                is_current = await getattr(self._layer, method)(self._channel, *args)
            except Exception as error:
                wait = backoff.failed() if is_outage(self._layer, error) else None
                if wait is None:
                    logger.warning(
                        "%s failed for a message of channel %r, which is given again: %s",
                        method,
                        self._channel,
                        error_text(error),
                        exc_info=None if is_outage(self._layer, error) else error,
                    )
                    return
                await self._sleep(wait)
            else:
                # A call that has failed may have had its effect before.
                if not (is_current or backoff.failures or method == "give_back"):
                    self._log_late()
                return

    def _log_late(self) -> None:
        if not self._is_late_logged:
            self._is_late_logged = True
            logger.warning(
                "A message of channel %r was handled later than redeliver_after (%s seconds), so "
                "it is given again, or is a dead letter; raise redeliver_after in the layer's "
                "option 'queues' above the time that the slowest message takes",
                self._channel,
                self._limits.redeliver_after,
            )
