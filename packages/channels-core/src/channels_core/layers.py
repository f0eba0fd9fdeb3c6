"""The interface of a channel layer, and the layers that the settings configure."""

from __future__ import annotations

import fnmatch
import re
import threading
import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from channels_core._layers.names import (
    CHANNEL_NAME,
    GROUP_NAME,
    explain_invalid_name,
    local_prefix,
)
from channels_core._layers.sync_calls import (
    copy_of,
    give_sync_calls,
    group_add_sync,
    group_discard_sync,
    group_history_sync,
    group_members_sync,
    group_send_on_commit,
    group_send_sync,
    ping_sync,
    send_on_commit,
    send_sync,
)
from channels_core._settings import DEFAULT_CHANNEL_LAYER
from channels_core.exceptions import InvalidChannelLayerError
from channels_core.forks import start_anew_in_children
from channels_core.typing import AnyMessage, ChannelMessage, Message

if TYPE_CHECKING:
    from channels_core.layer_extensions import Delivery, History, HistoryLimits, QueueLimits

__all__ = [
    "BaseChannelLayer",
    "Capacities",
    "ChannelLayerManager",
    "channel_layers",
    "get_channel_layer",
    "group_add_sync",
    "group_discard_sync",
    "group_history_sync",
    "group_members_sync",
    "group_send_on_commit",
    "group_send_sync",
    "has_groups",
    "ping_sync",
    "send_on_commit",
    "send_sync",
]

#: The type of the option `channel_capacity`, for authors of layers. A key is a text or a compiled
#: pattern; `Any`, because the key type of a mapping takes no union of the two.
Capacities: TypeAlias = Mapping[Any, int] | Iterable[tuple[str | re.Pattern[str], int]]


def _warn_deprecated(name: str, instead: str) -> None:
    # stacklevel: the line of the program that called the deprecated method.
    warnings.warn(f"{name} is deprecated, use {instead} instead.", DeprecationWarning, stacklevel=3)


