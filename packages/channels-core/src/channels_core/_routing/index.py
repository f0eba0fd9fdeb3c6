"""The routes of a `URLRouter`, and an index so that it need not try each of them.

The index is a tree of path segments. It only leaves out routes that cannot match a path. Whether
one of the remaining routes matches is decided by Django's own pattern.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern, URLResolver
from django.urls.resolvers import RegexPattern, RoutePattern

from channels_core.applications import as_asgi3
from channels_core.typing import ASGIApplication

__all__ = ["Route", "RouteIndex", "RouteKey", "make_route", "route_key"]

# A piece of a pattern: literal text, or None for anything without a slash.
_Pieces: TypeAlias = list[str | None]

# `<converter:parameter>` in the route of a `path()`.
_PARAMETER: Final = re.compile(r"<(?:[^>:]+:)?([^>]+)>")

# The regular expressions of converters that never match a slash: character classes and single
# characters. Ranges are between letters or digits, and the slash sorts before all of these; a
# literal hyphen stands at the edge.
_NO_SLASH: Final = re.compile(
    r"""
    (?:
        (?: \[\^/\] | \[ -? (?: \\[dw] | [0-9A-Za-z_](?:-[0-9A-Za-z_])? )+ -? \] | \\[dw] | [\w-] )
        (?: (?: [*+?] | \{\d+(?:,\d*)?\} ) [?+]? )?
    )+
    """,
    re.VERBOSE | re.ASCII,
)

# The part of a `re_path()` that is understood: a character or a group, without a quantifier,
# since what has one may be missing from the path.
_REGEX_PIECE: Final = re.compile(
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


class Route(NamedTuple):
    """One route of a router."""

    #: Django's pattern: `match(path)` returns None, or the rest of the path, args and kwargs.
    pattern: Any
    application: ASGIApplication
    #: The extra keyword arguments that `path()` was given.
    default_args: Mapping[str, Any]
    #: Whether the application routes the rest of the path.
    is_prefix: bool


class RouteKey(NamedTuple):
    """What all paths that a route matches have in common."""

    #: The first segments of the path; None for one that can be anything.
    segments: tuple[str | None, ...]
    #: Whether the path has only these segments; otherwise more follow.
    exact: bool


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


def route_key(pattern: Any) -> RouteKey:
    """Return what the paths that a pattern matches have in common.

    Source: `django.urls.resolvers.RoutePattern` and `RegexPattern`.
    """
    pieces: _Pieces = []
    exact = False
    # Exactly these classes, and a str: a translated route changes with the language, and a
    # subclass may match in its own way.
    kind = type(pattern)
    if kind is RoutePattern and isinstance(pattern._route, str):
        pieces, exact = _pieces_of_route(pattern)
    elif kind is RegexPattern and isinstance(pattern._regex, str):
        pieces, exact = _pieces_of_regex(pattern)
    return RouteKey(_segments(pieces, exact=exact), exact)


def _pieces_of_route(pattern: Any) -> tuple[_Pieces, bool]:
    route: str = pattern._route
    pieces: _Pieces = []
    end = 0
    for found in _PARAMETER.finditer(route):
        pieces.append(route[end : found.start()])
        if not _NO_SLASH.fullmatch(pattern.converters[found[1]].regex):
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
    while found := _REGEX_PIECE.match(regex, end):
        group = found["group"]
        if group is not None and not _NO_SLASH.fullmatch(group):
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
    """A node of the tree of segments."""

    __slots__ = ("any", "ends", "goes_on", "literal")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.any: _Node | None = None
        #: The positions of the routes whose paths end here, and of those whose paths may go on.
        self.ends: list[int] = []
        self.goes_on: list[int] = []

    def below(self, segment: str | None) -> "_Node":
        if segment is not None:
            return self.literal.setdefault(segment, _Node())
        if self.any is None:
            self.any = _Node()
        return self.any


class RouteIndex:
    """Find the routes that may match a path, in a tree of segments."""

    def __init__(self, keys: Iterable[RouteKey]) -> None:
        """Take the keys of all routes, in their order."""
        self._root = _Node()
        self._depth = 0
        for position, key in enumerate(keys):
            node = self._root
            for segment in key.segments:
                node = node.below(segment)
            (node.ends if key.exact else node.goes_on).append(position)
            self._depth = max(self._depth, len(key.segments))

    def candidates(self, path: str) -> list[int]:
        """Return the positions of the routes that may match, in their order."""
        found: list[int] = []
        nodes = [self._root]
        # A client may send any number of slashes; those deeper than the tree do not matter.
        for segment in path.split("/", self._depth):
            below: list[_Node] = []
            for node in nodes:
                found += node.goes_on
                if (literal := node.literal.get(segment)) is not None:
                    below.append(literal)
                if node.any is not None:
                    below.append(node.any)
            nodes = below
        for node in nodes:
            found += node.ends
        found.sort()
        return found
