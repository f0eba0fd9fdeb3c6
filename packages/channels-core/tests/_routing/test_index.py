from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern, include, path, re_path, register_converter
from django.urls.converters import StringConverter
from django.urls.resolvers import LocalePrefixPattern, RegexPattern, RoutePattern
from django.utils.functional import lazystr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from channels_core._routing.index import RouteIndex, RouteKey, make_route, route_key


class Key(NamedTuple):
    """The parts of a `RouteKey`."""

    segments: tuple[str | None, ...]
    exact: bool


def parts(key: RouteKey) -> Key:
    return Key(key.segments, key.exact)


class FourDigits(StringConverter):
    regex = "[0-9]{4}"


class AcrossSlashes(StringConverter):
    regex = "[^-]+"


class Odd(StringConverter):
    """Has a character class with a range that contains the slash."""

    regex = "[+-9]+"


register_converter(FourDigits, "four")
register_converter(AcrossSlashes, "across")
register_converter(Odd, "odd")


# Any: Django's path() is typed for views.
async def endpoint(scope: Any, receive: Any, send: Any) -> Any:
    """Stand for an application."""


async def prefix(scope: Any, receive: Any, send: Any) -> Any:
    """Stand for an application that routes the rest of the path."""


prefix._path_routing = True  # type: ignore[attr-defined] # the mark of a router, as on middleware


def key(route: str, view: Any = endpoint) -> RouteKey:
    return route_key(make_route(path(route, view)).pattern)


def regex_key(regex: str, view: Any = endpoint) -> RouteKey:
    return route_key(make_route(re_path(regex, view)).pattern)


class TestRoute:
    def test_it_has_what_path_was_given(self) -> None:
        route = make_route(path("a/<int:x>/", endpoint, {"y": 1}))
        assert route.application is endpoint
        assert route.default_args == {"y": 1}
        assert not route.is_prefix
        assert route.pattern.match("a/3/") == ("", (), {"x": 3})

    def test_a_router_is_a_prefix(self) -> None:
        route = make_route(path("a/<int:x>/", prefix))
        assert route.is_prefix
        assert route.pattern.match("a/3/b/") == ("b/", (), {"x": 3})

    def test_a_router_is_a_prefix_of_a_regular_expression(self) -> None:
        route = make_route(re_path(r"^a/(\d+)/", prefix))
        assert route.pattern.match("a/3/b/") == ("b/", ("3",), {})

    def test_a_dollar_before_a_router_means_the_end_as_django_has_it(self) -> None:
        route = make_route(re_path("^a/$", prefix))
        assert route.pattern.match("a/") == ("", (), {})
        assert route.pattern.match("a/b") is None

    @pytest.mark.parametrize("view", [endpoint, prefix])
    @pytest.mark.parametrize("function", [path, re_path])
    def test_the_callers_route_stays_as_it_is(self, function: Any, view: Any) -> None:
        given = function("a/", view, name="a")
        pattern, before = given.pattern, dict(vars(given.pattern))
        make_route(given)
        assert given.pattern is pattern
        assert given.callback is view
        assert {name: vars(pattern)[name] for name in before} == before
        assert given.resolve("a/b") is None or function is re_path

    def test_another_kind_of_pattern_is_used_as_it_is(self) -> None:
        pattern = LocalePrefixPattern()
        route = make_route(URLPattern(pattern, prefix))
        assert route.pattern is pattern

    def test_include_is_refused(self) -> None:
        with pytest.raises(ImproperlyConfigured, match=r"include\(\) is not supported.*URLRouter"):
            make_route(path("a/", include([])))

    def test_what_is_no_route_is_refused(self) -> None:
        with pytest.raises(ImproperlyConfigured, match=r"not \('a/', 1\)"):
            make_route(("a/", 1))

    def test_a_view_that_is_no_application_is_refused(self) -> None:
        pattern = URLPattern(RoutePattern("a/"), "view")  # type: ignore[arg-type] # the mistake
        with pytest.raises(TypeError, match="Expected an ASGI application"):
            make_route(pattern)

    def test_an_invalid_regular_expression_is_refused_at_once(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="not a valid regular expression"):
            make_route(re_path("^a/(", endpoint))


