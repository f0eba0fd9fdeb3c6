"""Give the messages of queues to workers that acknowledge them, and give them again if not.

A message that waits in a queue is in the store, as any other, but without an expiry. While a worker
has it, it is here, under the token of this attempt. Once its time is over, it goes back to its
place in the store, or after its last attempt to the channel of dead letters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from channels_core.layer_extensions import DEAD_SUFFIX, Delivery, QueueLimits
from channels_layers_memory._layer.alarm import Pulse
from channels_layers_memory._layer.backlogs import Message
from channels_layers_memory._layer.codec import Payload
from channels_layers_memory._layer.dropped_messages import DroppedMessages
from channels_layers_memory._layer.limits_by_name import LimitsByName
from channels_layers_memory._layer.readers import Receiver, running_loop
from channels_layers_memory._layer.store import Store
from channels_layers_memory._layer.timetable import Timetable

__all__ = ["DEAD_LETTERS", "Queues"]

#: The dead letters that a channel holds.
DEAD_LETTERS: Final = 10_000

_TOO_MANY_DEAD: Final = (
    f"Channel %r holds {DEAD_LETTERS} dead letters: the oldest %d dropped since the last warning. "
    "Receive them, or find out why the jobs fail."
)


class _Again(tuple[float, int, Payload]):  # noqa: SLOT001 - a subclass of tuple cannot have any
    """A message of the store that has been given before.

    Attributes:
        attempts: How often it was given.
    """

    attempts: int


@dataclass(slots=True)
class _Attempt:
    """A message that a worker has, or that waits for its next attempt after it was rejected."""

    channel: str
    message: Message
    number: int
    limits: QueueLimits
    rejected: bool = False


class Queues:
    """The queues of one store."""

    def __init__(
        self,
        store: Store,
        limits: LimitsByName[QueueLimits],
        clock: Callable[[], float],
    ) -> None:
        """Start with nothing given.

        Args:
            store: Holds the messages; it settles and clears this object from now on.
            limits: Finds the limits of a channel.
            clock: Tells the time in seconds, for warnings.
        """
        self._store = store
        self._limits = limits
        self._dropped = DroppedMessages(clock, _TOO_MANY_DEAD)
        # By token.
        self._attempts: dict[str, _Attempt] = {}
        self._ends: Timetable[str] = Timetable()
        store.attach(self)
        store.keep_for_ever(self.keeps)

    def keeps(self, channel: str) -> bool:
        """Return whether the messages of a channel never expire: it is a queue, or dead letters."""
        if self._limits(channel) is not None:
            return True
        queue = channel.removesuffix(DEAD_SUFFIX)
        return queue != channel and self._limits(queue) is not None

    def send(self, channel: str, payload: Payload) -> bool:
        """Put a message into a channel whose messages never expire; return False if it is full."""
        loop = running_loop()
        with self._store.operation(loop) as now:
            return not self._store.put_to((channel,), payload, now, loop)

    async def receive(self, channel: str, limits: QueueLimits) -> Delivery:
        """Wait for the next message of a queue; a cancelled call leaves it there."""
        self._store.drop_expired()
        taken = self._store.take(channel, Receiver)
        if type(taken) is Receiver:
            # The event loop in which another worker got a message may end before its time is over.
            pulse = Pulse(self._store.drop_expired, limits.redeliver_after)
            try:
                await taken.woken
            except GeneratorExit:
                self._store.give_up_later(channel, taken)
                raise
            except BaseException:
                self._store.give_up(channel, taken)
                raise
            finally:
                pulse.stop()
            assert taken.message is not None  # it is woken only once this is set
            taken = taken.message
        return self._give(channel, taken, limits)

    def _give(self, channel: str, message: Message, limits: QueueLimits) -> Delivery:
        number = 1 + (message.attempts if isinstance(message, _Again) else 0)
        with self._store.operation() as now:
            token = str(self._store.next_number())
            self._attempts[token] = _Attempt(channel, message, number, limits)
            ends = now + limits.redeliver_after
            self._ends.plan(token, ends)
            self._store.plan_settling(ends, now)
        return Delivery(_copy(message[2]), token, number)

    # What a worker answers; each returns whether the token was current.

    def acknowledge(self, channel: str, token: str) -> bool:
        """Forget a message that was handled."""
        with self._store.operation():
            return self._end(channel, token) is not None

    def reject(self, channel: str, token: str, error: str) -> bool:
        """Let a message wait for its next attempt, or make it a dead letter after its last."""
        with self._store.operation():
            attempt = self._current(channel, token)
            if attempt is None:
                return False
            if attempt.number >= attempt.limits.tries:
                self._end(channel, token)
                self._bury(attempt, error)
            else:
                attempt.rejected = True
            return True

    def give_back(self, channel: str, token: str) -> bool:
        """Put a message back to the front of its queue, as if this attempt had not been."""
        with self._store.operation():
            attempt = self._end(channel, token)
            if attempt is None:
                return False
            self._put_back(attempt, attempt.number - 1)
            return True

    # Called by the store, under its lock

    def settle(self, now: float) -> float:
        """Give messages again whose time is over, and return when to look again."""
        for token in self._ends.due(now):
            attempt = self._attempts.pop(token)
            if attempt.number < attempt.limits.tries:
                self._put_back(attempt, attempt.number)
            else:
                self._bury(attempt, "")
        return self._ends.next

    def forget(self, channel: str) -> None:
        """Drop the messages of a channel that workers have."""
        if self._limits(channel) is None:  # as the channels of consumers, which end all the time
            return
        for token in [one for one, each in self._attempts.items() if each.channel == channel]:
            del self._attempts[token]
            self._ends.cancel(token)

    def clear(self) -> None:
        """Drop the messages that workers have."""
        self._attempts.clear()
        self._ends.clear()

    def _current(self, channel: str, token: str) -> _Attempt | None:
        attempt = self._attempts.get(token)
        if attempt is None or attempt.channel != channel or attempt.rejected:
            return None
        return attempt

    def _end(self, channel: str, token: str) -> _Attempt | None:
        attempt = self._current(channel, token)
        if attempt is not None:
            del self._attempts[token]
            self._ends.cancel(token)
        return attempt

    def _put_back(self, attempt: _Attempt, attempts: int) -> None:
        again = _Again(attempt.message)
        again.attempts = attempts
        self._store.put_back(attempt.channel, again)

    def _bury(self, attempt: _Attempt, error: str) -> None:
        dead = {
            "channel": attempt.channel,
            "error": error or _not_in_time(attempt.limits.redeliver_after),
            "attempts": attempt.number,
        }
        channel = attempt.channel + DEAD_SUFFIX
        letter = partial(_dead_letter, attempt.message[2], dead)
        if dropped := self._store.put_beyond_capacity(channel, letter, DEAD_LETTERS):
            self._store.call_later(partial(self._dropped.add, channel, dropped))


def _copy(payload: Payload) -> dict[str, object]:
    return payload() if callable(payload) else payload


def _dead_letter(payload: Payload, dead: dict[str, object]) -> dict[str, object]:
    return {**_copy(payload), "dead": dict(dead)}


def _not_in_time(seconds: float) -> str:
    return f"was not acknowledged within {seconds:g} seconds"
