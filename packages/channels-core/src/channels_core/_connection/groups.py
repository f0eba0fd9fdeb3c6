"""The groups of one connection.

Memberships are loaded when the first connection joins a group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final, TypeAlias

from channels_core.exceptions import InvalidChannelLayerError
from channels_core.layers import BaseChannelLayer, has_groups

__all__ = ["ConnectionGroups", "group_names"]

#: Group names: a tuple if they are few, since a set takes 0.2 KiB for each idle connection.
Names: TypeAlias = tuple[str, ...] | set[str]

_FEW: Final = 8


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
    return tuple(each for each in names if each != name)


def group_names(groups: object) -> list[str]:
    """Return the names in a consumer's `groups`.

    Args:
        groups: None, an iterable of names, or a method that returns one of these.

    Raises:
        TypeError: `groups` is of another type, a single str for example.
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


class ConnectionGroups:
    """The groups that a connection has joined and must leave at its end.

    The consumer's attribute `groups` belongs to the program. It names the groups to join before
    `connect`. A program that calls the layer's `group_add` itself may add the name to `groups`;
    the connection leaves such a group, too.
    """

    __slots__ = ("_declared", "_joined", "_left")

    def __init__(self) -> None:
        # The groups to leave; also those whose `group_add` failed, perhaps after it had an effect.
        self._joined: Names = ()
        # The groups that were left; their names may still be in `groups`.
        self._left: Names = ()
        # The names in `groups` before `connect`.
        self._declared: Collection[str] = ()

    async def join(self, consumer: Any, name: str) -> None:
        """Join a group."""
        from channels_core._layers.memberships import join

        layer = _layer_of(consumer)
        # Before the call: if it fails halfway, the channel may be in the group all the same.
        self._joined = _with(self._joined, name)
        self._left = _without(self._left, name)
        try:
            await join(layer, name, consumer.channel_name)
        except TypeError:
            # The name is not valid, so the layer has done nothing.
            self._forget(name)
            raise

    async def leave(self, consumer: Any, name: str) -> None:
        """Leave a group, and take its name out of the consumer's `groups`."""
        from channels_core._layers.memberships import leave

        await leave(_layer_of(consumer), name, consumer.channel_name)
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
        names = self._joined
        groups = vars(consumer).get("groups")
        # A program may keep something else under this name.
        if groups and isinstance(groups, list | tuple | set | frozenset):
            declared, left = self._declared, self._left
            names = {
                *names,
                *[
                    name
                    for name in groups
                    if isinstance(name, str) and name not in declared and name not in left
                ],
            }
        return sorted(names)

    async def leave_all(self, consumer: Any, errors: list[Exception]) -> None:
        """Leave all groups, and append exceptions to the errors."""
        for name in self.to_leave(consumer):
            from channels_core._layers.memberships import leave_when_possible

            try:
                await leave_when_possible(_layer_of(consumer), name, consumer.channel_name)
            except Exception as error:  # noqa: BLE001 - all of the clean-up runs
                errors.append(error)
            self._forget(name)

    def _forget(self, name: str) -> None:
        # The name stays in `groups`: the program's `disconnect` may read it.
        self._joined = _without(self._joined, name)
        self._left = _with(self._left, name)


def _layer_of(consumer: Any) -> BaseChannelLayer:
    layer: Any = consumer.channel_layer  # or None
    if layer is None or not has_groups(layer):
        fault = InvalidChannelLayerError("BACKEND is unconfigured or doesn't support groups")
        fault.add_note(f"{type(consumer).__name__} joins a group, but its layer is {layer!r}")
        raise fault
    found: BaseChannelLayer = layer
    return found
