"""Membership in groups of the channel layer, for as long as a connection lasts."""

from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, ClassVar, Self

from channels_core._memberships import join, leave, leave_when_possible
from channels_core.exceptions import InvalidChannelLayerError, StopConsumer
from channels_core.layers import BaseChannelLayer, has_groups
from channels_core.typing import Scope

__all__ = ["AsyncGroupMember", "GroupMember", "SyncGroupMember", "group_names"]


def group_names(groups: object) -> list[str]:
    """Return the names that a consumer's `groups` gives.

    Args:
        groups: None, an iterable of names, or a method that returns one of these.

    Raises:
        TypeError: It is something else, a single str for example.
    """
    if callable(groups):
        groups = groups()
    if groups is None:
        return []
    if isinstance(groups, str) or not isinstance(groups, Iterable):
        raise TypeError(
            f"groups must be an iterable of names, or a method that returns one, not {groups!r}"
        )
    return list(groups)


class GroupMember:
    """What a consumer has that is in groups, in either colour.

    Attributes:
        groups: Names of groups to be in while the connection lasts: an iterable, a property or
            a method. Read when `self.scope` is there.
    """

    _channels_framework: ClassVar[bool] = True
    _channels_finished = False

    # Any: a subclass gives a list, a property or a method, as it likes.
    groups: Any = None

    scope: Scope
    channel_layer: BaseChannelLayer
    channel_name: str

    _channels_joined: set[str]
    # Names in `groups` that are not to be left any more.
    _channels_groups_left: set[str]
    _channels_declared: frozenset[str] = frozenset()
    _channels_disconnect_called: bool

    # Of the consumer this is mixed into; the first only where methods are ordinary ones.
    _channels_in_loop: Callable[..., Any]
    _channels_report: Callable[[BaseException], None]
    _channels_call: Callable[..., Coroutine[Any, Any, None]]
    disconnect: Callable[..., Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the state here: a program's constructor need not call ours."""
        consumer = super().__new__(cls)
        consumer._channels_joined = set()
        consumer._channels_groups_left = set()
        consumer._channels_disconnect_called = False
        return consumer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take any arguments, for subclasses that pass theirs on; the first may be the scope."""
        if args and isinstance(args[0], dict):
            self.scope = args[0]
        declared = getattr(type(self), "groups", None)
        unset = "groups" not in vars(self)
        if unset and (declared is None or isinstance(declared, list | set)):
            # Its own: what a connection adds must not be in its class's.
            self.groups = copy(declared) if declared is not None else []

    def _channels_group_layer(self) -> BaseChannelLayer:
        layer: Any = self.channel_layer  # or None
        if layer is None or not has_groups(layer):
            fault = InvalidChannelLayerError("BACKEND is unconfigured or doesn't support groups")
            fault.add_note(f"{type(self).__name__} joins a group, but its layer is {layer!r}")
            raise fault
        found: BaseChannelLayer = layer
        return found

    def _channels_groups(self) -> list[str]:
        names = group_names(self.groups)
        self._channels_declared = frozenset(names)
        return names

    @contextmanager
    def _channels_before_connect(self) -> Iterator[None]:
        """Call no `disconnect` if what is done here fails: there was no `connect` to answer."""
        self._channels_disconnect_called = True
        yield
        self._channels_disconnect_called = False

    def _channels_groups_to_leave(self) -> list[str]:
        """Return what was joined, and what a program added to `groups` itself."""
        groups = vars(self).get("groups")
        added = set(groups) if isinstance(groups, list | tuple | set | frozenset) else set()
        return sorted(
            self._channels_joined | (added - self._channels_declared - self._channels_groups_left)
        )

    def _channels_forget(self, group: str) -> None:
        # `groups` is the program's: its `disconnect` may still ask for it.
        self._channels_joined.discard(group)
        self._channels_groups_left.add(group)

    def _channels_drop(self, group: str) -> None:
        self._channels_forget(group)
        groups = vars(self).get("groups")
        if isinstance(groups, list | set) and group in groups:
            groups.remove(group)

    def _channels_disconnect_arguments(self) -> tuple[Any, ...]:
        """Take note that the connection has ended, and return what `disconnect` is called with."""
        return ()

    async def _channels_finish(self) -> None:
        """Leave the groups and call `disconnect`, once; what was cut short is taken up again.

        In both colours it runs in the event loop, where it needs no thread but for `disconnect`.
        """
        arguments = self._channels_disconnect_arguments()
        errors: list[Exception] = []
        await self._channels_leave_groups(errors)
        if not self._channels_disconnect_called:
            self._channels_disconnect_called = True
            try:
                await self._channels_call(self.disconnect, *arguments)
            except StopConsumer:
                pass
            except Exception as error:  # noqa: BLE001 - all of the clean-up runs
                errors.append(error)
            # Those that `disconnect` itself has joined.
            await self._channels_leave_groups(errors)
        self._channels_finished = True
        self._channels_raise_first(errors)

    async def _channels_finish_unasked(self) -> None:
        """Finish where no message of the server has asked for it."""
        await self._channels_finish()

    async def _channels_leave_groups(self, errors: list[Exception]) -> None:
        for group in self._channels_groups_to_leave():
            try:
                await leave_when_possible(self._channels_group_layer(), group, self.channel_name)
            except Exception as error:  # noqa: BLE001 - all of the clean-up runs
                errors.append(error)
            self._channels_forget(group)

    def _channels_raise_first(self, errors: list[Exception]) -> None:
        """Raise the first of the errors of a clean-up; report the others."""
        for error in errors[1:]:
            self._channels_report(error)
        if errors:
            raise errors[0]


class AsyncGroupMember(GroupMember):
    """What a consumer with coroutine methods has that is in groups."""

    _channels_framework: ClassVar[bool] = True

    async def join_group(self, name: str) -> None:
        """Join a group of the channel layer, and leave it when the connection ends.

        Args:
            name: The group's name: ASCII letters, digits, hyphens, underscores, periods.

        Raises:
            InvalidChannelLayerError: There is no layer, or it has no groups.
            TypeError: The name is not valid.
        """
        await self._channels_join(name)

    async def leave_group(self, name: str) -> None:
        """Leave a group of the channel layer; it is no error not to be in it.

        Args:
            name: The group's name.

        Raises:
            InvalidChannelLayerError: There is no layer, or it has no groups.
            TypeError: The name is not valid.
        """
        await leave(self._channels_group_layer(), name, self.channel_name)
        self._channels_drop(name)

    async def _channels_join_declared(self) -> None:
        with self._channels_before_connect():
            for group in self._channels_groups():
                await self._channels_join(group)

    async def _channels_join(self, name: str) -> None:
        layer = self._channels_group_layer()
        # Before the call: if it fails halfway, the channel may be in the group all the same.
        self._channels_joined.add(name)
        self._channels_groups_left.discard(name)
        try:
            await join(layer, name, self.channel_name)
        except TypeError:
            self._channels_forget(name)
            raise


class SyncGroupMember(GroupMember):
    """What a consumer with ordinary methods has that is in groups."""

    _channels_framework: ClassVar[bool] = True

    def join_group(self, name: str) -> None:
        """Join a group of the channel layer, and leave it when the connection ends."""
        self._channels_join(name)

    def leave_group(self, name: str) -> None:
        """Leave a group of the channel layer."""
        self._channels_in_loop(leave, self._channels_group_layer(), name, self.channel_name)
        self._channels_drop(name)

    def _channels_join_declared(self) -> None:
        with self._channels_before_connect():
            for group in self._channels_groups():
                self._channels_join(group)

    def _channels_join(self, name: str) -> None:
        layer = self._channels_group_layer()
        # Before the call: if it fails halfway, the channel may be in the group all the same.
        self._channels_joined.add(name)
        self._channels_groups_left.discard(name)
        try:
            self._channels_in_loop(join, layer, name, self.channel_name)
        except TypeError:
            self._channels_forget(name)
            raise
