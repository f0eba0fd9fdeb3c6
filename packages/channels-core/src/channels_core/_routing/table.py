"""The routes that a `URLRouter` tries, and what it tells if none of them matches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from channels_core._routing.index import Route, RouteIndex, merge, route_key, without_match

__all__ = ["MergedTable", "RouteTable", "Tried", "shown", "some_of"]

#: The number of routes that an error names.
_SHOWN: Final = 10


class Tried:
    """Why no route was found.

    Attributes:
        note: The reason as a text.
        routes: The first routes that did not match.
        untold: The number of further ones.
    """

    __slots__ = ("note", "routes", "untold")

    def __init__(self, note: str, routes: Sequence[str] = (), untold: int = 0) -> None:
        """Take the parts."""
        self.note = note
        self.routes = routes
        self.untold = untold


class RouteTable:
    """Routes in their order, with their index.

    Attributes:
        given: The routes.
        routes: The same, for those that the index has found.
        candidates: Return the positions of the routes that may match a path.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        """Take the routes."""
        keys = [route_key(route.pattern) for route in routes]
        self.given = routes
        self.routes = [*map(without_match, routes, keys)]
        self.candidates = RouteIndex(keys).candidates

    def tried(self, path: str, failures: Mapping[int, Tried]) -> Tried:
        """Return what is told of a path that has no route.

        Args:
            path: The path that was to be routed.
            failures: What was tried by routers inside, by the position of their route here.
        """
        untold = len(self.given) - len(failures)
        untold += sum(len(inner.routes) + inner.untold for inner in failures.values())
        routes = list(islice(self._describe(failures), _SHOWN))
        untold -= len(routes)
        return Tried(f"Tried: {shown(map(repr, routes), untold)}", routes, untold)

    def _describe(self, failures: Mapping[int, Tried]) -> Iterator[str]:
        for position, route in enumerate(self.given):
            text = str(route.pattern)
            if position in failures:
                yield from (text + inner.removeprefix("^") for inner in failures[position].routes)
            else:
                yield text


class MergedTable(RouteTable):
    """Routes of a router, with those of routers inside in place of the routes that lead there.

    It serves paths without `//`; see `merge`.
    """

    def __init__(self, outer: RouteTable, inner: Mapping[int, RouteTable]) -> None:
        """Take the tables.

        Args:
            outer: The routes with those that lead to routers inside.
            inner: The routes of routers inside, by the position in `outer`. A router stays as it
                is if its routes cannot be merged.
        """
        self._outer = outer
        #: What stands for each route of `outer`: the number of routes, and where they come from.
        self._parts: list[tuple[int, RouteTable | None]] = []
        routes: list[Route] = []
        for position, route in enumerate(outer.given):
            table = inner.get(position)
            merged = None if table is None else merge(route, table.given)
            if merged is None:
                table, merged = None, [route]
            self._parts.append((len(merged), table))
            routes += merged
        super().__init__(routes)

    def tried(self, path: str, failures: Mapping[int, Tried]) -> Tried:
        """Return what is told of a path; the same as if each router had been asked."""
        of_outer: dict[int, Tried] = {}
        start = 0
        for position, (count, table) in enumerate(self._parts):
            end = start + count
            of_part = {n - start: failures[n] for n in failures if start <= n < end}
            if table is None:
                of_outer.update((position, tried) for tried in of_part.values())
            elif (match := self._outer.given[position].pattern.match(path)) is not None:
                of_outer[position] = table.tried(match[0], of_part)
            start = end
        return self._outer.tried(path, of_outer)


def some_of(items: Sequence[str]) -> str:
    """Return the first items for a message, with the number of further ones."""
    return shown(map(repr, items[:_SHOWN]), len(items[_SHOWN:]))


def shown(items: Iterable[str], more: int = 0) -> str:
    """Join items for a message, with the number of further ones; `nothing` if there are none."""
    text = ", ".join(items) or "nothing"
    return f"{text} and {more} more" if more else text
