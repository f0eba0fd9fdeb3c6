"""Consumers that can join groups of the channel layer, and leave them when the connection ends."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from channels_core._consumer_classes import framework
from channels_core.consumer import AsyncConsumer, SyncConsumer

__all__ = ["AsyncGroupMember", "SyncGroupMember", "group_names"]


if TYPE_CHECKING:
    from channels_core._connection.groups import group_names
    from channels_core.connection import GroupConnection
else:

    def __getattr__(name: str) -> Any:
        """Load `group_names` from its module (PEP 562)."""
        if name != "group_names":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from channels_core._connection.groups import group_names

        return group_names


def _companion() -> type[GroupConnection]:
    from channels_core.connection import GroupConnection  # with the first consumer

    return GroupConnection


@framework(_companion)
class AsyncGroupMember(AsyncConsumer):
    """The base of consumers with groups whose handlers are coroutine methods.

    Attributes:
        groups: The names of the groups to join: an iterable, a property or a method. Read when
            `self.scope` is set.
    """

    # Any, since a subclass may define a list, a property or a method.
    groups: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Accept any arguments, which subclasses may pass; a dict that comes first is the scope."""
        _set_up(self, args)

    async def join_group(
        self, name: str, after: object = None, member: dict[str, Any] | None = None
    ) -> None:
        """Join a group of the channel layer, and leave it when the connection ends.

        If the layer keeps the messages of the group, the connection follows them: none comes twice,
        and one that is missing is fetched, so that they come in order.

        Args:
            name: The group's name: ASCII letters, digits, hyphens, underscores, periods.
            after: The `position` of the last message that the client has, as the client has sent
                it. The messages after it are handled next, before any other message of the group.
                None or "" for the messages from now on.
            member: Who is behind the connection: a dict with an `id`, for `group_members`.

        Raises:
            InvalidChannelLayerError: There is no layer, or it does not have groups, or what `after`
                or `member` need.
            TypeError: The name is not valid, or the member is not.
            ValueError: The group has no history, or the member is not valid.
        """
        await self._channels_connection.groups.join(self, name, after, member)

    async def leave_group(self, name: str) -> None:
        """Leave a group of the channel layer; it is not an error if the consumer is not in it.

        Args:
            name: The group's name.

        Raises:
            InvalidChannelLayerError: There is no layer, or it has no groups.
            TypeError: The name is not valid.
        """
        await self._channels_connection.groups.leave(self, name)


@framework(_companion)
class SyncGroupMember(SyncConsumer):
    """The base of consumers with groups whose handlers are ordinary methods.

    Attributes:
        groups: The names of the groups to join: an iterable, a property or a method. Read when
            `self.scope` is set.
    """

    # Any, since a subclass may define a list, a property or a method.
    groups: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Accept any arguments, which subclasses may pass; a dict that comes first is the scope."""
        _set_up(self, args)

    def join_group(
        self, name: str, after: object = None, member: dict[str, Any] | None = None
    ) -> None:
        """Join a group of the channel layer, and leave it when the connection ends.

        If the layer keeps the messages of the group, the connection follows them: none comes twice,
        and one that is missing is fetched, so that they come in order.

        Args:
            name: The group's name: ASCII letters, digits, hyphens, underscores, periods.
            after: The `position` of the last message that the client has, as the client has sent
                it. The messages after it are handled next, before any other message of the group.
                None or "" for the messages from now on.
            member: Who is behind the connection: a dict with an `id`, for `group_members`.

        Raises:
            InvalidChannelLayerError: There is no layer, or it does not have groups, or what `after`
                or `member` need.
            TypeError: The name is not valid, or the member is not.
            ValueError: The group has no history, or the member is not valid.
        """
        self._channels_connection.in_loop(
            self._channels_connection.groups.join, self, name, after, member
        )

    def leave_group(self, name: str) -> None:
        """Leave a group of the channel layer; it is not an error if the consumer is not in it.

        Args:
            name: The group's name.

        Raises:
            InvalidChannelLayerError: There is no layer, or it has no groups.
            TypeError: The name is not valid.
        """
        self._channels_connection.in_loop(self._channels_connection.groups.leave, self, name)


def _set_up(consumer: Any, args: tuple[Any, ...]) -> None:
    """Keep the scope if it was passed, and copy the class's list of groups."""
    if args and isinstance(args[0], dict):
        consumer.scope = args[0]
    declared = getattr(type(consumer), "groups", None)
    unset = "groups" not in vars(consumer)
    # A copy: a name that one connection adds must not be added to the class's list.
    if unset and type(declared) is list:  # as a rule
        consumer.groups = declared.copy()
    elif unset and (declared is None or isinstance(declared, list | set)):
        consumer.groups = copy(declared) if declared is not None else []