class BaseChannelLayer:
    """The base of channel layers: names, capacities and calls from synchronous code.

    A layer delivers each message at most once. Messages of one sender to one channel keep their
    order. Its methods may be called from any thread and any event loop, so a layer must not keep
    anything that belongs to the loop that used it first.

    A subclass implements `send`, `receive` and `new_channel`, and lists its extensions in
    `extensions`. Channels uses each of the following if a layer has it; this class defines only
    `outage_errors`, `reaches_other_processes` and `copy_message` of them:

    - `listen(channel, wake)`: starts to deliver the messages of a channel without a task that waits
      in `receive`. It returns a function that takes the next message, or returns None if none
      waits. The layer calls `wake()` when a message arrives, in the event loop in which `listen`
      was called, at least for the first message after the function has returned None. Messages
      stay in the layer, and count towards the capacity of their channel, until they are taken. The
      listening ends with `forget_channel`. If the function raises, the connection ends with this
      exception. Without `listen`, each connection has one more task.
    - `takes_wake_waiting`, an attribute of the function `listen`: True if it has a third argument,
      `wake_waiting`. The layer may call that instead of `wake`. It returns False, and does nothing,
      unless the consumer waits for a message at this moment.
    - `forget_channel(channel)`: a coroutine method that drops the messages in a channel and all its
      group memberships. A consumer calls it when its connection has ended. Without it, both stay
      until they expire.
    - `never_waits`, an attribute of the function `new_channel`: True if it never waits. An HTTP
      consumer then has a channel only if it uses one.
    - `close()`: a method or a coroutine method. A worker calls it when it ends.
    - `group_expiry`: the seconds after which a membership ends unless `group_add` renews it.
      Channels renews each membership every `CHANNELS_GROUP_RENEWAL` seconds, and at least four
      times within `group_expiry`.
    - `outage_errors`: of the class; the exceptions which mean that the store cannot be reached.
    - `reaches_other_processes`: of the class; `runworker` warns if it is False.
    - `copy_message(message)`: returns what a receiver would get, or raises an error if the message
      cannot be sent. `send_on_commit` and `group_send_on_commit` call it at once.
    - `serialize(message)`: called by the `copy_message` of this class, before it copies; raises an
      error if the message cannot be sent.

    Each of the following is an extension, which a layer names in `extensions` if it has it. The
    methods are described below, and the values that they take and return are in
    `channels_core.layer_extensions`.

    - `groups`: the methods `group_add`, `group_discard` and `group_send`.
    - `flush`: the method of that name.
    - `exclude`: the argument `exclude` of `group_send`.
    - `history`: `history_limits` and `group_history`. Messages to some groups, by an option of the
      layer, are kept for a while, and arrive with the key `position`.
    - `members`: the argument `member` of `group_add`, and `group_members`. The group is told who
      comes and who leaves.
    - `gaps`: `receive`, and the function that `listen` returns, raise `MessagesMissed` if messages
      for the channel may be lost, since the connection to the store was away for example. The next
      call returns the next message. Consumers then ask for what they have missed.
    - `acks`: `queue_limits`, `receive_delivery`, `acknowledge`, `reject` and `give_back`. Messages
      to some channels, by an option of the layer, are given again until they are acknowledged.

    Attributes:
        expiry: Seconds after which an undelivered message is dropped.
        capacity: The number of messages that a channel holds before it is full.
        channel_capacity: Pairs of a compiled pattern and the capacity of the channels whose name
            it matches.

    Source: the channel layer specification of Channels.
    """

    MAX_NAME_LENGTH: ClassVar[int] = 100

    channel_name_regex = CHANNEL_NAME
    group_name_regex = GROUP_NAME
    invalid_name_error = (
        "{} name must be a non-empty str of less than 100 characters, only ASCII letters, digits, "
        "hyphens, underscores and periods"
    )

    #: The extensions that the layer has; see above.
    extensions: ClassVar[list[str]] = []

    #: Whether a message reaches receivers in other processes; None if that is not known.
    reaches_other_processes: ClassVar[bool | None] = None

    #: Exceptions which mean that the layer cannot reach its store for now. If `receive` raises one,
    #: all connections on the layer end, with 1012. If `group_discard` raises one at the end of a
    #: connection, it is repeated later. An `OSError` counts always, and so do the connection and
    #: time-out errors of the clients of Redis and Valkey.
    outage_errors: ClassVar[tuple[type[BaseException], ...]] = ()

    def __init__(
        self,
        expiry: int = 60,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
    ) -> None:
        """Take the limits that every layer has.

        Args:
            expiry: Seconds after which an undelivered message is dropped.
            capacity: The number of messages that a channel holds before it is full.
            channel_capacity: Capacities of channels whose name matches a glob (`"http.*"`) or a
                compiled pattern; the first match counts.
        """
        self.expiry = expiry
        self.capacity = capacity
        self.channel_capacity: list[tuple[re.Pattern[str], int]]
        self.channel_capacity = self.compile_capacities(channel_capacity or {})

    def compile_capacities(self, channel_capacity: Capacities) -> list[tuple[re.Pattern[str], int]]:
        """Compile globs into patterns.

        Args:
            channel_capacity: As in the constructor, or the result of an earlier call.
        """
        pairs = (
            channel_capacity.items() if isinstance(channel_capacity, Mapping) else channel_capacity
        )
        return [
            (re.compile(fnmatch.translate(key)) if isinstance(key, str) else key, capacity)
            for key, capacity in pairs
        ]

    def get_capacity(self, channel: str) -> int:
        """Return how many messages a channel holds before it is full."""
        for pattern, capacity in self.channel_capacity:
            if pattern.match(channel):
                return capacity
        return self.capacity

    # Names

    def match_type_and_length(self, name: object) -> bool:
        """Return whether a name is a str of an allowed length."""
        return isinstance(name, str) and len(name) < self.MAX_NAME_LENGTH

    def require_valid_channel_name(self, name: str, receive: bool = False) -> bool:
        """Check the name of a channel.

        Args:
            name: The name to check.
            receive: Whether the name is one to receive from, in a layer that reads all channels
                of a process at once: a process-specific name must end at its `!`.

        Returns:
            True.

        Raises:
            TypeError: The name is not valid; the text shows the name, its length and the first
                character that is not allowed.
        """
        # One condition for a valid name, since each message passes here. Subclasses may override
        # `match_type_and_length`.
        if not (self.match_type_and_length(name) and self.channel_name_regex.fullmatch(name)):
            raise TypeError(self._explain("Channel", name, channel=True))
        if receive and "!" in name and not name.endswith("!"):
            raise TypeError(
                f"A process-specific channel name to receive from ends at its '!', but got {name!r}"
            )
        return True

    def require_valid_group_name(self, name: str) -> bool:
        """Check the name of a group.

        Returns:
            True.

        Raises:
            TypeError: The name is not valid; the text shows the name, its length and the first
                character that is not allowed.
        """
        if not (self.match_type_and_length(name) and self.group_name_regex.fullmatch(name)):
            raise TypeError(self._explain("Group", name, channel=False))
        return True

    def _explain(self, kind: str, name: object, *, channel: bool) -> str:
        fault = explain_invalid_name(name, limit=self.MAX_NAME_LENGTH, channel=channel)
        return f"{self.invalid_name_error.format(kind)}, but {fault}"

    def valid_channel_names(self, names: Iterable[str], receive: bool = False) -> bool:
        """Check the names of several channels, each as `require_valid_channel_name` does."""
        for name in names:
            self.require_valid_channel_name(name, receive=receive)
        return True

    def valid_channel_name(self, channel_name: str, receive: bool = False) -> bool:
        """Check the name of a channel; deprecated, use `require_valid_channel_name`."""
        _warn_deprecated("valid_channel_name", "require_valid_channel_name")
        return self.require_valid_channel_name(channel_name, receive=receive)

    def valid_group_name(self, group_name: str) -> bool:
        """Check the name of a group; deprecated, use `require_valid_group_name`."""
        _warn_deprecated("valid_group_name", "require_valid_group_name")
        return self.require_valid_group_name(group_name)

    def non_local_name(self, name: str) -> str:
        """Return a process-specific name up to and including its `!`, and any other name whole."""
        return local_prefix(name)

    # What a layer implements

    async def send(self, channel: str, message: AnyMessage) -> None:
        """Send a message to a channel.

        Raises:
            ChannelFull: The channel holds as many messages as its capacity allows.
        """
        raise self._lacks("send")

    async def receive(self, channel: str) -> ChannelMessage:
        """Wait for the next message of a channel; a cancelled call must not lose one."""
        raise self._lacks("receive")

    async def new_channel(self) -> str:
        """Return a new process-specific channel name that nobody can guess."""
        raise self._lacks("new_channel")

    # The optional extensions: a layer that lists one in `extensions` overrides its methods.

    async def flush(self) -> None:
        """Drop all messages and groups (extension `flush`)."""
        raise self._lacks("flush")

    # `*args: Any, **kwargs: Any` stand for the argument of an extension: for type checkers, a
    # layer may override these methods without it.

    async def group_add(self, group: str, channel: str, *args: Any, **kwargs: Any) -> None:
        """Add a channel to a group, or renew its membership (extension `groups`).

        With the extension `members`, it has one more argument, `member=None`: the data of the
        member behind the channel, a dict with its `id` (see `checked_member`). A second call with
        other data replaces them, and one without them keeps those that there are. The membership
        of the member ends with that of the channel.

        When the first channel of an id joins, the message
        `{"type": "group.joined", "group": ..., "member": {...}}` goes to the group; when the last
        one has left and none is back after some seconds, `group.left` does. Neither is kept in the
        history.
        """
        raise self._lacks("groups")

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove a channel from a group; not being in it is not an error (extension `groups`)."""
        raise self._lacks("groups")

    async def group_send(self, group: str, message: AnyMessage, *args: Any, **kwargs: Any) -> None:
        """Send a message to every channel of a group that is not full (extension `groups`).

        With the extension `exclude`, it has one more argument, `exclude=()`: the names of channels
        that get no copy (see `checked_exclude`). If the group has history, each of them gets
        `{"type": "group.position", "position": ...}` instead, so that it does not miss a number.

        Raises:
            ValueError: The group has history, and the message has a key `position`.
        """
        raise self._lacks("groups")

    def history_limits(self, group: str) -> HistoryLimits | None:
        """Return how much of a group's messages is kept; None for nothing (extension `history`)."""
        raise self._lacks("history")

    async def group_history(
        self, group: str, after: str | None = None, limit: int | None = None
    ) -> History:
        """Return the messages of a group that are kept, in order of sending (extension `history`).

        Args:
            group: The group's name.
            after: The position after which the messages are wanted, as a client may have sent it;
                None for the newest messages.
            limit: The most messages to return, the oldest first if `after` is given and the
                newest otherwise; None for all, 0 to ask for the newest position only.

        Returns:
            The messages and the newest position of the group. It is not `complete` if a message
            after `after` is missing, or if that position is malformed, of another group, or of a
            history that was emptied since. Then the messages are all that are kept.

        Raises:
            ValueError: The group has no history, or the limit is negative.
        """
        raise self._lacks("history")

    async def group_members(self, group: str) -> list[dict[str, Any]]:
        """Return who is in a group, in order of first joining (extension `members`).

        Returns:
            For each id the data of its newest channel, and the number of its channels as
            `connections`. One that has just left is listed for some seconds, with 0 connections.
        """
        raise self._lacks("members")

    def queue_limits(self, channel: str) -> QueueLimits | None:
        """Return how messages of a channel are given again, or None (extension `acks`).

        None means that `receive` gives each message once, and that the other methods of the
        extension must not be called.
        """
        raise self._lacks("acks")

    async def receive_delivery(self, channel: str) -> Delivery:
        """Wait for the next message of a channel that has to be acknowledged (extension `acks`).

        One that is not acknowledged within `redeliver_after` seconds, or was rejected, is given
        again after that time, up to `tries` times. Then it goes to the channel
        `"{channel}.dead"`, with a key `dead`. A cancelled call does not lose a message.
        """
        raise self._lacks("acks")

    async def acknowledge(self, channel: str, token: str) -> bool:
        """End the life of a message that was handled (extension `acks`).

        Args:
            channel: The channel's name.
            token: That of the delivery.

        Returns:
            Whether it was still this delivery's turn; False if the message was given again since.
        """
        raise self._lacks("acks")

    async def reject(self, channel: str, token: str, error: str) -> bool:
        """Record that a message could not be handled; arguments as in `acknowledge`.

        Args:
            channel: The channel's name.
            token: That of the delivery.
            error: What has failed; a dead letter has the last one.
        """
        raise self._lacks("acks")

    async def give_back(self, channel: str, token: str) -> bool:
        """Let another worker have a message at once; arguments as in `acknowledge`.

        The delivery does not count as an attempt.
        """
        raise self._lacks("acks")

    async def ping(self) -> None:
        """Return if the layer can be used now; for readiness probes. A layer need not have it.

        Raises:
            Exception: The store cannot be reached.
        """
        raise self._lacks("ping")

    def _lacks(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} does not offer {what!r}")

    # From synchronous code

    def send_sync(self, channel: str, message: Message) -> None:
        """Send a message to a channel from synchronous code; see `send`."""
        send_sync(self, channel, message)

    def group_add_sync(
        self, group: str, channel: str, member: Mapping[str, Any] | None = None
    ) -> None:
        """Add a channel to a group from synchronous code; see `group_add`."""
        group_add_sync(self, group, channel, member)

    def group_discard_sync(self, group: str, channel: str) -> None:
        """Remove a channel from a group from synchronous code; see `group_discard`."""
        group_discard_sync(self, group, channel)

    def group_send_sync(self, group: str, message: Message, exclude: Collection[str] = ()) -> None:
        """Send a message to a group from synchronous code; see `group_send`."""
        group_send_sync(self, group, message, exclude)

    def group_history_sync(
        self, group: str, after: str | None = None, limit: int | None = None
    ) -> History:
        """Return the kept messages of a group to synchronous code; see `group_history`."""
        return group_history_sync(self, group, after, limit)

    def group_members_sync(self, group: str) -> list[dict[str, Any]]:
        """Return who is in a group to synchronous code; see `group_members`."""
        return group_members_sync(self, group)

    def ping_sync(self) -> None:
        """Return to synchronous code if the layer can be used now; see `ping`."""
        ping_sync(self)

    def send_on_commit(self, channel: str, message: Message, using: str | None = None) -> None:
        """Send to a channel once the open database transaction has been committed.

        A failure at that time is logged and not raised, so it disturbs neither the request nor
        other functions that run after the commit.

        Args:
            channel: The channel's name, checked at once.
            message: The message; it is copied now.
            using: Alias of the database; the default one if None.

        Raises:
            TypeError: The name is not valid, or the layer cannot send the message.

        Source: `django.db.transaction.on_commit`; without a transaction it sends at once.
        """
        send_on_commit(self, channel, message, using)

    def group_send_on_commit(
        self,
        group: str,
        message: Message,
        using: str | None = None,
        exclude: Collection[str] = (),
    ) -> None:
        """Send to a group once the open database transaction has been committed.

        A failure at that time is logged and not raised, so it disturbs neither the request nor
        other functions that run after the commit.

        Args:
            group: The group's name, checked at once.
            message: The message; it is copied now.
            using: Alias of the database; the default one if None.
            exclude: Names of channels that get no copy, checked at once (extension `exclude`).

        Raises:
            TypeError: The name is not valid, or the layer cannot send the message.
            InvalidChannelLayerError: The layer does not have the extension that is needed.

        Source: `django.db.transaction.on_commit`; without a transaction it sends at once.
        """
        group_send_on_commit(self, group, message, using, exclude)

    def copy_message(self, message: Message) -> dict[str, Any]:
        """Return a deep copy of a message that will be sent later.

        A layer may override it to refuse a message at once that it could not send.

        Raises:
            TypeError: The message cannot be copied, or the layer cannot send it.
        """
        return copy_of(self, message)


