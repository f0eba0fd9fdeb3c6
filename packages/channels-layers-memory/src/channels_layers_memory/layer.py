"""The channel layer that keeps everything in the memory of one process."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, MutableMapping
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from channels_core.exceptions import ChannelFull
from channels_core.layers import BaseChannelLayer, Capacities
from channels_core.typing import AnyMessage, Message
from channels_layers_memory._layer.clocks import mockable_time, steady_time
from channels_layers_memory._layer.codec import ISOLATIONS
from channels_layers_memory._layer.dropped_messages import DroppedMessages
from channels_layers_memory._layer.readers import Listener, Receiver, running_loop
from channels_layers_memory._layer.store import Store

if TYPE_CHECKING:
    from channels_layers_memory._layer.channels_view import Channels

__all__ = ["InMemoryChannelLayer"]

# How many checked channel names a layer remembers.
_REMEMBERED: Final = 10_000


class InMemoryChannelLayer(BaseChannelLayer):
    """A channel layer within one process, for all its threads and event loops.

    Messages: dicts with str keys and values that msgpack packs. Each receiver gets a copy of its
    own, equal to the one that it would get over a network.

    Source: the channel layer specification of Channels, with the extensions `groups` and `flush`.
    """

    extensions: ClassVar[list[str]] = ["groups", "flush"]
    reaches_other_processes: ClassVar[bool | None] = False

    def __init__(
        self,
        expiry: int = 60,
        group_expiry: int = 86400,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
        *,
        isolation: str = "msgpack",
        clock: Callable[[], float] | None = None,
        **kwargs: object,
    ) -> None:
        """Take the limits and options, as `CONFIG` in the settings gives them.

        Args:
            expiry: Seconds after which an undelivered message is dropped.
            group_expiry: Seconds after which a membership ends that was not renewed.
            capacity: Messages that a channel holds before it is full.
            channel_capacity: Capacities of the channels whose name matches a glob or a compiled
                pattern; the first match counts.
            isolation: `"msgpack"`, or `"deepcopy"` to let objects pass.
            clock: Tells the time in seconds, for messages and memberships; a test may pass its
                own. If None, messages expire by `time.time` if a test has replaced that function,
                and everything else by a clock that nobody sets.
            kwargs: Rejected; the TypeError names each unknown option.

        Raises:
            TypeError: An option is unknown.
            ValueError: `isolation` is unknown.
        """
        if kwargs:
            raise TypeError(
                f"{type(self).__name__} has no option {', '.join(map(repr, kwargs))}; expected "
                "expiry, group_expiry, capacity, channel_capacity, isolation or clock"
            )
        if isolation not in tuple(ISOLATIONS):
            raise ValueError(
                f"isolation must be one of {', '.join(map(repr, ISOLATIONS))}, not {isolation!r}"
            )
        super().__init__(expiry=expiry, capacity=capacity, channel_capacity=channel_capacity)
        self.group_expiry = group_expiry
        self._encode = ISOLATIONS[isolation]
        self._clock = clock
        self._start()

    def _start(self) -> None:
        """Become empty."""
        clock = self._clock
        # Channel names that have been checked and found valid.
        self._checked: set[str] = set()
        self._store = Store(
            limits=self, clock=clock or mockable_time, group_clock=clock or steady_time
        )
        # Bound once, since a bound method takes 64 bytes for each channel.
        self._take_for_listener = self._store.take_for_listener
        # Made, and its module loaded, when a program first looks at the channels.
        self._channels: Channels | None = None
        self._dropped = DroppedMessages(clock or steady_time)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return an empty layer with the same options: Django copies the class data of tests."""
        layer = copy(self)
        layer._start()
        return layer

    # For tests of programs

    @property
    def channels(self) -> MutableMapping[str, Any]:
        """The channels in which messages or readers wait, by name; entries may be deleted."""
        if self._channels is None:
            from channels_layers_memory._layer import channels_view

            self._channels = channels_view.Channels(self._store)
        return self._channels

    @channels.setter
    def channels(self, channels: Mapping[str, Any]) -> None:
        """Drop the channels that are not in a mapping; programs assign an empty one."""
        present = self.channels
        for name in present:
            if name not in channels:
                del present[name]

    @property
    def groups(self) -> dict[str, dict[str, float]]:
        """The channels of each group, with the time when each joined; may be cleared."""
        return self._store.groups.members

    @groups.setter
    def groups(self, groups: dict[str, dict[str, float]]) -> None:
        """Replace all groups."""
        self._store.replace_groups(groups)

    @property
    def dropped(self) -> int:
        """How many messages to groups were dropped because a member was full."""
        return self._dropped.total

    # Channels

    async def send(self, channel: str, message: AnyMessage) -> None:
        """Send a message to a channel: to the receiver that has waited longest, or to its queue.

        Raises:
            ChannelFull: The channel holds as many messages as its capacity allows.
            TypeError: The name is not valid, or the message cannot be packed.
        """
        if type(channel) is not str or channel not in self._checked:
            self._check(channel)
        if channel in self._store.half_full:
            from channels_layers_memory._layer.backpressure import wait_for_readers

            await wait_for_readers(self._store, (channel,))
        if not self._store.put(channel, self._encode(message)):
            raise ChannelFull(
                f"Channel {channel!r} is at its capacity of {self.get_capacity(channel)} "
                "messages: they are sent faster than they are received, if at all"
            )

    async def receive(self, channel: str) -> dict[str, Any]:
        """Wait for the next message of a channel.

        When a call is cancelled that a message has already reached, that message goes to the next
        receiver, or back to the front of the queue.
        """
        if type(channel) is not str or channel not in self._checked:
            self._check(channel)
        taken = self._store.take(channel, Receiver)
        if type(taken) is Receiver:
            try:
                await taken.woken
            except GeneratorExit:
                self._store.give_up_later(channel, taken)
                raise
            except BaseException:
                self._store.give_up(channel, taken)
                raise
            assert taken.message is not None  # it is woken only once this is set
            taken = taken.message
        payload = taken[2]
        return payload() if callable(payload) else payload

    def listen(
        self, channel: str, wake: Callable[[], object]
    ) -> Callable[[], dict[str, Any] | None]:
        """Read a channel without a task that waits, in the event loop that runs.

        Messages stay in the channel until they are taken, and count towards its capacity. A
        `receive` on the same channel competes with the listener: one that is waiting when a
        message arrives gets it, and one that is called later takes the first message that waits.
        Listening ends with `forget_channel`, with another call of `listen` for the same channel,
        and when the program drops the returned function.

        Args:
            channel: The name of the channel.
            wake: Called in this event loop when a message arrives after the returned function
                has found none, or has not been called yet. It may be called within `send`, and
                should do no more than set a future or a flag.

        Returns:
            A function that takes the next message, or returns None if none waits now. Once woken,
            call it until it returns None: only then does the next message wake again.

        Raises:
            TypeError: The name is not valid.
            RuntimeError: No event loop runs in this thread.
        """
        if type(channel) is not str or channel not in self._checked:
            self._check(channel)
        listener = Listener(channel, self._take_for_listener, wake)
        self._store.listen(channel, listener)
        return listener.take

    def copy_message(self, message: Message) -> dict[str, Any]:
        """Return the copy of a message that a receiver would get.

        Raises:
            TypeError: The message cannot be packed.
        """
        payload = self._encode(message)
        return payload() if callable(payload) else payload

    # Tests of programs call or wrap these two methods of the upstream layer. The layer itself does
    # not call them, since that would cost a call per message.

    def _clean_expired(self) -> None:
        """Drop expired messages and memberships."""
        self._store.drop_expired()

    def _remove_from_groups(self, channel: str) -> None:
        """End all memberships of a channel."""
        self._store.forget_memberships(channel)

    def _check(self, channel: str) -> None:
        """Check a channel name, and remember it if it is valid, since checking takes long."""
        self.require_valid_channel_name(channel)
        if len(self._checked) >= _REMEMBERED:
            self._checked.clear()
        self._checked.add(channel)

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return a new process-specific channel name that nobody can guess.

        It is random on both sides of its `!`: names that share the part before it share a
        capacity, and a consumer must not use up the capacity of another.

        Args:
            prefix: What the name starts with.
        """
        token = secrets.token_hex(16)
        name = f"{prefix}{token[:16]}!{token[16:]}"
        self._check(name)
        return name

    # A consumer whose request may never use the layer calls it when it first uses the name.
    vars(new_channel)["never_waits"] = True

    async def forget_channel(self, channel: str) -> None:
        """Drop the messages, the listener and the memberships of a channel without a user."""
        self._store.forget(channel)
        self._checked.discard(channel)

    async def flush(self) -> None:
        """Drop all messages and groups; readers go on waiting."""
        self._store.flush()

    async def close(self) -> None:
        """Drop all messages and groups; the layer may be used again."""
        self._store.flush()

    # Groups

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel to a group, or renew its membership."""
        self.require_valid_group_name(group)
        if type(channel) is not str or channel not in self._checked:
            self.require_valid_channel_name(channel)
        self._store.join(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove a channel from a group; does nothing if it is not a member."""
        self.require_valid_group_name(group)
        if type(channel) is not str or channel not in self._checked:
            self.require_valid_channel_name(channel)
        self._store.leave(group, channel)

    async def group_send(self, group: str, message: AnyMessage) -> None:
        """Send a message to every channel of a group that has room for it.

        For a channel that is full, the message is dropped and counted in `dropped`. The logger
        `django.channels.layers.memory` warns of it, at most every 10 seconds.
        """
        self.require_valid_group_name(group)
        if self._store.half_full:
            from channels_layers_memory._layer.backpressure import wait_for_readers

            await wait_for_readers(self._store, self._store.half_full_members(group))
        payload = self._encode(message, for_several=True)
        dropped = self._store.put_all(group, payload, running_loop())
        if dropped:
            self._dropped.add(group, dropped)

    async def group_channels(self, group: str) -> list[str]:
        """Return the channels of a group, in the order in which they joined."""
        self.require_valid_group_name(group)
        return self._store.members(group)

    async def group_count(self, group: str) -> int:
        """Return how many channels a group has."""
        return len(await self.group_channels(group))
