"""The worker: receive the messages of named channels, and run the application for them.

For each channel a listener reserves a slot, reads a message (`_worker/reader.py`), and gives it to
the slot's instance of the application (`_worker/slots.py`). `stop` ends the listeners; then
the instances get `graceful_timeout` to finish their messages, the rest is cancelled, and the
layer is closed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, Final

from asgiref.server import StatelessServer

from channels_core._cancellation import wait_despite_cancellation
from channels_core._failure_log import text_with_notes, was_logged
from channels_core._layers.optional_methods import close_layer
from channels_core._worker.acknowledgements import Acknowledgements, error_text, queue_limits
from channels_core._worker.reader import ChannelReader
from channels_core._worker.slots import Instance, Slots
from channels_core.applications import as_asgi3
from channels_core.exceptions import RouteNotFound
from channels_core.layers import BaseChannelLayer
from channels_core.typing import Message, Scope

__all__ = ["Worker"]

logger: Final = logging.getLogger("django.channels.worker")

#: Seconds that listeners get to end when the worker stops. Ours take one; a subclass may override
#: `listener`.
_LISTENERS: Final = 5.0
#: Seconds that cancelled instances get for their clean-up. Consumers bound their own.
_CLEAN_UP: Final = 15.0


class Worker(StatelessServer):
    """Run an application for the messages of some channels.

    A message is taken from the layer only when an instance of the application can handle it. An
    instance that asks for its next message gets it; one that has ended is replaced by a new one.

    If the layer gives the messages of a channel again until they are acknowledged, one is
    acknowledged when its instance asks for the next message, or ends without an exception.
    Programs subclass this class and override `listener`, `handle` or `application_exception`.

    Attributes:
        concurrency: The number of instances, and so of messages at the same time, that each
            channel has at most.
        graceful_timeout: Seconds that the messages under way get when the worker stops.
        max_outage: Seconds that the layer may fail before the worker gives up.

    Source: `asgiref.server.StatelessServer`.
    """

    application: Any

    def __init__(
        self,
        application: Any,
        channels: Iterable[str],
        channel_layer: Any,
        max_applications: int = 1000,
        *,
        concurrency: int = 10,
        graceful_timeout: float = 30,
        max_outage: float = 60,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the application and the channels.

        Scope:
            Each instance of the application gets `{"type": "channel", "channel": name}`.

        Args:
            application: An ASGI application or a consumer class.
            channels: The names of the channels.
            channel_layer: The layer to receive from; one with a coroutine method `close` or
                `close_pools` is closed at the end.
            max_applications: The number of instances over all channels, idle ones included. A
                channel that needs another one ends the instance that has been idle for the
                longest time; without an idle one it waits.
            concurrency: The number of instances that each channel has at most. With 1 the
                messages of a channel are handled one after the other, in their order.
            graceful_timeout: Seconds that the messages under way get when the worker stops.
            max_outage: Seconds that the layer may fail before the worker gives up.
            sleep: Waits for a number of seconds; a test may bring its own.
            clock: Returns the time in seconds and never goes back; a test may bring its own.

        Raises:
            TypeError: The application cannot be called.
            ValueError: A number is out of its range, or there are more channels than instances.
        """
        super().__init__(as_asgi3(application), max_applications)  # type: ignore[no-untyped-call] # asgiref's
        self.channels: list[str] = list(channels)
        self.channel_layer: BaseChannelLayer = channel_layer
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency!r}")
        if max_applications < len(set(self.channels)):
            raise ValueError(
                f"max_applications must be at least the number of channels, since each needs an "
                f"instance: {max_applications!r} for {len(set(self.channels))}"
            )
        if graceful_timeout < 0 or max_outage < 0:
            raise ValueError(
                "graceful_timeout and max_outage must be seconds of at least 0, not "
                f"{graceful_timeout!r} and {max_outage!r}"
            )
        self.concurrency: int = concurrency
        self.graceful_timeout: float = graceful_timeout
        self.max_outage: float = max_outage
        self._sleep = sleep
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopping = False
        self._has_ended = False
        self._stopped = asyncio.Event()
        # The channels for which the layer fails at present.
        self._failing: set[str] = set()
        # Those of the channels whose messages are acknowledged.
        self._acknowledgements: list[Acknowledgements] = []

    # Made when it is first used: until then a program may set the attributes. A subclass may call
    # `listener` from its own `handle`.
    @cached_property
    def _slots(self) -> Slots:
        return Slots(self._run_instance, self.concurrency, self.max_applications)

    # Start and stop

    def run(self) -> None:
        """Run an event loop of its own until `stop` is called, or CTRL+C."""
        # Older releases of asgiref expect that the thread already has an event loop.
        with suppress(KeyboardInterrupt):
            asyncio.run(self.arun())

    async def arun(self) -> None:
        """Listen until `stop` is called, and end all instances."""
        self._begin()
        # For instances that a subclass makes by methods of `StatelessServer`.
        checking = asyncio.ensure_future(self.application_checker())  # type: ignore[no-untyped-call] # asgiref's
        try:
            await self.handle()
        finally:
            checking.cancel()
            # A subclass may override `handle`, which calls this otherwise.
            await self._end()

    def stop(self) -> None:
        """Take no more messages, and end once those under way are handled; from any thread."""
        self._is_stopping = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self._stopped.set()
        self._slots.close()

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        # Checked last: a signal handler may call `stop` at any moment.
        if self._is_stopping:
            self._stop()

    async def handle(self) -> None:
        """Listen to all channels until `stop` is called.

        Raises:
            WorkerError: The layer failed for too long; messages under way got their time.
            Exception: Another exception of a subclass's listener.
        """
        self._begin()
        listeners = {
            asyncio.ensure_future(self.listener(channel))
            for channel in dict.fromkeys(self.channels)
        }
        try:
            await self._until_stopped(listeners)
        except asyncio.CancelledError:
            self.graceful_timeout = 0
            raise
        finally:
            self._stop()
            for task in listeners:
                task.cancel()
            await wait_despite_cancellation(listeners, _CLEAN_UP)
            await self._end()
        for task in listeners:
            if not task.cancelled() and (error := task.exception()):
                raise error

    async def _until_stopped(self, listeners: set[asyncio.Task[None]]) -> None:
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            listening = set(listeners)
            while listening and not stopped.done():
                done, _ = await asyncio.wait({stopped, *listening}, return_when="FIRST_COMPLETED")
                listening -= done
                if any(not task.cancelled() and task.exception() for task in done):
                    self._stop()
            if listening:
                # A listener of a subclass may not react to `stop`.
                await asyncio.wait(listening, timeout=_LISTENERS)
        finally:
            stopped.cancel()

    async def _end(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._stop()
        await self._slots.wait(self.graceful_timeout)
        if cut := self._slots.cut():
            logger.warning(
                "%d messages were cut off after %s seconds of grace; by channel: %s",
                cut.total(),
                self.graceful_timeout,
                _counted(cut),
            )
        await self._slots.wait(_CLEAN_UP)
        if left := self._slots.left:
            logger.error(
                "Instances did not end within %s seconds after they were cancelled; by channel: %s",
                _CLEAN_UP,
                _counted(left),
            )
        for each in self._acknowledgements:
            await each.settled()
        await self._close_layer()

    async def _close_layer(self) -> None:
        try:
            await close_layer(self.channel_layer)
        except Exception:
            logger.exception("The channel layer could not be closed")

    # Messages

    async def listener(self, channel: str) -> None:
        """Receive the messages of one channel, and have each of them handled.

        Messages:
            From the layer, each a dict with a `type`. Anything else is logged and skipped.

        Args:
            channel: The channel's name.

        Raises:
            WorkerError: The layer failed for too long.
        """
        self._begin()
        reader = ChannelReader(
            self.channel_layer,
            channel,
            self._stopped,
            max_outage=self.max_outage,
            acknowledgements=self._acknowledge(channel),
            failing=self._failing,
            sleep=self._sleep,
            clock=self._clock,
        )
        while slot := await self._slots.reserve(channel):
            message = None
            try:
                message = await reader.next()
            finally:
                if message is None:
                    self._slots.release(slot)
                else:
                    self._slots.give(slot, message, reader.job)

    def _acknowledge(self, channel: str) -> Acknowledgements | None:
        """Return what acknowledges the messages of a channel; None if the layer gives each once."""
        limits = queue_limits(self.channel_layer, channel)
        if limits is None:
            return None
        found = Acknowledgements(
            self.channel_layer,
            channel,
            limits,
            max_outage=self.max_outage,
            sleep=self._sleep,
            clock=self._clock,
        )
        self._acknowledgements.append(found)
        return found

    async def _run_instance(self, instance: Instance) -> None:
        scope: Scope = {"type": "channel", "channel": instance.channel}

        async def send(message: Message) -> None:
            await self.application_send(scope, message)

        try:
            await self.application(scope, instance.receive, send)
        except asyncio.CancelledError:
            if instance.is_ended:
                raise
            _log_loss(instance, "was cancelled from within")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it costs this message only
            # Now: the task may be cancelled below.
            if instance.job is not None:
                instance.job.failed(error_text(error))
            details = {
                "scope": scope,
                "future": asyncio.current_task(),
                "message": instance.message,
            }
            try:
                await self.application_exception(error, details)
            except Exception:
                logger.exception("%s.application_exception failed", type(self).__name__)
        else:
            if instance.is_fresh:
                _log_loss(instance, "ended without having asked for it")
            elif instance.job is not None:
                instance.job.handled()

    async def application_send(self, scope: Scope, message: Message) -> None:
        """Refuse a message that an application sends: a worker has no client.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            f"The application for channel {scope.get('channel')!r} sent a message of type "
            f"{message.get('type')!r:.100}, but in a worker there is no client to send it to; send "
            "over the channel layer instead"
        )

    async def application_exception(
        self, exception: BaseException, application_details: Mapping[str, Any]
    ) -> None:
        """Log an exception of the application; override it to report the exception elsewhere.

        An exception that a consumer has logged already is not logged again.

        Args:
            exception: The exception.
            application_details: The `scope` and the `future` of the instance, and its `message`,
                which may be None.
        """
        if was_logged(exception):
            return
        message = application_details.get("message")
        arguments = _type_of(message), application_details["scope"].get("channel")
        if isinstance(exception, RouteNotFound):
            logger.error(
                "A message of type %s from channel %r is lost: %s",
                *arguments,
                text_with_notes(exception),
            )
        else:
            logger.error(
                "The application failed for a message of type %s from channel %r",
                *arguments,
                exc_info=exception,
            )


def _type_of(message: Mapping[str, Any] | None) -> str:
    """Return the type of a message for the log, which must not show the payload."""
    return "unknown" if message is None else f"{message['type']!r:.100}"


def _log_loss(instance: Instance, why: str) -> None:
    """Log that a message was not handled, and have it given again if the layer can."""
    if instance.message is None:
        return
    job = instance.job
    if job is not None:
        job.failed(f"The application {why}")
    logger.error(
        "A message of type %s from channel %r is %s: the application %s",
        _type_of(instance.message),
        instance.channel,
        "lost" if job is None else "not handled",
        why,
    )


def _counted(channels: Counter[str]) -> str:
    return ", ".join(f"{channel!r}: {number}" for channel, number in sorted(channels.items()))
