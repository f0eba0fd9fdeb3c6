"""The worker: receives the messages of named channels and runs the application for them."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Final

from asgiref.server import StatelessServer

from channels_core._cancellation import wait_despite_cancellation
from channels_core._failure_log import text_with_notes, was_logged
from channels_core._layers.endings import close_layer
from channels_core._worker.reader import ChannelReader
from channels_core._worker.slots import Instance, Instances
from channels_core.applications import as_asgi3
from channels_core.exceptions import RouteNotFound
from channels_core.layers import BaseChannelLayer
from channels_core.typing import Message, Scope

__all__ = ["Worker"]

logger: Final = logging.getLogger("django.channels.worker")

#: Seconds for listeners of a subclass to end when the worker stops; ours take about one.
_LISTENERS: Final = 5.0
#: Seconds for the clean-up of instances at the end; consumers bound their own.
_CLEAN_UP: Final = 15.0


class Worker(StatelessServer):
    """Runs an application for the messages of some channels.

    A message is taken from the layer only when an application instance is free for it. An
    instance that asks for its next message gets it; for one that has ended there is a new one.
    Programs subclass it and override `listener`, `handle` or `application_exception`.

    Attributes:
        concurrency: How many instances, and so messages at a time, each channel has at most.
        graceful_timeout: Seconds that running work is given when the worker stops.
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
        """Take what to run and what to listen to.

        Scope:
            Each instance of the application gets `{"type": "channel", "channel": name}`.

        Args:
            application: An ASGI application or a consumer class.
            channels: The names of the channels.
            channel_layer: The layer to receive from; one with a coroutine method `close` or
                `close_pools` is closed at the end.
            max_applications: How many instances there are at most over all channels, idle ones
                included. A channel that needs room ends the instance that is idle for the
                longest time; if none is, it takes no message until one is.
            concurrency: How many instances each channel has at most. With 1 the messages of a
                channel are handled one after the other, in their order.
            graceful_timeout: Seconds that running work is given when the worker stops.
            max_outage: Seconds that the layer may fail before the worker gives up.
            sleep: Waits for some seconds; a test may bring its own.
            clock: Tells the time in seconds and never turns back; a test may bring its own.

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

    # Made when first used: the attributes may be set until then, and a subclass may call
    # `listener` from a `handle` of its own.
    @cached_property
    def _instances(self) -> Instances:
        return Instances(self._run_instance, self.concurrency, self.max_applications)

    # Start and stop

    def run(self) -> None:
        """Run an event loop of its own until `stop` is called, or CTRL+C."""
        super().run()  # type: ignore[no-untyped-call] # asgiref's

    async def arun(self) -> None:
        """Listen until `stop` is called, and end all instances."""
        self._begin()
        # For instances that a subclass makes with the methods of the base.
        checking = asyncio.ensure_future(self.application_checker())  # type: ignore[no-untyped-call] # asgiref's
        try:
            await self.handle()
        finally:
            checking.cancel()
            # Once more, where a subclass has a `handle` of its own.
            await self._end()

    def stop(self) -> None:
        """Take no more messages, and end once the running work has ended; from any thread."""
        self._is_stopping = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self._stopped.set()
        self._instances.close()

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        # Looked at last: `stop` may be called from a signal's handler at any moment.
        if self._is_stopping:
            self._stop()

    async def handle(self) -> None:
        """Listen to all channels until `stop` is called.

        Raises:
            WorkerError: The layer failed for too long; running work was given its time.
            Exception: What else a listener of a subclass raised.
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
                # Those of a subclass need not know of `stop`.
                await asyncio.wait(listening, timeout=_LISTENERS)
        finally:
            stopped.cancel()

    async def _end(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._stop()
        await self._instances.wait(self.graceful_timeout)
        if cut := self._instances.cut():
            logger.warning(
                "%d messages were cut off after %s seconds of grace; by channel: %s",
                cut.total(),
                self.graceful_timeout,
                _counted(cut),
            )
        await self._instances.wait(_CLEAN_UP)
        if left := self._instances.left:
            logger.error(
                "Instances did not end within %s seconds after they were cancelled; by channel: %s",
                _CLEAN_UP,
                _counted(left),
            )
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
            From the layer: each a dict with a `type`. Others are logged and skipped.

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
            sleep=self._sleep,
            clock=self._clock,
        )
        while seat := await self._instances.reserve(channel):
            message = None
            try:
                message = await reader.next()
            finally:
                if message is None:
                    self._instances.release(seat)
                else:
                    self._instances.give(seat, message)

    async def _run_instance(self, instance: Instance) -> None:
        scope: Scope = {"type": "channel", "channel": instance.channel}

        async def send(message: Message) -> None:
            await self.application_send(scope, message)

        try:
            await self.application(scope, instance.receive, send)
        except asyncio.CancelledError:
            if instance.is_ended:
                raise
            _tell_loss(instance, "was cancelled from within")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it costs this message only
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
                _tell_loss(instance, "ended without having asked for it")

    async def application_send(self, scope: Scope, message: Message) -> None:
        """Refuse what an application sends: there is no client.

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
        """Log an exception that the application raised; override to tell others as well.

        Consumers log their own failures, and these are not logged again.

        Args:
            exception: The exception.
            application_details: The instance's `scope` and `future`, and the `message` it had,
                if it had one.
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
    """Return a message's type for the log, where its payload has no place."""
    return "unknown" if message is None else f"{message['type']!r:.100}"


def _tell_loss(instance: Instance, why: str) -> None:
    if instance.message is not None:
        logger.error(
            "A message of type %s from channel %r is lost: the application %s",
            _type_of(instance.message),
            instance.channel,
            why,
        )


def _counted(channels: Counter[str]) -> str:
    return ", ".join(f"{channel!r}: {number}" for channel, number in sorted(channels.items()))
