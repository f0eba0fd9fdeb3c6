"""The channel layer that keeps everything in the memory of one process."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Coroutine, Mapping, MutableMapping
from copy import copy
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from channels_core.exceptions import ChannelFull
from channels_core.layers import BaseChannelLayer, Capacities
from channels_core.typing import AnyMessage, Message
from channels_layers_memory._layer.clocks import mockable_time, steady_time
from channels_layers_memory._layer.codec import ISOLATIONS, Payload
from channels_layers_memory._layer.dropped_messages import DroppedMessages
from channels_layers_memory._layer.readers import Listener, Receiver, running_loop
from channels_layers_memory._layer.store import Store

if TYPE_CHECKING:
    from channels_core.layer_extensions import Delivery, History, HistoryLimits, QueueLimits
    from channels_layers_memory._layer.channels_view import Channels
    from channels_layers_memory._layer.history import Histories
    from channels_layers_memory._layer.limits_by_name import LimitsByName
    from channels_layers_memory._layer.members import Members
    from channels_layers_memory._layer.queues import Queues

__all__ = ["InMemoryChannelLayer"]

# How many checked channel names a layer remembers.
_REMEMBERED: Final = 10_000
# The beginning of the names that `new_channel` makes.
_PREFIX: Final = "specific."


def _open_to_overrides(
    method: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., Coroutine[Any, Any, None]]:
    """Let a subclass override a method without its last argument, for type checkers.

    Programs have such subclasses from the time when there was no such argument. Nothing changes
    when the program runs.
    """
    return method


class InMemoryChannelLayer(BaseChannelLayer):
    """A channel layer within one process, for all its threads and event loops.

    Messages: dicts with str keys and values that msgpack packs. Each receiver gets a copy of its
    own, equal to the one that it would get over a network.

    Source: the channel layer specification of Channels, with the extensions `groups` and `flush`,
    and those of `BaseChannelLayer` but `gaps`: the layer knows of each message that it drops.
    """

    extensions: ClassVar[list[str]] = ["groups", "flush", "exclude", "history", "members", "acks"]
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
        history: object = None,
        queues: object = None,
        member_linger: float = 5,
        member_lease: float = 20,
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
            history: How many messages of the groups whose name matches a glob or a compiled pattern
                are kept, and for how many seconds: `{"room.*": {"size": 200, "age": 600}}`; the
                first match counts.
            queues: The channels whose messages a worker acknowledges, by a glob or a compiled
                pattern: `{"thumbnails": {"redeliver_after": 60, "tries": 3}}`, where these limits
                are the defaults.
            member_linger: Seconds after which a group is told that a member has left whose last
                connection has ended.
            member_lease: Seconds after which the members of a process are gone that was killed. It
                has no effect: such a process takes this layer with it. A program may so use the
                same options for every layer.
            kwargs: Rejected; the TypeError names each unknown option.

        Raises:
            TypeError: An option is unknown, or of a wrong type.
            ValueError: `isolation` is unknown, or a limit is not positive.
        """
        if kwargs:
            raise TypeError(
                f"{type(self).__name__} has no option {', '.join(map(repr, kwargs))}; expected "
                "expiry, group_expiry, capacity, channel_capacity, isolation, clock, history, "
                "queues, member_linger or member_lease"
            )
        if isolation not in tuple(ISOLATIONS):
            raise ValueError(
                f"isolation must be one of {', '.join(map(repr, ISOLATIONS))}, not {isolation!r}"
            )
        super().__init__(expiry=expiry, capacity=capacity, channel_capacity=channel_capacity)
        self.group_expiry = group_expiry
        self.member_linger: float = _seconds("member_linger", member_linger, least=0)
        self.member_lease: float = _seconds("member_lease", member_lease)
        self._encode = ISOLATIONS[isolation]
        self._clock = clock
        # None, and their modules are not loaded, unless they are configured.
        self._history_limits: LimitsByName[HistoryLimits] | None = None
        self._queue_limits: LimitsByName[QueueLimits] | None = None
        if history is not None:
            self._history_limits = _history_limits(history)
        if queues is not None:
            self._queue_limits = _queue_limits(queues)
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
        self._histories: Histories | None = None
        if self._history_limits is not None:
            from channels_layers_memory._layer.history import Histories

            self._histories = Histories(self._store, lambda: self.group_expiry)
        self._queues: Queues | None = None
        if self._queue_limits is not None:
            from channels_layers_memory._layer.queues import Queues

            self._queues = Queues(self._store, self._queue_limits, clock or steady_time)
        # Whether a message to a group may be another one, or last longer, for some of its channels.
        self._is_selective = bool(self._histories or self._queues)
        # Made with the first member.
        self._members: Members | None = None

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
        self._store.call_what_is_left()
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
        if self._queues is not None and self._queues.keeps(channel):
            accepted = self._queues.send(channel, self._encode(message, for_several=True))
        else:
            accepted = self._store.put(channel, self._encode(message))
        if not accepted:
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
        self,
        channel: str,
        wake: Callable[[], object],
        wake_waiting: Callable[[], bool] | None = None,
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
            wake_waiting: Called instead, within `send`, for a message that comes while the channel
                is empty. If the program waits for a message at this moment, it does as `wake`, and
                returns True; no `receive` can take this message then. Otherwise it does nothing,
                and returns False.

        Returns:
            A function that takes the next message, or returns None if none waits now. Once woken,
            call it until it returns None: only then does the next message wake again.

        Raises:
            TypeError: The name is not valid.
            RuntimeError: No event loop runs in this thread.
        """
        if type(channel) is not str or channel not in self._checked:
            self._check(channel)
        listener = Listener(channel, self._take_for_listener, wake, wake_waiting)
        self._store.listen(channel, listener)
        return listener.take

    # Consumers pass the third argument only to a function that has this mark.
    vars(listen)["takes_wake_waiting"] = True

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
        if self.queue_limits(channel) is not None:
            from channels_core.layer_extensions import require_queue_name

            require_queue_name(channel, self.MAX_NAME_LENGTH)
        self._remember(channel)

    def _remember(self, channel: str) -> None:
        if len(self._checked) >= _REMEMBERED:
            self._checked.clear()
        self._checked.add(channel)

    async def new_channel(self, prefix: str = _PREFIX) -> str:
        """Return a new process-specific channel name that nobody can guess.

        It is random on both sides of its `!`: names that share the part before it share a
        capacity, and a consumer must not use up the capacity of another.

        Args:
            prefix: What the name starts with.
        """
        # As `secrets.token_hex(16)`, without its four calls: 0.7 us of each connection.
        token = os.urandom(16).hex()
        name = f"{prefix}{token[:16]}!{token[16:]}"
        if prefix != _PREFIX:
            self.require_valid_channel_name(name)
        self._remember(name)
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

    @_open_to_overrides
    async def group_add(
        self, group: str, channel: str, member: Mapping[str, Any] | None = None
    ) -> None:
        """Add a channel to a group, or renew its membership.

        Args:
            group: The group.
            channel: The channel.
            member: Who is there: `{"id": ..., ...}`. None leaves what the channel has told.

        Raises:
            TypeError: A name is not valid, or a part of `member` is of a wrong type.
            ValueError: `member` has no id, or is too large.
        """
        self.require_valid_group_name(group)
        if type(channel) is not str or channel not in self._checked:
            self.require_valid_channel_name(channel)
        if member is None:
            self._store.join(group, channel)
            return
        from channels_core.layer_extensions import checked_member

        data = checked_member(member)
        if self._members is None:
            from channels_layers_memory._layer.members import Members

            self._members = Members(self._store, self.member_linger, self._dropped)
        self._members.join(group, channel, data)

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove a channel from a group; does nothing if it is not a member."""
        self.require_valid_group_name(group)
        if type(channel) is not str or channel not in self._checked:
            self.require_valid_channel_name(channel)
        self._store.leave(group, channel)

    @_open_to_overrides
    async def group_send(
        self, group: str, message: AnyMessage, exclude: Collection[str] = ()
    ) -> None:
        """Send a message to every channel of a group that has room for it.

        For a channel that is full, the message is dropped and counted in `dropped`. The logger
        `django.channels.layers.memory` warns of it, at most every 10 seconds.

        Args:
            group: The group.
            message: The message.
            exclude: The names of channels that get no copy.

        Raises:
            TypeError: The name is not valid, the message cannot be packed, or `exclude` is not a
                collection of names.
            ValueError: The group has history, and the message has a key `position`.
        """
        self.require_valid_group_name(group)
        if self._store.half_full:
            from channels_layers_memory._layer.backpressure import wait_for_readers

            await wait_for_readers(self._store, self._store.half_full_members(group))
        payload = self._encode(message, for_several=True)
        if exclude or self._is_selective:
            dropped = self._put_selectively(group, message, payload, exclude)
        else:
            dropped = self._store.put_all(group, payload, running_loop())
        if dropped:
            self._dropped.add(group, dropped)

    def _put_selectively(
        self, group: str, message: AnyMessage, payload: Payload, exclude: Collection[str]
    ) -> int:
        """Put a message into a group, if not all members get the same, or history is kept."""
        from channels_core.layer_extensions import checked_exclude

        excluded = checked_exclude(exclude)
        limits = self.history_limits(group)
        if limits is None or self._histories is None:
            return self._store.put_except(group, payload, excluded, running_loop())
        if "position" in message:
            raise ValueError(
                f"A message to group {group!r} must not have a key 'position', which its history "
                f"adds, but got {message['position']!r}"
            )
        assert callable(payload)  # it is for several receivers
        return self._histories.send(group, limits, payload, excluded, running_loop())

    async def group_channels(self, group: str) -> list[str]:
        """Return the channels of a group, in the order in which they joined."""
        self.require_valid_group_name(group)
        return self._store.members(group)

    async def group_count(self, group: str) -> int:
        """Return how many channels a group has."""
        return len(await self.group_channels(group))

    # History

    def history_limits(self, group: str) -> HistoryLimits | None:
        """Return how much of a group's messages is kept; None if they are not kept."""
        return None if self._history_limits is None else self._history_limits(group)

    async def group_history(
        self, group: str, after: str | None = None, limit: int | None = None
    ) -> History:
        """Return messages of a group that are kept, in the order of sending.

        Args:
            group: The group.
            after: A position. The messages after it are returned, the oldest first. If not all of
                them are kept, or if it is no position of this group, all that are kept are
                returned, and the history is not complete. None asks for the newest messages.
            limit: How many messages are returned at most; None for all.

        Raises:
            TypeError: The name is not valid, or the limit is not an int.
            ValueError: The group has no history, or the limit is negative.
        """
        self.require_valid_group_name(group)
        if self.history_limits(group) is None or self._histories is None:
            raise ValueError(
                f"{type(self).__name__} keeps no messages of group {group!r}: no pattern of its "
                "option 'history' matches that name"
            )
        if limit is not None:
            if isinstance(limit, bool) or not isinstance(limit, int):
                raise TypeError(f"limit must be an int or None, not {limit!r}")
            if limit < 0:
                raise ValueError(f"limit must not be negative, but got {limit!r}")
        return self._histories.read(group, after, limit)

    # Members

    async def group_members(self, group: str) -> list[dict[str, Any]]:
        """Return who is in a group, in the order in which they first joined.

        Returns:
            A dict for each id: the newest data that were given for it, and the number of its
            `connections`. It is 0 if the last one has ended within the last `member_linger`
            seconds.
        """
        self.require_valid_group_name(group)
        return [] if self._members is None else self._members.list(group)

    # Queues

    def queue_limits(self, channel: str) -> QueueLimits | None:
        """Return when a message of a channel is given again; None if it is given once."""
        return None if self._queue_limits is None else self._queue_limits(channel)

    async def receive_delivery(self, channel: str) -> Delivery:
        """Wait for the next message of a queue, to be acknowledged once it is handled.

        It is given again if that does not happen within the queue's `redeliver_after`, and goes to
        the channel `"{channel}.dead"` after its last attempt. A cancelled call loses nothing.

        Raises:
            TypeError: The name is not valid.
            ValueError: The channel is not a queue.
        """
        self._check(channel)
        limits = self.queue_limits(channel)
        if limits is None or self._queues is None:
            raise ValueError(
                f"{type(self).__name__} gives messages of channel {channel!r} only once: no "
                "pattern of its option 'queues' matches that name; use receive()"
            )
        return await self._queues.receive(channel, limits)

    async def acknowledge(self, channel: str, token: str) -> bool:
        """Forget a message that was handled.

        Returns:
            False if the message has been given to somebody else in the meantime, or is gone.
        """
        return self._queues is not None and self._queues.acknowledge(channel, token)

    async def reject(self, channel: str, token: str, error: str) -> bool:
        """Record that a message was not handled.

        It is given again once `redeliver_after` is over. After the last attempt it goes to the
        channel `"{channel}.dead"` at once, with the error.

        Returns:
            False as in `acknowledge`.
        """
        return self._queues is not None and self._queues.reject(channel, token, error)

    async def give_back(self, channel: str, token: str) -> bool:
        """Put a message back to the front of its queue; this attempt does not count.

        Returns:
            False as in `acknowledge`.
        """
        return self._queues is not None and self._queues.give_back(channel, token)

    async def ping(self) -> None:
        """Do nothing: the store of this layer can always be reached."""


def _seconds(option: str, value: object, least: float | None = None) -> float:
    """Check an option in seconds.

    Args:
        option: Its name.
        value: Its value.
        least: The least value; if None, it must be positive.
    """
    expected = "a positive number of seconds" if least is None else f"{least} or more seconds"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{option} must be {expected}, not {value!r}")
    if not (value > 0 if least is None else least <= value) or value == inf:
        raise ValueError(f"{option} must be {expected}, not {value!r}")
    return value


def _history_limits(option: object) -> LimitsByName[HistoryLimits]:
    from channels_core.layer_extensions import compile_history
    from channels_layers_memory._layer.limits_by_name import LimitsByName

    return LimitsByName(compile_history(option))


def _queue_limits(option: object) -> LimitsByName[QueueLimits]:
    from channels_core.layer_extensions import compile_queues
    from channels_layers_memory._layer.limits_by_name import LimitsByName

    return LimitsByName(compile_queues(option))
