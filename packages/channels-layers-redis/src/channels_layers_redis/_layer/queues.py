"""The channels whose messages have to be acknowledged."""

from __future__ import annotations

import asyncio
import os
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from channels_core.layer_extensions import (
    DEAD_SUFFIX,
    Delivery,
    QueueLimits,
    compile_queues,
    find_limits,
)
from channels_layers_redis._layer.dead_letters import with_reason
from channels_layers_redis._layer.waiting import Reader
from channels_layers_redis._scripts import queues

if TYPE_CHECKING:
    from channels_layers_redis._layer.codec import Codec
    from channels_layers_redis._layer.dropped_messages import DroppedMessages
    from channels_layers_redis._layer.shard import Place
    from channels_layers_redis._scripts.calls import Call
    from channels_layers_redis._scripts.keys import Keys
    from channels_layers_redis._scripts.queues import Delivered, Ended
    from channels_layers_redis._scripts.waiting import Taken

__all__ = ["DeliveryReader", "Given", "Queues"]

# How many channels the limits are remembered of.
_REMEMBERED: Final = 10_000


class Given(NamedTuple):
    """A message that was given to this process.

    Attributes:
        token: Names the attempt.
        taken: The message.
    """

    token: str
    taken: Taken


class Queues:
    """The queues of one layer, and what is asked of Redis for them.

    Attributes:
        keys: The names of the keys.
        patterns: The limits by pattern.
    """

    def __init__(
        self, option: object, *, keys: Keys, codec: Codec, dropped: DroppedMessages
    ) -> None:
        """Take the option `queues`.

        Args:
            option: The limits by pattern; see `compile_queues`.
            keys: The names of the keys.
            codec: Packs and unpacks messages.
            dropped: Counts the dead letters that are dropped.

        Raises:
            TypeError: A part of the option is of a wrong type.
            ValueError: A limit is not valid.
        """
        self.patterns = compile_queues(option)
        self._find = lru_cache(_REMEMBERED)(partial(find_limits, self.patterns))
        self.keys = keys
        self._codec = codec
        self._dropped = dropped

    def limits(self, channel: str) -> QueueLimits | None:
        """Return how the messages of a channel are given again; None if they are not."""
        return self._find(channel)

    def keeps(self, channel: str) -> bool:
        """Return whether the messages of a channel never expire: it is a queue, or dead letters."""
        if self._find(channel) is not None:
            return True
        queue = channel.removesuffix(DEAD_SUFFIX)
        return queue != channel and self._find(queue) is not None

    def require_limits(self, channel: str) -> QueueLimits:
        """Return the limits of a channel that must be a queue.

        Raises:
            ValueError: It is not.
        """
        limits = self._find(channel)
        if limits is None:
            shown = ", ".join(repr(pattern.pattern) for pattern, _ in self.patterns)
            raise ValueError(
                f"Channel {channel!r} of RedisChannelLayer is no queue: no pattern of its option "
                f"'queues' matches that name ({shown or 'it has none'})"
            )
        return limits

    def deliver(self, channel: str, limits: QueueLimits, tokens: list[str]) -> Call[Delivered]:
        """Return the call that takes messages."""
        return queues.deliver(
            self.keys,
            channel,
            tokens,
            redeliver_after=limits.redeliver_after,
            tries=limits.tries,
        )

    def acknowledge(self, channel: str, token: str) -> Call[Ended]:
        """Return the call that ends an attempt which has succeeded."""
        self.require_limits(channel)
        return queues.acknowledge(self.keys, channel, token)

    def reject(self, channel: str, token: str, error: str) -> Call[Ended]:
        """Return the call that ends an attempt which has failed."""
        limits = self.require_limits(channel)
        return queues.reject(
            self.keys,
            channel,
            token,
            # Encrypted as messages are: it may say as much as they do.
            self._codec.pack({"error": error}) if error else b"",
            redeliver_after=limits.redeliver_after,
            tries=limits.tries,
        )

    def give_back(self, channel: str, token: str) -> Call[Ended]:
        """Return the call that puts a message back."""
        self.require_limits(channel)
        return queues.give_back(self.keys, channel, token)

    def read(self, channel: str, given: Given) -> Delivery:
        """Return what `receive_delivery` returns.

        Raises:
            ValueError: The message cannot be read.
        """
        message = with_reason(self._codec, channel, given.taken)
        return Delivery(message, given.token, given.taken.attempt)

    def warn(self, channel: str, dropped: int) -> None:
        """Warn of dead letters that were dropped."""
        if dropped:
            self._dropped.add_dead_letters(channel + DEAD_SUFFIX, dropped)


class DeliveryReader(Reader[Given]):
    """The calls of one event loop that wait for messages of one queue."""

    def __init__(self, shard: Place, layer_queues: Queues, channel: str) -> None:
        """Start without a call that waits."""
        self._queues = layer_queues
        self._channel = channel
        self._server = shard
        # When to look again for messages whose time is over.
        self._look_again: asyncio.TimerHandle | None = None
        super().__init__(shard, layer_queues.keys.channel(channel), self._deliver, self._give_back)

    async def _deliver(self, count: int) -> list[Given]:
        tokens = [os.urandom(8).hex() for _ in range(count)]
        limits = self._queues.require_limits(self._channel)
        delivered = await self._server.run(self._queues.deliver(self._channel, limits, tokens))
        self._queues.warn(self._channel, delivered.dropped)
        self._stop_looking()
        if delivered.attempted or count:
            loop = asyncio.get_running_loop()
            self._look_again = loop.call_later(delivered.look_again, self._look)
        return list(map(Given, tokens, delivered.taken))

    def _look(self) -> None:
        """Look for messages whose time is over, though perhaps nobody waits for them here."""
        self._look_again = None
        if self._waiting:
            self.announced()
        else:
            self.do_aside(self._deliver(0))

    async def _give_back(self, given: Given) -> Any:
        return await self._server.run(self._queues.give_back(self._channel, given.token))

    def _stop_looking(self) -> None:
        if self._look_again is not None:
            self._look_again.cancel()
            self._look_again = None

    def sweep(self) -> bool:
        """Return whether nobody has waited for some time, and if so stop listening."""
        # It looks on while somebody has a message that is not acknowledged yet.
        return self._look_again is None and super().sweep()

    async def close(self) -> None:
        """Stop taking, and put back what nobody waits for."""
        self._stop_looking()
        await super().close()