class _UnknownAliasError(InvalidChannelLayerError, KeyError):
    """An alias is not configured; also a `KeyError`, as for any other mapping."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError shows its argument quoted


class ChannelLayerManager:
    """The configured channel layers by alias, each built when it is first used.

    A change of `CHANNEL_LAYERS` by Django's `override_settings` drops all layers.
    """

    def __init__(self) -> None:
        """Start without a layer."""
        self.backends: dict[str, BaseChannelLayer] = {}
        self._make_lock()
        start_anew_in_children(self, ChannelLayerManager._make_lock)
        setting_changed.connect(self._reset_backends)

    def _make_lock(self) -> None:
        # Reentrant, since the constructor of a backend may use another layer.
        self._lock = threading.RLock()

    def _reset_backends(self, *, setting: str, **kwargs: object) -> None:
        if setting == "CHANNEL_LAYERS":
            self.backends = {}

    @property
    def configs(self) -> dict[str, dict[str, Any]]:
        """The `CHANNEL_LAYERS` setting; empty if it is not set."""
        # Django keeps a setting that was read in the object's own dict. Each connection asks for
        # this one, and Django's own way to an attribute takes 0.4 us longer.
        known = object.__getattribute__(settings, "__dict__")
        configs: dict[str, dict[str, Any]] | None
        if "CHANNEL_LAYERS" in known:
            configs = known["CHANNEL_LAYERS"]
        else:
            configs = getattr(settings, "CHANNEL_LAYERS", None)
        return configs or {}

    def make_backend(self, name: str) -> BaseChannelLayer:
        """Build the layer of an alias from its `CONFIG`.

        Raises:
            InvalidChannelLayerError: The alias is not configured (also a `KeyError`), it has no
                `BACKEND`, or the backend cannot be imported.
            Exception: The exception of the backend's constructor, with a note of the alias.
        """
        return self._make_backend(name, self._config(name).get("CONFIG", {}))

    def make_test_backend(self, name: str) -> BaseChannelLayer:
        """Build the layer of an alias from its `TEST_CONFIG`.

        Raises:
            InvalidChannelLayerError: As in `make_backend`, or it has no `TEST_CONFIG`.
        """
        config = self._config(name)
        if "TEST_CONFIG" not in config:
            raise InvalidChannelLayerError(f"No TEST_CONFIG specified for {name}")
        return self._make_backend(name, config["TEST_CONFIG"])

    def _config(self, name: str) -> dict[str, Any]:
        try:
            config = self.configs[name]
        except KeyError:
            raise _UnknownAliasError(
                f"CHANNEL_LAYERS has no alias {name!r}; it has {sorted(self.configs)}"
            ) from None
        if not isinstance(config, dict):
            raise InvalidChannelLayerError(
                f"CHANNEL_LAYERS[{name!r}] must be a dict with a BACKEND, not {config!r}"
            )
        return config

    def _make_backend(self, name: str, config: dict[str, Any]) -> BaseChannelLayer:
        try:
            path = self.configs[name]["BACKEND"]
        except KeyError:
            raise InvalidChannelLayerError(f"No BACKEND specified for {name}") from None
        try:
            backend_class = import_string(path)
        except ImportError as error:
            fault = InvalidChannelLayerError(f"Cannot import BACKEND {path!r} specified for {name}")
            fault.add_note(str(error))
            raise fault from error
        try:
            backend: Any = backend_class(**config)
        except Exception as error:
            # Not wrapped: programs catch the exceptions of their own layer.
            error.add_note(f"Raised by BACKEND {path!r} specified for channel layer {name!r}")
            raise
        if path.startswith("channels_redis."):
            from channels_core._layers.channels_redis import log_outages_once  # by who uses it only

            log_outages_once(backend)
        if not isinstance(backend, BaseChannelLayer):
            give_sync_calls(backend)
        layer: BaseChannelLayer = backend
        return layer

    def __getitem__(self, key: str) -> BaseChannelLayer:
        """Return the layer of an alias, built on first use.

        Raises:
            InvalidChannelLayerError: As in `make_backend`.
        """
        try:
            return self.backends[key]
        except KeyError:
            with self._lock:
                if key not in self.backends:
                    self.backends[key] = self.make_backend(key)
                return self.backends[key]

    def __contains__(self, key: object) -> bool:
        """Return whether an alias is configured, or was set."""
        return key in self.backends or key in self.configs

    def set(self, key: str, layer: BaseChannelLayer | None) -> BaseChannelLayer | None:
        """Set the layer of an alias, for tests.

        Args:
            key: The alias.
            layer: The layer; None removes the current one, so the next use builds a new one.

        Returns:
            The layer before, or None.
        """
        with self._lock:
            old = self.backends.pop(key, None)
            if layer is not None:
                self.backends[key] = layer
        return old


def has_groups(layer: Any) -> bool:
    """Return whether a channel layer has groups.

    A layer has them if its class defines `group_add`, or if it lists `groups` in `extensions`.

    Args:
        layer: A channel layer, which need not derive from ours.
    """
    own = getattr(type(layer), "group_add", None)
    if own is None:
        # Perhaps a layer that passes its calls on, by `__getattr__`. No other attribute is read:
        # some layers give those in an event loop only, and this may run in a handler's thread.
        has_method = callable(getattr(layer, "group_add", None))
    else:
        has_method = own is not BaseChannelLayer.group_add
    return has_method or "groups" in getattr(layer, "extensions", ())


#: The layers of this process, by alias.
channel_layers: Final = ChannelLayerManager()


def get_channel_layer(alias: str = DEFAULT_CHANNEL_LAYER) -> BaseChannelLayer | None:
    """Return the layer of an alias, or None if it is not configured.

    Raises:
        InvalidChannelLayerError: It is configured, but cannot be imported.
        Exception: The exception of its constructor.
    """
    if alias not in channel_layers:
        return None
    return channel_layers[alias]
