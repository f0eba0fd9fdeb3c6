"""The routes of a `URLRouter`, and an index so that it need not try each of them.

The index finds a path without parameters in a dict, and any other path in a tree of segments. It
only leaves out routes that cannot match a path. Whether one of the remaining routes matches is
decided by Django's own regular expression and converters; only a route without parameters matches
as soon as it is found.

A route that leads to another `URLRouter` is merged with the routes of that router if both are
results of `path()` that allow it: `a/` and `b/<int:x>/` become `a/b/<int:x>/`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from inspect import CO_COROUTINE
from itertools import islice
from types import FunctionType
from typing import Any, Final, TypeAlias

from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern, URLResolver
from django.urls.converters import (
    IntConverter,
    PathConverter,
    SlugConverter,
    StringConverter,
    UUIDConverter,
)
from django.urls.resolvers import RegexPattern, RoutePattern

from channels_core.applications import as_asgi3, records_passed
from channels_core.typing import ASGIApplication

__all__ = [
    "Match",
    "MergedTable",
    "Route",
    "RouteIndex",
    "RouteKey",
    "RouteTable",
    "Tried",
    "make_route",
    "merge",
    "route_key",
    "shown",
    "some_of",
    "with_index",
]

# A piece of a pattern: literal text, or None for anything without a slash.
_Pieces: TypeAlias = list[str | None]

#: What the `match` of Django's patterns returns: the rest of the path, args and kwargs.
Match: TypeAlias = tuple[str, tuple[Any, ...], dict[str, Any]]

_DJANGOS: Final = "django.urls.converters"

#: The number of routes that an error names.
_SHOWN: Final = 10

# The regular expressions are compiled when the first route needs one: that takes milliseconds, and
# small sites have routes without parameters only.


@cache
def _parameter() -> re.Pattern[str]:
    """Return the expression for `<converter:parameter>` in the route of a `path()`."""
    return re.compile(r"<(?:[^>:]+:)?([^>]+)>")


@cache
def _no_slash() -> re.Pattern[str]:
    """Return the expression for the expressions of converters that never match a slash.

    They are of character classes and single characters. Ranges are between letters or digits, and
    the slash sorts before all of these; a literal hyphen stands at the edge.
    """
    return re.compile(
        r"""
        (?:
            (?:
                \[\^/\] | \[ -? (?: \\[dw] | [0-9A-Za-z_](?:-[0-9A-Za-z_])? )+ -? \]
                | \\[dw] | [\w-]
            )
            (?: (?: [*+?] | \{\d+(?:,\d*)?\} ) [?+]? )?
        )+
        """,
        re.VERBOSE | re.ASCII,
    )


@cache
def _regex_piece() -> re.Pattern[str]:
    """Return the expression for the part of a `re_path()` that is understood.

    It is a character or a group, without a quantifier, since what has one may be missing from the
    path.
    """
    return re.compile(
        r"""
        (?:
            \\(?P<escaped>[^\w])
            | (?P<plain>[^\\.^$*+?{}\[\]|()])
            | \( (?:\?P<\w+>|\?:)? (?P<group>[^()]*) \)
        )
        (?![*+?{])
        """,
        re.VERBOSE | re.ASCII | re.DOTALL,
    )


class Route:
    """One route of a router.

    Attributes:
        pattern: Django's pattern: `match(path)` returns None, or the rest of the path, args and
            kwargs.
        application: Serves the connection.
        default_args: The extra keyword arguments that `path()` was given.
        is_prefix: Whether the application routes the rest of the path.
        records_passed: Whether the application calls `record_passed` itself, as a consumer's does.
        is_async: Whether the application is an `async def` function, whose call does nothing yet.
        gives_own: Whether each match has a new dict of keyword arguments. A program's pattern may
            give the same one again.
    """

    __slots__ = (
        "application",
        "default_args",
        "gives_own",
        "is_async",
        "is_prefix",
        "pattern",
        "records_passed",
    )

    def __init__(
        self,
        pattern: Any,
        application: ASGIApplication,
        default_args: Mapping[str, Any],
        is_prefix: bool,
    ) -> None:
        """Take the parts."""
        self.pattern = pattern
        self.application = application
        self.default_args = default_args
        self.is_prefix = is_prefix
        self.records_passed = records_passed(application)
        self.is_async = (
            type(application) is FunctionType
            and application.__code__.co_flags & CO_COROUTINE == CO_COROUTINE
        )
        self.gives_own = isinstance(pattern, _Found | _Path)

    def with_pattern(self, pattern: Any) -> Route:
        """Return this route with another pattern."""
        return Route(pattern, self.application, self.default_args, self.is_prefix)


class RouteKey:
    """What all paths that a route matches have in common.

    Attributes:
        segments: The first segments of the path; None for one that can be anything.
        exact: Whether the path has only these segments; otherwise more follow.
    """

    __slots__ = ("exact", "segments")

    def __init__(self, segments: tuple[str | None, ...], exact: bool) -> None:
        """Take the parts."""
        self.segments = segments
        self.exact = exact

    @property
    def only_path(self) -> str | None:
        """The only path that the route matches, which then captures nothing; None if unknown."""
        if not self.exact or None in self.segments:
            return None
        return "/".join(segment for segment in self.segments if segment is not None)


class _Found:
    """Stand for the pattern of a route that the index has found by its only path."""

    def match(self, path: str) -> Match:
        """Return the match, with a new dict of keyword arguments."""
        return "", (), {}


_FOUND: Final = _Found()


class _Path:
    """Stand for the pattern of a `path()` with Django's own converters.

    It matches as `RoutePattern.match` does, which looks up the expression and the converters again
    for each path, and calls converters that return the text as it is: 0.25 of 0.77 us.
    """

    __slots__ = ("_conversions", "_is_endpoint", "_pattern", "_search")

    def __init__(self, pattern: Any, kinds: Sequence[type]) -> None:
        """Take Django's pattern, and the classes of its converters."""
        self._pattern = pattern
        self._is_endpoint: bool = pattern._is_endpoint
        #: By parameter, what converts its text; None if the value is the text itself.
        self._conversions: list[tuple[str, Callable[[str], Any] | None]] = [
            (name, None if kind in _TEXTS else int if kind is IntConverter else one.to_python)
            for (name, one), kind in zip(pattern.converters.items(), kinds, strict=True)
        ]
        # The expression is compiled with the first path: many processes of a site route none.
        self._search: Callable[[str], re.Match[str] | None] | None = None

    def _compiled(self) -> Callable[[str], re.Match[str] | None]:
        self._search = self._pattern.regex.search
        return self._search

    def match(self, path: str) -> Match | None:
        """Return the match, with a new dict of keyword arguments; None if there is none.

        Source: `django.urls.resolvers.RoutePattern.match`.
        """
        search = self._search or self._compiled()
        found = search(path)
        if found is None:
            return None
        kwargs: dict[str, Any] = {}
        try:
            for name, convert in self._conversions:
                kwargs[name] = found[name] if convert is None else convert(found[name])
        except ValueError:
            return None
        return "" if self._is_endpoint else path[found.end() :], (), kwargs


class _PathWithOne(_Path):
    """The same for one parameter, as most have, without the loop: a quarter of the match."""

    __slots__ = ("_convert", "_name")

    def __init__(self, pattern: Any, kinds: Sequence[type]) -> None:
        """Take the same."""
        super().__init__(pattern, kinds)
        [(self._name, self._convert)] = self._conversions

    def match(self, path: str) -> Match | None:
        """Return the same."""
        search = self._search or self._compiled()
        found = search(path)
        if found is None:
            return None
        convert = self._convert
        # No expression of Django's converters has a group of its own.
        value: Any = found[1]
        if convert is not None:
            try:
                value = convert(value)
            except ValueError:
                return None
        return "" if self._is_endpoint else path[found.end() :], (), {self._name: value}


#: Django's converters whose values are the text itself.
_TEXTS: Final = frozenset({StringConverter, SlugConverter, PathConverter})
_CONVERTERS: Final = _TEXTS | {IntConverter, UUIDConverter}


def make_route(url_pattern: object) -> Route:
    """Make a route from the result of `path()` or `re_path()`, which is not changed.

    Raises:
        ImproperlyConfigured: The argument is something else, such as `include()`, or its regular
            expression is invalid.
    """
    if isinstance(url_pattern, URLResolver):
        raise ImproperlyConfigured(
            f"{url_pattern!r}: include() is not supported in URLRouter. "
            "Route to another URLRouter there"
        )
    if not isinstance(url_pattern, URLPattern):
        raise ImproperlyConfigured(
            f"URLRouter takes what path() and re_path() return, not {url_pattern!r}"
        )
    application = as_asgi3(url_pattern.callback)
    # `is True`, since a mock has every attribute.
    is_prefix = getattr(url_pattern.callback, "_path_routing", False) is True
    # Any: Django has no public attribute for the source of a pattern.
    pattern: Any = url_pattern.pattern
    kind = type(pattern)
    if is_prefix and issubclass(kind, RoutePattern):
        pattern = RoutePattern(pattern._route, name=pattern.name, is_endpoint=False)
    elif is_prefix and issubclass(kind, RegexPattern):
        pattern = RegexPattern(pattern._regex, name=pattern.name, is_endpoint=False)
    if issubclass(kind, RegexPattern) and isinstance(pattern._regex, str):
        pattern.regex  # noqa: B018 - compiles it, so an error comes now and not with a client
    return Route(pattern, application, url_pattern.default_args, is_prefix)


def with_index(route: Route, key: RouteKey) -> Route:
    """Return the route for use with an index, which finds one with an only path by that path.

    Django's pattern would search for it by a regular expression: 0.5 of 4 us for a connection.
    """
    if key.only_path is not None:
        return route.with_pattern(_FOUND)
    pattern: Any = route.pattern
    if _is_path(pattern):
        kinds = [type(one) for one in pattern.converters.values()]
        if _CONVERTERS.issuperset(kinds):
            stand_in = _PathWithOne if len(kinds) == 1 else _Path
            return route.with_pattern(stand_in(pattern, kinds))
    return route


def merge(outer: Route, inner: Sequence[Route]) -> list[Route] | None:
    """Merge a route that leads to a router with the routes of that router.

    The result is right for paths without `//`: a router removes slashes from the start of the path
    that is left to it.

    Returns:
        One route for each of `inner`; None if some path would match otherwise.
    """
    prefix = outer.pattern
    if not _is_path(prefix) or outer.default_args or not _ends_a_segment(prefix):
        return None
    merged: list[Route] = []
    for route in inner:
        pattern = route.pattern
        if not _is_path(pattern) or prefix.converters.keys() & pattern.converters.keys():
            return None
        joined: Any = RoutePattern(prefix._route + pattern._route, is_endpoint=pattern._is_endpoint)
        # Programs may have replaced those of a pattern.
        joined.converters = {**prefix.converters, **pattern.converters}
        merged.append(route.with_pattern(joined))
    return merged


def _is_path(pattern: Any) -> bool:
    # Exactly this class, and a str: a translated route changes with the language, and a subclass
    # may match in its own way.
    kind = type(pattern)
    return kind is RoutePattern and isinstance(pattern._route, str)


def _ends_a_segment(prefix: Any) -> bool:
    """Return whether a prefix leaves the path after a slash, in whatever way the rest matches.

    Only with Django's converters: merged, a prefix is matched for each route inside that may match,
    and the converter of a program may take long, or count its calls.
    """
    converters = prefix.converters.values()
    return (prefix._route == "" or prefix._route.endswith("/")) and all(
        type(converter).__module__ == _DJANGOS and _no_slash().fullmatch(converter.regex)
        for converter in converters
    )


def route_key(pattern: Any) -> RouteKey:
    """Return what the paths that a pattern matches have in common.

    Source: `django.urls.resolvers.RoutePattern` and `RegexPattern`.
    """
    pieces: _Pieces = []
    exact = False
    kind = type(pattern)
    if _is_path(pattern):
        pieces, exact = _pieces_of_route(pattern)
    elif kind is RegexPattern and isinstance(pattern._regex, str):
        pieces, exact = _pieces_of_regex(pattern)
    return RouteKey(_segments(pieces, exact=exact), exact)


def _pieces_of_route(pattern: Any) -> tuple[_Pieces, bool]:
    route: str = pattern._route
    if "<" not in route:
        return [route], pattern._is_endpoint
    pieces: _Pieces = []
    end = 0
    for found in _parameter().finditer(route):
        pieces.append(route[end : found.start()])
        if not _no_slash().fullmatch(pattern.converters[found[1]].regex):
            return pieces, False
        pieces.append(None)
        end = found.end()
    pieces.append(route[end:])
    return pieces, pattern._is_endpoint


def _pieces_of_regex(pattern: Any) -> tuple[_Pieces, bool]:
    regex: str = pattern._regex
    pieces: _Pieces = []
    if not regex.startswith("^") or "|" in regex:
        return pieces, False
    end = 1
    while found := _regex_piece().match(regex, end):
        group = found["group"]
        if group is not None and not _no_slash().fullmatch(group):
            break
        pieces.append(None if group is not None else found["escaped"] or found["plain"])
        end = found.end()
    # Django matches an endpoint that ends in `$` in full, so the path cannot go on.
    return pieces, pattern._is_endpoint and regex[end:] == "$"


def _segments(pieces: _Pieces, *, exact: bool) -> tuple[str | None, ...]:
    """Join the pieces into segments; the last segment counts only if it is complete."""
    segments: list[str | None] = []
    current: str | None = ""
    for piece in pieces:
        first, *others = [None] if piece is None else piece.split("/")
        current = None if current is None or first is None else current + first
        for other in others:
            segments.append(current)
            current = other
    return (*segments, current) if exact else tuple(segments)


class _Node:
    """A node of the tree of segments.

    A node with one route below has no further nodes: there the path need not be looked at.
    """

    __slots__ = ("any", "ends", "goes_on", "literal")

    def __init__(self, routes: Sequence[tuple[int, RouteKey]], depth: int) -> None:
        """Make the node and those below it.

        Args:
            routes: The positions and keys of the routes below it.
            depth: The number of nodes above it.
        """
        #: The nodes below, by their segment, and the one for any segment.
        self.literal: dict[str, _Node] = {}
        self.any: _Node | None = None
        #: The positions of the routes whose paths end here, and of those whose paths may go on.
        self.ends: list[int] = []
        self.goes_on: list[int] = []
        below: dict[str | None, list[tuple[int, RouteKey]]] = {}
        for position, key in routes:
            ends_here = len(key.segments) == depth
            if ends_here and key.exact:
                self.ends.append(position)
            elif ends_here or len(routes) == 1:
                self.goes_on.append(position)
            else:
                below.setdefault(key.segments[depth], []).append((position, key))
        for segment, those in below.items():
            if segment is None:
                self.any = _Node(those, depth + 1)
            else:
                self.literal[segment] = _Node(those, depth + 1)

    def depth(self) -> int:
        """Return the number of nodes on the longest way down."""
        below = [*self.literal.values(), *([self.any] if self.any is not None else [])]
        return max((node.depth() + 1 for node in below), default=0)

    @property
    def is_last(self) -> bool:
        """Whether further segments of a path make no difference."""
        return not (self.literal or self.any or self.ends)


class RouteIndex:
    """Find the routes that may match a path, by the whole path or in a tree of segments."""

    def __init__(self, keys: Iterable[RouteKey]) -> None:
        """Take the keys of all routes, in their order."""
        others: list[tuple[int, RouteKey]] = []
        by_path: dict[str, list[int]] = {}
        for position, key in enumerate(keys):
            if (path := key.only_path) is None:
                others.append((position, key))
            else:
                by_path.setdefault(path, []).append(position)
        self._root = _Node(others, 0)
        self._depth = self._root.depth()
        #: The candidates for each path that a route without parameters matches.
        self._by_path = {
            path: sorted(positions + self._in_tree(path)) for path, positions in by_path.items()
        }
        #: The candidates for each other path by its first segment, or for any other first segment;
        #: None where more of the path counts. In most programs the first segment tells.
        root = self._root
        self._others = root.goes_on if root.any is None else None
        self._by_first = {
            segment: sorted(root.goes_on + node.goes_on)
            if root.any is None and node.is_last
            else None
            for segment, node in root.literal.items()
        }

    def candidates(self, path: str) -> list[int]:
        """Return the positions of the routes that may match, in their order; not to be changed."""
        found = self._by_path.get(path)
        if found is None:
            found = self._by_first.get(path.partition("/")[0], self._others)
        return self._in_tree(path) if found is None else found

    def _in_tree(self, path: str) -> list[int]:
        found: list[int] = []
        # A client may send any number of slashes; those deeper than the tree do not matter.
        _collect(self._root, path.split("/", self._depth), found)
        found.sort()
        return found


def _collect(node: _Node, segments: list[str], found: list[int]) -> None:
    """Add the routes at a node and below that may match a path with these further segments."""
    for position, segment in enumerate(segments, 1):
        found += node.goes_on
        if node.any is not None:
            _collect(node.any, segments[position:], found)
        below = node.literal.get(segment)
        if below is None:
            return
        node = below
    found += node.ends


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
        self.routes = [*map(with_index, routes, keys)]
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
