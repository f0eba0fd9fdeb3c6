from collections.abc import Collection
from typing import Any

import pytest

from extended_layer import ExtendedLayer, extended_breach


class Deaf(ExtendedLayer):
    """Excludes nobody."""

    def excluded(self, exclude: Collection[str]) -> Collection[str]:
        super().excluded(exclude)
        return ()


class Harsh(ExtendedLayer):
    """Excludes for ever."""

    ever: frozenset[str] = frozenset()

    def excluded(self, exclude: Collection[str]) -> Collection[str]:
        self.ever |= frozenset(super().excluded(exclude))
        return self.ever


class Listed(ExtendedLayer):
    """Wants a list."""

    def excluded(self, exclude: Collection[str]) -> Collection[str]:
        if exclude and not isinstance(exclude, list):
            raise TypeError("no list")
        return exclude


class Indoors(ExtendedLayer):
    """Excludes members only."""

    async def group_send(self, group: str, message: Any, exclude: Collection[str] = ()) -> None:
        if not set(exclude) <= set(self.members(group)):
            raise LookupError("a stranger")
        await super().group_send(group, message, exclude)


class Lax(ExtendedLayer):
    """Takes a name for the collection of its letters."""

    def excluded(self, exclude: Collection[str]) -> Collection[str]:
        return set(exclude)


class Silent(ExtendedLayer):
    """Does not tell those whom it excludes how far the group is."""

    def instead(self, message: Any) -> Any:
        return {"type": "group.position", "position": None}


class Forgetful(ExtendedLayer):
    """Does not keep what it does not send to everybody."""

    async def group_send(self, group: str, message: Any, exclude: Collection[str] = ()) -> None:
        await super().group_send(group, message, exclude)
        if exclude:
            self.store.histories[group].kept.clear()


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        ("test_an_excluded_member_gets_nothing", Deaf, "expected 'contract.mark', got 'g'"),
        ("test_a_member_is_excluded_once", Harsh, "got none within 0.01 s"),
        ("test_a_member_is_excluded_once", Deaf, "expected 'second', got 'first'"),
        ("test_exclude_is_any_collection", Listed, "TypeError: no list"),
        ("test_exclude_is_any_collection", Indoors, "LookupError: a stranger"),
        ("test_exclude_is_no_single_name", Lax, "expected a TypeError, got no error"),
        ("test_an_excluded_member_learns_the_position", Silent, "at ['position'] expected '"),
        ("test_an_excluded_member_learns_the_position", Forgetful, "the history of the group: "),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[ExtendedLayer], said: str) -> None:
    assert said in extended_breach(broken, clause, hangs="within" in said)