class TestKeyOfPath:
    def test_text(self) -> None:
        assert parts(key("")) == Key(("",), exact=True)
        assert parts(key("a")) == Key(("a",), exact=True)
        assert parts(key("a/b/")) == Key(("a", "b", ""), exact=True)

    @pytest.mark.parametrize("converter", ["int", "str", "slug", "uuid", "four"])
    def test_a_converter_without_slashes_is_any_segment(self, converter: str) -> None:
        assert parts(key(f"a/<{converter}:x>/b")) == Key(("a", None, "b"), exact=True)

    def test_a_part_of_a_segment_makes_it_any(self) -> None:
        assert parts(key("a/b<x>c/d<int:y>-<int:z>")) == Key(("a", None, None), exact=True)

    @pytest.mark.parametrize("converter", ["path", "across", "odd"])
    def test_a_converter_that_takes_slashes_ends_it(self, converter: str) -> None:
        assert parts(key(f"a/<int:x>/b<{converter}:y>/c")) == Key(("a", None), exact=False)

    def test_a_prefix_has_whole_segments_only(self) -> None:
        assert parts(key("a/b", prefix)) == Key(("a",), exact=False)
        assert parts(key("a/b/", prefix)) == Key(("a", "b"), exact=False)
        assert parts(key("", prefix)) == Key((), exact=False)

    def test_a_translated_route_may_be_anything(self) -> None:
        route = make_route(path(lazystr("a/"), endpoint))
        assert parts(route_key(route.pattern)) == Key((), exact=False)

    def test_another_pattern_may_match_anything(self) -> None:
        class Mine(RoutePattern):
            pass

        assert parts(route_key(Mine("a/", is_endpoint=True))) == Key((), exact=False)
        assert parts(route_key(LocalePrefixPattern())) == Key((), exact=False)


class TestKeyOfRegex:
    @pytest.mark.parametrize(
        ("regex", "segments"),
        [
            ("^$", ("",)),
            ("^a/b$", ("a", "b")),
            (r"^a\/b\.c/$", ("a", "b.c", "")),
            (r"^a/(?P<x>\w+)/b/$", ("a", None, "b", "")),
            (r"^a/([^/]+)/(?:b)-(\d{4})/$", ("a", None, None, "")),
            (r"^a/([-\w]+)/([0-9A-F-]{1,})/([a-f]+?)/x$", ("a", None, None, None, "x")),
        ],
    )
    def test_what_is_understood_to_the_end_is_exact(
        self, regex: str, segments: tuple[str | None, ...]
    ) -> None:
        assert parts(regex_key(regex)) == Key(segments, exact=True)

    @pytest.mark.parametrize(
        ("regex", "segments"),
        [
            ("^a/b", ("a",)),
            (r"^a/b\$", ("a",)),
            (r"^a/\d+/b$", ("a",)),
            ("^a/b?/c$", ("a",)),
            ("^a/b/?$", ("a",)),
            ("^a/b/*", ("a",)),
            ("^a/bc{2}/$", ("a",)),
            ("^a/(.+)/c$", ("a",)),
            ("^a/(b/c)/d$", ("a",)),
            ("^a/(b)?/d$", ("a",)),
            ("^a/(?!b)c/$", ("a",)),
            (r"^a/([--9]+)/$", ("a",)),
            (r"^a/([+-9]+)/$", ("a",)),
            (r"^a/((b)c)/$", ("a",)),
            (r"^a/\Z", ("a",)),
            ("^a/b/[cd]", ("a", "b")),
        ],
    )
    def test_what_is_not_understood_ends_it(
        self, regex: str, segments: tuple[str | None, ...]
    ) -> None:
        assert parts(regex_key(regex)) == Key(segments, exact=False)

    @pytest.mark.parametrize("regex", ["a/b/$", "^a/b/|^c/$", "(?i)^a/b/$", "^a/(?:b|c)/$", ""])
    def test_one_that_may_start_otherwise_may_match_anything(self, regex: str) -> None:
        assert parts(regex_key(regex)) == Key((), exact=False)

    def test_a_prefix_has_whole_segments_only(self) -> None:
        assert parts(regex_key("^a/b/$", prefix)) == Key(("a", "b"), exact=False)

    def test_a_translated_one_may_be_anything(self) -> None:
        route = make_route(re_path(lazystr("^a/$"), endpoint))
        assert parts(route_key(route.pattern)) == Key((), exact=False)
        assert route.pattern.match("a/") == ("", (), {})


class TestIndex:
    def test_an_empty_one_has_no_candidates(self) -> None:
        assert RouteIndex([]).candidates("a/b") == []

    def test_candidates_come_in_the_order_of_the_routes(self) -> None:
        index = RouteIndex(
            [key("a/<x>"), regex_key("b"), key("a/b"), key("a/", prefix), key("c"), key("<x>/b")]
        )
        assert index.candidates("a/b") == [0, 1, 2, 3, 5]

    def test_of_a_thousand_routes_few_are_candidates(self) -> None:
        routes = [path(f"topic{n}/", endpoint) for n in range(1000)]
        routes += [path(f"room/<int:room>/topic{n}/", endpoint) for n in range(1000)]
        routes += [re_path(rf"^club/(?P<club>\w+)/topic{n}/$", endpoint) for n in range(1000)]
        index = RouteIndex(route_key(make_route(route).pattern) for route in routes)
        assert index.candidates("topic7/") == [7]
        assert index.candidates("room/3/topic7/") == [1007]
        assert index.candidates("club/x/topic7/") == [2007]
        assert index.candidates("room/3/") == []

    def test_a_path_of_many_slashes_is_looked_at_no_deeper_than_the_routes(self) -> None:
        index = RouteIndex([key("<a>/<b>"), key("<a>/", prefix)])
        assert index.candidates("/" * 100_000) == [1]


