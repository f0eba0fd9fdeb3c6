"""The groups of one connection.

Memberships are loaded when the first connection joins a group, and what follows the history of a
group when one joins a group that has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from channels_core._layers.optional_methods import has_extension, require_extension
from channels_core.exceptions import InvalidChannelLayerError
from channels_core.layers import BaseChannelLayer, has_groups

if TYPE_CHECKING:
    from channels_core._connection.positions import Positions

__all__ = ["ConnectionGroups", "group_names"]

#: Group names: a tuple if they are few, since a set takes 0.2 KiB for each idle connection.
Names: TypeAlias = tuple[str, ...] | set[str]

_FEW: Final = 8

#: The types of `groups` that a program may add names to. A tuple, since `list | tuple` in a call
#: would be made anew each time (0.3 us).
_KEPT_IN: Final = (list, tuple, set, frozenset)


@cache
def _memberships() -> Any:
    # A second import statement would take 0.3 us.
    from channels_core._layers import memberships

    return memberships


def _with(names: Names, name: str) -> Names:
    if name in names:
        return names
    if isinstance(names, set):
        names.add(name)
        return names
    return (*names, name) if len(names) < _FEW else {*names, name}


def _without(names: Names, name: str) -> Names:
    if name not in names:
        return names
    if isinstance(names, set):
        names.discard(name)
        return names
    return () if len(names) == 1 else tuple(each for each in names if each != name)


def group_names(groups: object) -> list[str]:
    """Return the names in a consumer's `groups`.

    Args:
        groups: None, an iterable of names, or a method that returns one of these.

    Raises:
        TypeError: `groups` is of another type, a single str for example.
    """
    if type(groups) is list:  # as a rule
        return groups.copy()
    if callable(groups):
        groups = groups()
    if groups is None:
        return []
    if isinstance(groups, str) or not isinstance(groups, Iterable):
        raise TypeError(
            f"groups must be an iterable of names, or a method that returns one, not {groups!r}"
        )
    return list(groups)


class ConnectionGroups:
    """The groups that a connection has joined and must leave at its end.

    The consumer's attribute `groups` belongs to the program. It names the groups to join before
    `connect`. A program that calls the layer's `group_add` itself may add the name to `groups`;
    the connection leaves such a group, too.

    Attributes:
        joined: The groups to leave; also those whose `group_add` failed, perhaps after it had an
            effect.
        positions: Follows the groups with history; None without one.
    """

    __slots__ = ("_declared", "_left", "joined", "positions")

    def __init__(self) -> None:
        self.joined: Names = ()
        # The groups that were left; their names may still be in `groups`.
        self._left: Names = ()
        # The names in `groups` before `connect`.
        self._declared: Collection[str] = ()
        self.positions: Positions | None = None

    async def join(
        self, consumer: Any, name: str, after: object = None, member: object = None
    ) -> None:
        """Join a group.

        Args:
            consumer: The consumer.
            name: The group's name.
            after: The position in the group's history after which messages are wanted; None or ""
                for the messages from now on.
            member: The data of the member behind the connection, or None.
        """
        layer = _layer_of(consumer)
        if member is not None:
            require_extension(layer, "members", "join_group(member=...)")
            from channels_core.layer_extensions import checked_member

            member = checked_member(member)
        if after == "":
            after = None
        if after is not None:
            require_extension(layer, "history", "join_group(after=...)")
        positions = None
        if has_extension(layer, "history"):
            positions = self._positions_for(consumer, layer, name, after)
        # Before the call: if it fails halfway, the channel may be in the group all the same.
        self.joined = _with(self.joined, name)
        if self._left:
            self._left = _without(self._left, name)
        try:
            if positions is not None:
                await positions.begin(layer, name, after)
            await _memberships().join(layer, name, consumer.channel_name, member)
        except TypeError:
            # The name is not valid, so the layer has done nothing.
            self._forget(name)
            raise
        if positions is not None and after is not None:
            positions.go_on(name, after)

    def _positions_for(
        self, consumer: Any, layer: BaseChannelLayer, name: object, after: object
    ) -> Positions | None:
        """Return what follows the group's history; None if it has none, or nobody is served.

        Raises:
            ValueError: It has none, and messages of it are wanted.
        """
        # A name that is no str is refused by `group_add`.
        if not isinstance(name, str) or layer.history_limits(name) is None:
            if after is None or not isinstance(name, str):
                return None
            raise ValueError(
                f"join_group(after=...) needs the history of group {name!r}, but no pattern in the "
                f"option 'history' of {type(layer).__name__} matches it"
            )
        mailbox = consumer._channels_connection.mailbox
        if self.positions is None and mailbox is not None:
            # Imported here: most programs have no history.
            from channels_core._connection.positions import Positions

            self.positions = Positions(mailbox)
        return self.positions

    def not_followed(self, consumer: Any) -> list[str | None]:
        """Return the groups whose missed messages nobody can fetch; None stands for no group."""
        names = self.to_leave(consumer)
        positions = self.positions
        if not names:
            return [None]
        return [name for name in names if positions is None or not positions.follows(name)]

    async def leave(self, consumer: Any, name: str) -> None:
        """Leave a group, and take its name out of the consumer's `groups`."""
        await _memberships().leave(_layer_of(consumer), name, consumer.channel_name)
        self._forget(name)
        groups = vars(consumer).get("groups")
        if isinstance(groups, list | set) and name in groups:
            groups.remove(name)

    def declare(self, consumer: Any) -> list[str]:
        """Return the names in the consumer's `groups`, for the caller to join."""
        names = group_names(consumer.groups)
        self._declared = tuple(names) if len(names) <= _FEW else frozenset(names)
        return names

    def to_leave(self, consumer: Any) -> list[str]:
        """Return the groups that were joined, and those that a program added to `groups`."""
        names = self.joined
        groups = vars(consumer).get("groups")
        declared = self._declared
        # Mostly it is the list as it was. A program may keep something else under this name.
        if (
            groups
            and not (type(groups) is list and type(declared) is tuple and declared == (*groups,))
            and isinstance(groups, _KEPT_IN)
        ):
            left = self._left
            names = {
                *names,
                *[
                    name
                    for name in groups
                    if isinstance(name, str) and name not in declared and name not in left
                ],
            }
        return sorted(names) if len(names) > 1 else list(names)

    async def leave_all(self, consumer: Any, names: list[str], errors: list[Exception]) -> None:
        """Leave groups, and append exceptions to the errors.

        Args:
            consumer: The consumer.
            names: What `to_leave` has returned. Each is taken out once it is done with, so that a
                call which was interrupted can be repeated.
            errors: Where exceptions are added.
        """
        while names:
            name = names[0]
            try:
                await _memberships().leave_when_possible(
                    _layer_of(consumer), name, consumer.channel_name
                )
            except Exception as error:  # noqa: BLE001 - all of the clean-up runs
                errors.append(error)
            self._forget(name)
            del names[0]

    def _forget(self, name: str) -> None:
        if self.positions is not None:
            self.positions.forget(name)
        # The name stays in `groups`: the program's `disconnect` may read it.
        self.joined = _without(self.joined, name)
        self._left = _with(self._left, name)


def _layer_of(consumer: Any) -> BaseChannelLayer:
    layer: Any = consumer.channel_layer  # or None
    if layer is None or not has_groups(layer):
        fault = InvalidChannelLayerError("BACKEND is unconfigured or doesn't support groups")
        fault.add_note(f"{type(consumer).__name__} joins a group, but its layer is {layer!r}")
        raise fault
    found: BaseChannelLayer = layer
    return found
