"""Hand the messages of several sources to one connection, one at a time, in order of arrival."""

import asyncio
import contextvars
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Generator,
    Iterable,
    Sequence,
)
from functools import partial
from time import monotonic
from types import coroutine
from typing import Any, Final, TypeAlias

from channels_core.typing import AnyMessage, Message, Receive

__all__ = [
    "Bound",
    "MessageLoop",
    "Source",
    "await_many_dispatch",
    "run_despite_cancellation",
    "wait_despite_cancellation",
]

Dispatch: TypeAlias = Callable[[Message], Awaitable[None]]

Source: TypeAlias = tuple[Receive, Dispatch] | tuple[Receive, Dispatch, Callable[[], Any] | None]

# A source that always has a message ready would never let anything else run, since nothing on its
# way waits. It gives way after each message if something is ready to run, and at least after this
# many messages, or this many seconds of work, for what has come from outside meanwhile.
_BURST_MESSAGES: Final = 16
_BURST_SECONDS: Final = 0.001
#: Seconds after which a task that was cancelled is cancelled once more.
_INSIST_AFTER: Final = 0.2

_MISSING: Final = object()


class MessageLoop:
    """Dispatch what several sources receive, one message at a time.

    The first source is read in the task that calls `run`, each further one in a task of its
    own; a message creates no task. A lock that serves in order of asking keeps the order of
    arrival and lets no source starve another. Context variables that one message's handler set
    are seen by the next, whichever source it comes from, as if one task handled them all.
    """

    def __init__(self, *sources: Source, late: bool = False) -> None:
        """Take the sources.

        Args:
            sources: What to wait for a message with, and what to handle it with; and for some,
                what tells whether the wait would be over at once.
            late: Whether the tasks for further sources are made in the next turn of the event
                loop: not at all, where the first source has ended it all by then.
        """
        #: The source that could not be received from, once there is one.
        self.failed_source: Receive | None = None
        self._sources = sources
        self._late = late
        self._turn = asyncio.Lock()
        self._failure: BaseException | None = None
        self._handling = False
        self._interrupted = False
        self._main: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: contextvars.Context | None = None
        self._last_source: object = None
        # Whether something was ready to run after the last message, and was not let run by us.
        self._others_wait = False

    async def run(self, timeout: float) -> None:
        """Run until a source or a handler raises, or `stop` is called.

        Args:
            timeout: Seconds to wait at the end for handlers that do not react to being
                cancelled.

        Raises:
            BaseException: What ended the loop; it never ends otherwise.
        """
        first, *others = self._sources
        main = self._main = asyncio.current_task()
        assert main is not None  # an asyncio program is running us
        cancels = main.cancelling()
        self._loop = asyncio.get_running_loop()
        if others:
            self._context = contextvars.copy_context()
        tasks: list[asyncio.Task[None]] = []

        def start() -> None:
            tasks.extend(asyncio.create_task(self._run_beside(other)) for other in others)

        starting: asyncio.Handle | None = None
        if self._late:
            starting = self._loop.call_soon(start)
        else:
            start()
        try:
            await self._pump(*first)
        except asyncio.CancelledError:
            if not self._interrupted or self._failure is None or main.uncancel() > cancels:
                raise
            # It was `stop` that woke this task.
            raise self._failure from None
        finally:
            self._main = None
            if starting is not None:
                starting.cancel()
            try:
                if tasks:
                    for task in tasks:
                        task.cancel()
                    await wait_despite_cancellation(tasks, timeout, insist=self._receives)
            finally:
                # No circle is left to the garbage collector: the sources hold who holds us, and
                # so does the traceback of a failure. There is still one, for a handler that
                # goes on.
                self._sources = ()
                self._failure = asyncio.CancelledError()

    def _receives(self) -> bool:
        """Return whether no handler runs, so that a source can be interrupted again."""
        return not self._handling

    def stop(self, failure: BaseException, *, at_once: bool = False) -> None:
        """End the loop with an exception, once the handler that runs now has ended.

        Args:
            failure: The exception, unless there is one already.
            at_once: Whether that handler is cancelled.
        """
        if self._failure is None:
            self._failure = failure
        if self._interrupted or self._main is None:
            return
        if at_once or not self._handling:
            self._interrupted = True
            self._main.cancel()

    def stop_later(self, seconds: float, failure: BaseException) -> None:
        """Call `stop` after some seconds; from any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            stop = partial(self.stop, failure)
            loop.call_soon_threadsafe(loop.call_later, seconds, stop)

    async def _run_beside(self, source: Source) -> None:
        try:
            await self._pump(*source)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - `run` raises it
            # Without `_main` the loop is at its end and has cancelled us. Otherwise it is a
            # failure, also where a handler let some other task's cancellation through.
            self.stop(error)

    async def _pump(  # noqa: C901 - the price of no call for each message
        self, receive: Receive, dispatch: Dispatch, has_messages: Callable[[], Any] | None = None
    ) -> None:
        alone = len(self._sources) == 1
        # What runs next in this thread; None where the event loop is none of asyncio's own.
        ready = getattr(self._loop, "_ready", None)
        messages = 0
        seconds = 0.0
        while True:
            try:
                message = await receive()
            except Exception:
                self.failed_source = receive
                raise
            started = monotonic()
            if not alone:
                await self._turn.acquire()
            try:
                if alone:
                    await self._handle(dispatch, message)
                else:
                    if self._last_source is not receive:
                        if self._others_wait and (ready is None or ready):
                            await _give_way()
                        self._last_source = receive
                        _adopt(self._context)
                    if self._failure is not None:
                        raise self._failure
                    try:
                        await self._handle(dispatch, message)
                    except BaseException as error:
                        # Before the turn ends: nothing is handled after a failure.
                        if not (self._interrupted and isinstance(error, asyncio.CancelledError)):
                            self._failure = error
                        raise
                    finally:
                        self._context = contextvars.copy_context()
                messages += 1
                seconds += monotonic() - started
                gives_way = messages >= _BURST_MESSAGES or seconds >= _BURST_SECONDS
                self._others_wait = False
                if ready is None or ready:
                    # Where no message waits, to receive the next one lets others run by itself;
                    # only another source may have one before that.
                    self._others_wait = has_messages is not None and not has_messages()
                    gives_way = gives_way or not self._others_wait
                if gives_way:
                    messages = 0
                    seconds = 0.0
                    self._others_wait = False
                    # With our turn kept: a message of the other source waits for it, too.
                    await _give_way()
            finally:
                if not alone:
                    self._turn.release()

    async def _handle(self, dispatch: Dispatch, message: Message) -> None:
        self._handling = True
        try:
            await dispatch(message)
        finally:
            self._handling = False
        if self._failure is not None:
            raise self._failure


@coroutine
def _give_way() -> Generator[None, None, None]:
    """Let the event loop run what is ready; for less than `asyncio.sleep(0)`."""
    yield


def _adopt(context: contextvars.Context | None) -> None:
    for variable, value in (context or {}).items():
        if variable.get(_MISSING) is not value:
            variable.set(value)


class Bound:
    """A limit of time that stands still while what it bounds waits for a thread.

    Many connections that end at once wait for each other's threads, and none of them is slow.
    """

    def __init__(self, seconds: float) -> None:
        """Start to count.

        Args:
            seconds: The limit.
        """
        self._loop = asyncio.get_running_loop()
        self._left = seconds
        self._since: float | None = self._loop.time()
        self._timeout: asyncio.Timeout | None = None

    @property
    def left(self) -> float:
        """The seconds that are left; none if it is 0 or less."""
        return self._left - (0 if self._since is None else self._loop.time() - self._since)

    def pause(self) -> None:
        """Count no further."""
        self._left, self._since = self.left, None
        if self._timeout is not None:
            self._timeout.reschedule(None)

    def go_on(self) -> None:
        """Count again, if it stands still."""
        if self._since is None:
            self._since = self._loop.time()
            if self._timeout is not None:
                self._timeout.reschedule(self._since + self._left)

    async def run(self, work: Awaitable[None]) -> None:
        """Wait for an awaitable, and cancel it at the limit.

        Raises:
            TimeoutError: The limit was reached.
        """
        async with asyncio.timeout(self.left) as timeout:
            self._timeout = timeout
            try:
                await work
            finally:
                self._timeout = None


async def wait_despite_cancellation(
    tasks: Collection[asyncio.Task[Any]],
    timeout: float | Bound,
    *,
    insist: Callable[[], bool] | None = None,
) -> Collection[asyncio.Task[Any]]:
    """Wait for tasks to end, even while this task is being cancelled.

    Args:
        tasks: What to wait for; their results and exceptions are left to the caller.
        timeout: Seconds after which to give up.
        insist: Have the tasks cancelled whenever this one is, and now and then while this function
            returns True. What was cancelled before may have kept that to itself, as some clients
            of Redis and Valkey do.

    Returns:
        The tasks that have not ended.

    Raises:
        asyncio.CancelledError: After the wait, if this task was cancelled during it.
    """
    bound = timeout if isinstance(timeout, Bound) else Bound(timeout)
    cancelled: asyncio.CancelledError | None = None
    pending: Collection[asyncio.Task[Any]] = [task for task in tasks if not task.done()]
    while pending and (left := bound.left) > 0:
        again = insist is not None
        try:
            seconds = left if insist is None else min(left, _INSIST_AFTER)
            _, pending = await asyncio.wait(pending, timeout=seconds)
            again = insist is not None and insist()
        except asyncio.CancelledError as error:
            cancelled = error
            pending = [task for task in pending if not task.done()]
        if again:
            for task in pending:
                task.cancel()
    if cancelled is not None:
        raise cancelled
    return pending


async def run_despite_cancellation(
    function: Callable[[], Coroutine[Any, Any, None]], timeout: float | Bound
) -> tuple[asyncio.Task[None], asyncio.CancelledError | None]:
    """Run a coroutine function in a task of its own, even while this task is being cancelled.

    An event loop that ends cancels all of its tasks, once, and waits for them: that one is then
    started anew.

    Args:
        function: What to run; after a cancellation it is called once more.
        timeout: Seconds after which to give up, and cancel it.

    Returns:
        The task, which has not ended if it was given up; and the cancellation of this one, which
        is the caller's to raise.
    """
    cancelled = None
    calls = 0
    while True:
        task = asyncio.create_task(function())
        calls += 1
        try:
            await wait_despite_cancellation([task], timeout)
        except asyncio.CancelledError as error:
            cancelled = error
        if calls == 2 or not task.cancelled():
            break
    if not task.done():
        task.cancel()
    return task, cancelled


async def await_many_dispatch(
    consumer_callables: Iterable[Receive] | Sequence[Receive],
    dispatch: Callable[[AnyMessage], Awaitable[Any]],
) -> None:
    """Hand what each of several callables returns to `dispatch`, one at a time.

    Args:
        consumer_callables: Coroutine functions without parameters, each awaited again and again.
        dispatch: Coroutine function that takes what they return.
    """
    await MessageLoop(*((receive, dispatch) for receive in consumer_callables)).run(timeout=10)