TEXTS = st.sampled_from(
    ["a", "b", "ab", "a/", "/", "b/", "/a", "-", "1", "12", ".", "$", "|", "\n"]
)
PARAMETERS = st.sampled_from(
    [
        "<{}>",
        "<int:{}>",
        "<str:{}>",
        "<slug:{}>",
        "<path:{}>",
        "<four:{}>",
        "<across:{}>",
        "<odd:{}>",
    ]
)
EXPRESSIONS = st.sampled_from(
    [
        "^",
        "$",
        r"\Z",
        "?",
        "*",
        "+",
        "{2}",
        "|",
        ".",
        ".*",
        r"\/",
        r"\.",
        r"\d",
        r"\w+",
        "[ab/]",
        "(a)",
        r"(\d+)",
        "([^/]+)",
        "(?P<n>[-a-z]+)",
        "(?:a)",
        "(a/b)",
        "(a|b)",
        "(?=a)",
        "(?i:A)",
        "([+-9])",
        "(",
        ")",
        r"(\w*)",
        "([--9]+)",
        r"([\w-]+)",
        "([^-]+)",
        "#",
    ]
)
PATHS = st.lists(
    st.sampled_from(
        ["a", "b", "ab", "/", "//", "-", "1", "12", "1234", ".", "$", "|", "\n", "A", "é"]
    )
).map("".join)


@st.composite
def url_patterns(draw: st.DrawFn) -> Any:
    view = draw(st.sampled_from([endpoint, prefix]))
    if draw(st.booleans()):
        pieces = draw(st.lists(st.one_of(TEXTS, PARAMETERS), max_size=6))
        route = "".join(piece.format(f"x{n}") for n, piece in enumerate(pieces))
        return path(route, view)
    pieces = draw(st.lists(st.one_of(TEXTS, EXPRESSIONS), max_size=6))
    start, end = draw(st.sampled_from(["^", "^", ""])), draw(st.sampled_from(["$", ""]))
    return re_path(start + "".join(pieces) + end, view)


def is_valid(url_pattern: URLPattern) -> bool:
    try:
        make_route(url_pattern)
    except ImproperlyConfigured:
        return False
    return True


def matching(patterns: list[Any], among: Iterable[int], path: str) -> list[int]:
    return [position for position in among if patterns[position].match(path) is not None]


@settings(max_examples=200)
@given(st.lists(url_patterns().filter(is_valid), max_size=8), PATHS)
@example([re_path("^a/?$", endpoint)], "a")
@example([re_path(r"^a/(\w+)/$", endpoint)], "a/b/\n")
@example([re_path("^a/$", prefix)], "a/\n")
@example([path("a", prefix)], "ab/c")
@example([path("", prefix), path("", endpoint)], "")
def test_the_index_leaves_out_no_route_that_matches(
    url_patterns: list[URLPattern], path: str
) -> None:
    patterns = [make_route(url_pattern).pattern for url_pattern in url_patterns]
    candidates = RouteIndex(map(route_key, patterns)).candidates(path)
    assert candidates == sorted(set(candidates))
    assert matching(patterns, candidates, path) == matching(patterns, range(len(patterns)), path)


@settings(max_examples=200)
@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "a<{}>", "<{}>", "<int:{}>", "<path:{}>"]), max_size=4),
        max_size=12,
    ),
    st.lists(st.sampled_from(["a", "b", "ab", "1", ""]), max_size=4),
    st.sampled_from(["", "/"]),
)
def test_it_leaves_out_none_of_those_that_programs_have(
    routes: list[list[str]], segments: list[str], end: str
) -> None:
    patterns: list[Any] = []
    for number, pieces in enumerate(routes):
        route = "/".join(piece.format(f"x{n}") for n, piece in enumerate(pieces)) + end
        patterns.append(make_route(path(route, prefix if number % 3 else endpoint)).pattern)
        patterns.append(RegexPattern("^" + patterns[-1].regex.pattern[1:], is_endpoint=True))
    text = "/".join(segments) + end
    candidates = RouteIndex(map(route_key, patterns)).candidates(text)
    assert matching(patterns, candidates, text) == matching(patterns, range(len(patterns)), text)
