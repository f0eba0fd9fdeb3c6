"""Receive from one channel of a layer, through its failures and up to the worker's stop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeGuard

from channels_core._layers.retry import Retry
from channels_core.exceptions import WorkerError
from channels_core.typing import ChannelMessage

__all__ = ["Receiving"]

logger = logging.getLogger("django.channels.worker")

#: Seconds. When the worker stops, a receive that is under way may still bring a message for so
#: long. To cancel one at once could lose a message: channels-redis takes it off the server before
#: it is safe, and on a busy channel most cancellations would fall into that moment.
_LAST_RECEIVE: Final = 1.0
#: Seconds after which an attempt that still waits for a message is taken to work again. Less than
#: the five after which some clients of Redis give up on an answer, though nothing is wrong.
_STEADY: Final = 3.0

_Sleep = Callable[[float], Awaitable[object]]


class Receiving:
    """The messages of one channel, one after the other."""

    def __init__(
        self, layer: Any, channel: str, stopped: asyncio.Event, retry: Retry, sleep: _Sleep
    ) -> None:
        """Take where from, and until when.

        Args:
            layer: The channel layer; `Any`, since not every layer derives from ours.
            channel: The channel's name.
            stopped: Set when no further message is wanted.
            retry: Tells when to try again after a failure.
            sleep: Waits for some seconds.
        """
        self._layer = layer
        self._channel = channel
        self._stopped = stopped
        self._retry = retry
        self._sleep = sleep
        self._has_worked = False
        self._begun: asyncio.Future[Any] | None = None

    async def next(self) -> ChannelMessage | None:
        """Return the next message; None if `stopped` is set before there is one.

        A receive that brings its message in spite of the stop loses none.

        Raises:
            WorkerError: The layer failed for too long.
        """
        while not self._stopped.is_set():
            receiving, self._begun = self._begun or self._receive(), None
            try:
                await self._wait_for(receiving)
            finally:
                await _end(receiving)
            if receiving.cancelled():
                # Since the worker stops, or by itself: then it is a failure as any other.
                error: BaseException | None = asyncio.CancelledError("from within")
            else:
                error = receiving.exception()
            if error is None:
                self._worked()
                message = receiving.result()
                if _is_message(message, self._channel):
                    return message
            elif not self._stopped.is_set():
                await self._failed(error)
        return None

    def _receive(self) -> asyncio.Future[Any]:
        receiving: asyncio.Future[Any] = asyncio.ensure_future(self._layer.receive(self._channel))
        return receiving

    async def _wait_for(self, receiving: asyncio.Future[Any]) -> None:
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            if self._retry.failures:
                await self._wait({receiving, stopped}, _STEADY)
                if not (receiving.done() or stopped.done()):
                    self._worked()
            await asyncio.wait({receiving, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                await self._wait({receiving}, _LAST_RECEIVE)
        finally:
            stopped.cancel()

    async def _wait(self, futures: set[asyncio.Future[Any]], seconds: float) -> None:
        """Wait for one of them, but no longer than some seconds."""
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait({sleeping, *futures}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()

    def _worked(self) -> None:
        self._has_worked = True
        if self._retry.failures:
            logger.info(
                "The channel layer works again for channel %r, after %d failures",
                self._channel,
                self._retry.failures,
            )
            self._retry.worked()

    async def _failed(self, error: BaseException) -> None:
        delay = self._retry.failed()
        text = f"{type(error).__name__}: {error}"
        if delay is None:
            raise WorkerError(
                f"The channel layer has failed {self._retry.failures} times within "
                f"{self._retry.seconds:.0f} seconds for channel {self._channel!r}, the last time "
                f"with {text}"
            ) from error
        if self._retry.failures == 1:
            logger.warning(
                "The channel layer failed for channel %r and is tried again: %s",
                self._channel,
                text,
            )
        if not self._has_worked:
            await self._forget()
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await self._wait({stopped}, delay)
        finally:
            stopped.cancel()

    async def _forget(self) -> None:
        """Let the layer subscribe anew.

        The layer of channels-redis that publishes and subscribes takes a channel for subscribed
        whose first subscription has failed: the next call would wait for ever. A call that is
        cancelled while it waits makes it forget the channel.
        """
        receiving = self._receive()
        await asyncio.sleep(0)
        await _end(receiving)
        if not (receiving.cancelled() or receiving.exception()):
            self._begun = receiving


async def _end(receiving: asyncio.Future[Any]) -> None:
    """See that a receive has ended, and leave its result where it is."""
    if not receiving.done():
        receiving.cancel()
        await asyncio.wait({receiving})
    if not receiving.cancelled():
        receiving.exception()  # it has been looked at, whatever becomes of it


def _is_message(message: object, channel: str) -> TypeGuard[ChannelMessage]:
    if not isinstance(message, Mapping):
        fault = f"is a {type(message).__name__}, not a dict"
    elif "type" not in message:
        fault = "has no 'type'"
    elif not (isinstance(message["type"], str) and message["type"]):
        fault = f"has a 'type' that is no name but a {type(message['type']).__name__}"
    else:
        return True
    logger.error("A message from channel %r %s; it is skipped", channel, fault)
    return False
