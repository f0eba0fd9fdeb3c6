"""Send commands over one connection and read its answers, without waiting for one by one.

A `Wire` has two tasks while it is connected. One sends: all commands that were posted in a turn of
the event loop, or while an earlier write waited, go out together. The other reads: answers come in
the order of the commands, and messages that Redis publishes may come between them. So the socket is
always drained, and nothing waits behind the round trip of another command.

In a cluster a subscription can end by itself, when its slot moves to another node. So a message
that tells of an end is never taken for the answer of a command. The answer of the PING that follows
SUNSUBSCRIBE tells when that is done.

No command is sent twice. If the connection breaks, every command without an answer fails, and it is
not known whether Redis has done it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from channels_core.backoff import Backoff

if TYPE_CHECKING:
    from channels_layers_redis._layer.hosts import Connection, Host

__all__ = ["Command", "Wire", "again"]

#: Messages and answers after which other tasks get their turn.
_BURST: Final = 200
#: Seconds: the longest wait after the first failed attempt, and the longest one of all.
_FIRST, _LONGEST = 0.05, 0.5

Command: TypeAlias = tuple[Any, ...]


class _Pending(NamedTuple):
    """A command that has no answer yet.

    Attributes:
        posted: When it was posted.
        future: What its caller awaits.
        ends: The address whose subscription was ended just before it; None for most commands.
            The answer to that, or its error, comes first.
    """

    posted: float
    future: asyncio.Future[Any]
    ends: bytes | None = None


#: A command, how many answers it has, and who waits for the last one.
_Posted: TypeAlias = tuple[Command, int, _Pending]


class Wire:
    """One connection to Redis in one event loop, which is made again when it was lost.

    Attributes:
        lost: Resolved when the present connection is lost, with the error; None while there is
            no connection.
        answers: Counts what was read, so that a quiet connection can be told from a busy one.
    """

    def __init__(
        self,
        host: Host,
        loop: asyncio.AbstractEventLoop,
        on_message: Callable[[bytes, bytes], object] | None = None,
        on_cancelled: Callable[[], object] | None = None,
        on_end: Callable[[bytes], object] | None = None,
    ) -> None:
        """Belong to an event loop; connects with the first command.

        Args:
            host: The server.
            loop: The event loop that runs.
            on_message: Takes the address and the content of each message that Redis publishes.
            on_cancelled: Called when the event loop ends while the wire is open.
            on_end: Takes the address of each subscription in a cluster that ends by itself.
        """
        self._host = host
        self._loop = loop
        self._on_message = on_message
        self._on_cancelled = on_cancelled
        self._on_end = on_end
        self.lost: asyncio.Future[Exception] | None = None
        self.answers = 0
        self._backoff = Backoff(first=_FIRST, longest=_LONGEST)
        # Set while an attempt is being made: resolved with None, or the error.
        self._attempt: asyncio.Future[Exception | None] | None = None
        self._task: asyncio.Task[None] | None = None
        # The time before which no attempt is made, and the error of the last one.
        self._not_before = 0.0
        self._error: Exception | None = None
        # Commands that were posted and not sent yet, and those that wait for an answer.
        self._unsent: list[_Posted] = []
        self._sent: deque[_Pending] = deque()
        # The addresses whose subscriptions are being ended, and how often that was asked for.
        self._ending: Counter[bytes] = Counter()
        # Stands for the answers that nobody awaits.
        self._unheard: asyncio.Future[Any] = loop.create_future()
        self._unheard.set_result(None)
        # Set while the sending task has nothing to do.
        self._idle: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        # Why the present connection was given up.
        self._failure: Exception | None = None

    @property
    def is_away(self) -> Exception | None:
        """The error of the last attempt, if there is no connection and none is being made."""
        waits = self._task is None and time.monotonic() < self._not_before
        return self._error if waits else None

    async def open(self) -> None:
        """Connect, if the wire is not connected.

        Raises:
            redis.exceptions.ConnectionError: It failed, or it failed a short while ago.
        """
        if self.lost is not None:
            return
        self._start()
        attempt = self._attempt
        if attempt is not None and (error := await asyncio.shield(attempt)) is not None:
            raise again(error)

    def post(self, *command: Any, answers: int = 1) -> asyncio.Future[Any]:
        """Send a command with the others of this turn of the event loop.

        Args:
            command: The command and its arguments.
            answers: How many answers Redis gives: SUBSCRIBE has one for each of its arguments.

        Returns:
            What the last answer will be.

        Raises:
            redis.exceptions.ConnectionError: There is no connection, and it is too soon to try
                again.
        """
        return self._post(command, answers)

    def end(self, address: bytes) -> asyncio.Future[Any]:
        """End a subscription in a cluster; return what is resolved when that is done."""
        self._post(("SUNSUBSCRIBE", address), 0)
        done = self._post(("PING",), 1, ends=address)
        self._ending[address] += 1
        return done

    def _post(
        self, command: Command, answers: int, *, ends: bytes | None = None
    ) -> asyncio.Future[Any]:
        if self.lost is None:
            self._start()
        future: asyncio.Future[Any] = self._loop.create_future()
        pending = _Pending(time.monotonic(), future, ends)
        self._unsent.append((command, answers, pending))
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        if self._timer is None:
            self._timer = self._loop.call_later(self._host.timeout, self._check_answers)
        return future

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, or one is being made."""
        return self._task is not None

    def retry_in(self) -> float:
        """Return the seconds after which the next attempt may be made."""
        return max(0.0, self._not_before - time.monotonic())

    async def close(self) -> None:
        """Close the connection; what has no answer fails."""
        self._closing = True
        task = self._task
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task])
        self._closing = False

    # Inside

    def _start(self) -> None:
        """Begin an attempt, unless one is being made."""
        if self._task is not None:
            return
        if (error := self.is_away) is not None:
            raise again(error)
        self._failure = None
        self._attempt = self._loop.create_future()
        self._task = self._loop.create_task(self._run())

    async def _run(self) -> None:
        """Connect, and read until the connection is lost."""
        error: Exception | None = None
        connection: Connection | None = None
        try:
            connection = self._host.new_connection()
            async with asyncio.timeout(self._host.timeout):
                await connection.connect()
            self._backoff.worked()
            self._error = None
            self.lost = self._loop.create_future()
            self._end_attempt(None)
            sending = self._loop.create_task(self._send(connection))
            try:
                await self._read(connection)
            finally:
                sending.cancel()
                await asyncio.wait([sending])
        except asyncio.CancelledError:
            error = self._failure or RedisConnectionError("The connection to Redis was closed")
            if not (self._closing or self._failure):
                # The event loop ends: whoever else would close the connection has gone.
                if self._on_cancelled is not None:
                    self._on_cancelled()
                raise
        except TimeoutError:
            error = RedisTimeoutError(f"{self._host.name} did not answer in time")
        except Exception as failure:  # noqa: BLE001 - reported to all who wait
            error = failure
        finally:
            if connection is not None:
                with suppress(Exception):
                    await connection.disconnect(nowait=True)
            self._task = None
            self._ended(error or RedisConnectionError("The connection to Redis was closed"))

    def _ended(self, error: Exception) -> None:
        self._error = error
        if not self._closing:
            self._not_before = time.monotonic() + (self._backoff.failed() or 0.0)
        self._end_attempt(error)
        pending = [*self._sent, *(one for _, _, one in self._unsent)]
        self._sent.clear()
        self._unsent.clear()
        self._ending.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _, future, _ in pending:
            if not future.done():
                future.set_exception(again(error))
                # Nobody may wait for it any more.
                future.exception()
        lost, self.lost = self.lost, None
        if lost is not None and not lost.done():
            lost.set_result(error)

    def _end_attempt(self, error: Exception | None) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None and not attempt.done():
            attempt.set_result(error)

    async def _send(self, connection: Connection) -> None:
        try:
            while True:
                if not self._unsent:
                    self._idle = self._loop.create_future()
                    await self._idle
                    self._idle = None
                posted, self._unsent = self._unsent, []
                try:
                    packed = connection.pack_commands(command for command, _, _ in posted)
                except Exception:  # noqa: BLE001 - the caller of that command gets it
                    posted = _without_faulty(connection, posted)
                    packed = connection.pack_commands(command for command, _, _ in posted)
                for _, answers, pending in posted:
                    if answers > 1:
                        unheard = _Pending(pending.posted, self._unheard)
                        self._sent.extend([unheard] * (answers - 1))
                    if answers:
                        self._sent.append(pending)
                await connection.send_packed_command(packed, check_health=False)
        except Exception as error:  # noqa: BLE001 - reported to all who wait
            self.fail(error)
        finally:
            self._idle = None

    async def _read(self, connection: Connection) -> None:
        on_message = self._on_message
        read = connection.read_response
        burst = 0
        while True:
            try:
                answer = await read(disable_decoding=True, disconnect_on_error=False)
            except ReadOnlyError as error:
                # Another server has become the master: nothing can be done through this one.
                raise RedisConnectionError(f"{self._host.name} is read-only: {error}") from error
            except ResponseError as error:
                from channels_layers_redis._layer.redirects import known  # with the first error

                self._answered(known(error))
            else:
                if (
                    on_message is not None
                    and type(answer) is list
                    and answer[0] in (b"message", b"smessage")
                ):
                    on_message(answer[1], answer[2])
                else:
                    self._confirmed(answer)
            self.answers += 1
            burst += 1
            if burst >= _BURST:
                # What was read at once is handled without a wait.
                burst = 0
                await asyncio.sleep(0)

    def _confirmed(self, answer: Any) -> None:
        if self._on_end is not None and type(answer) is list and answer[0] == b"sunsubscribe":
            if answer[1] not in self._ending:
                self._on_end(answer[1])
            return
        _, future, ends = self._sent.popleft()
        if ends is not None:
            self._ending[ends] -= 1
            if not self._ending[ends]:
                del self._ending[ends]
        if not future.done():
            future.set_result(answer)

    def _answered(self, error: Exception) -> None:
        if self._sent[0].ends is not None:
            # The node no longer has the slot, so the subscription has ended.
            return
        future = self._sent.popleft().future
        if future is self._unheard:
            # It stands for all answers of its command.
            raise RedisConnectionError(str(error)) from error
        if not future.done():
            future.set_exception(error)
            future.exception()

    def _check_answers(self) -> None:
        """End the connection if a command has waited for too long."""
        self._timer = None
        if self._sent:
            oldest = self._sent[0].posted
        elif self._unsent:
            oldest = self._unsent[0][2].posted
        else:
            return
        left = oldest + self._host.timeout - time.monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_answers)
        else:
            self.fail(RedisTimeoutError(f"{self._host.name} did not answer in time"))

    def fail(self, error: Exception) -> None:
        """Give up the present connection, or the attempt; the callers get the error."""
        if self._task is not None and self._failure is None and not self._closing:
            self._failure = error
            self._task.cancel()


def _without_faulty(connection: Connection, posted: list[_Posted]) -> list[_Posted]:
    """Return the commands that can be sent; the callers of the others get an error.

    A program has passed an argument that Redis has no form for, such as None. Only its own command
    fails: the connection belongs to all of them.
    """
    sound = []
    for one in posted:
        try:
            connection.pack_commands([one[0]])
        except Exception as fault:  # noqa: BLE001 - given to the caller
            future = one[2].future
            if not future.done():
                error = TypeError(f"An argument cannot be sent to Redis: {fault}")
                error.__cause__ = fault
                future.set_exception(error)
        else:
            sound.append(one)
    return sound


def again(error: Exception) -> Exception:
    """Return an error like another one, for one more caller."""
    if isinstance(error, RedisConnectionError | RedisTimeoutError):
        return type(error)(*error.args)
    return RedisConnectionError(str(error))
