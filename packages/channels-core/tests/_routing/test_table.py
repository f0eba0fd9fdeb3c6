import asyncio
from typing import Any

import pytest
from django.urls import path, re_path, register_converter
from django.urls.converters import StringConverter
from django.urls.resolvers import RoutePattern
from hypothesis import example, given, settings
from hypothesis import strategies as st

from channels_core._routing.index import RouteTable, make_route, merge
from channels_core.exceptions import RouteNotFound
from channels_core.middleware import BaseMiddleware
from channels_core.routing import URLRouter


class Once(StringConverter):
    """A converter of a program."""


register_converter(Once, "once")


class Unmerged(URLRouter):
    """Routers of a subclass are called one by one."""


def application(mark: object) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> Any:
        return mark, scope["url_route"], scope["path_remaining"], scope["path"]

    return app


async def outcome(router: Any, path: str) -> Any:
    """Return what the application got; or the text of the error, with its notes."""
    try:
        return await router({"type": "websocket", "path": path}, None, None)
    except RouteNotFound as error:
        return str(error), error.__notes__


def build(kind: Any, routes: Any) -> URLRouter:
    """Make routers from `(text, extra arguments, application or routes, whether wrapped)`."""
    made: list[Any] = []
    for number, (text, extra, to, wrapped) in enumerate(routes):
        view: Any = build(kind, to) if isinstance(to, list) else application((number, to))
        function = re_path if text.startswith("^") else path
        made.append(function(text, BaseMiddleware(view) if wrapped else view, extra))
    return kind(made)  # type: ignore[no-any-return] # one of the two classes


TEXTS = st.sampled_from(
    [
        *("", "a/", "b/", "a", "/", "a/b/"),
        *("<x>/", "<int:x>/", "<int:y>/", "<path:x>/", "<path:z>", "a<x>/", "<x>"),
        *("^a/", "^(b)/", "^(?P<x>a)/$"),
    ]
)
EXTRAS = st.sampled_from([{}, {}, {}, {"x": "given"}])
LEAVES = st.tuples(TEXTS, EXTRAS, st.just("leaf"), st.just(value=False))
ROUTES = st.recursive(
    st.lists(LEAVES, max_size=4),
    lambda inner: st.lists(
        st.one_of(LEAVES, st.tuples(TEXTS, EXTRAS, inner, st.booleans())), max_size=4
    ),
    max_leaves=12,
)
PATHS = st.lists(st.sampled_from(["a", "b", "1", "/", "/", "a/", "b/"]), max_size=7).map("".join)


@settings(max_examples=300, deadline=None)
@given(ROUTES, PATHS)
@example([("a/", {}, [("<path:x>/", {}, [("b/", {}, "leaf", False)], False)], False)], "a/b/b/")
@example([("a/", {}, [("a/", {}, [("b/", {}, "leaf", False)], True)], False)], "a/a/a")
def test_merged_routers_do_what_each_would_do(routes: Any, path: str) -> None:
    expected = asyncio.run(outcome(build(Unmerged, routes), path))
    assert asyncio.run(outcome(build(URLRouter, routes), path)) == expected


def merged(text: str, *inner: str, **extra: object) -> list[str] | None:
    outer = make_route(path(text, URLRouter([]), extra))
    routes = merge(outer, [make_route(path(each, application(each))) for each in inner])
    return None if routes is None else [str(route.pattern) for route in routes]


class TestMerge:
    def test_a_route_and_those_behind_it_become_one_each(self) -> None:
        assert merged("a/", "b/", "<int:x>/") == ["a/b/", "a/<int:x>/"]
        assert merged("<slug:a>-<int:b>/", "c") == ["<slug:a>-<int:b>/c"]
        assert merged("", "c") == ["c"]
        assert merged("a/") == []

    def test_some_are_not_merged(self) -> None:
        assert merged("a", "b/") is None
        assert merged("<path:a>/", "b/") is None
        assert merged("<x>/", "b/", "<int:x>/") is None
        assert merged("a/", "b/", extra=1) is None
        assert merged("<once:a>/", "b/") is None
        regex = make_route(re_path("^a/", URLRouter([])))
        assert merge(regex, []) is None
        outer = make_route(path("a/", URLRouter([])))
        assert merge(outer, [make_route(re_path("^b/$", application(1)))]) is None

    async def test_the_converters_of_a_pattern_are_kept(self) -> None:
        class Doubled:
            regex = "[0-9]+"

            def to_python(self, value: str) -> int:
                return 2 * int(value)

        route = path("<int:x>/", application(1))
        route.pattern.converters["x"] = Doubled()
        result = await outcome(URLRouter([path("a/", URLRouter([route]))]), "/a/4/")
        assert result[1]["kwargs"] == {"x": 8}


KEPT = st.sampled_from(
    [
        *("<x>/", "a/<int:x>", "<slug:x>/<int:y>", "<path:x>/<str:y>", "<path:x>", "a<int:x>b<y>"),
        *("<uuid:x>", "<uuid:x>/<int:y>", "<int:x>.<int:y>", "<once:x>/", "a/b"),
    ]
)
UUID = "01234567-89ab-cdef-0123-456789abcdef"
SPELLED = st.lists(st.sampled_from(["a", "b", "1", "٣", "/", "-", ".", "\n", UUID]), max_size=7)


class TestMatches:
    @settings(max_examples=300, deadline=None)
    @given(KEPT, st.booleans(), SPELLED.map("".join))
    @example("<uuid:x>/<int:y>", False, f"{UUID}/7")
    @example("<uuid:x>/<int:y>", True, f"{UUID}/7/a")
    @example("<path:x>/<str:y>", False, "a/b/1")
    # More digits than Python makes an int of: a `ValueError` of the converter.
    @example("a/<int:x>", False, "a/" + "1" * 5000)
    @example("<int:x>.<int:y>", False, "1." + "1" * 5000)
    def test_a_route_matches_as_djangos_pattern(self, text: str, prefix: bool, path_: str) -> None:
        view = URLRouter([]) if prefix else application(1)
        table = RouteTable([make_route(path(text, view))])
        expected = RoutePattern(text, is_endpoint=not prefix).match(path_)
        found = [table.routes[number].pattern.match(path_) for number in table.candidates(path_)]
        assert [each for each in found if each] == ([] if expected is None else [expected])
        # Once more, with the expression compiled.
        again = [table.routes[number].pattern.match(path_) for number in table.candidates(path_)]
        assert again == found

    def test_what_a_match_has_captured_belongs_to_the_caller(self) -> None:
        route = RouteTable([make_route(path("own/<int:x>/", application(1)))]).routes[0]
        route.pattern.match("own/7/")[2]["y"] = 1
        assert route.pattern.match("own/7/") == ("", (), {"x": 7})

    @pytest.mark.parametrize("text", ["<once:x>/", "<once:x>/<int:y>/"])
    def test_the_converter_of_a_program_is_called_by_django(self, text: str) -> None:
        route = make_route(path(text, application(1)))
        assert RouteTable([route]).routes == [route]


class TestCalls:
    """How often routers inside are called, and how often patterns are tried."""

    async def test_merged_routers_are_not_called(self, monkeypatch: pytest.MonkeyPatch) -> None:
        inner = URLRouter([path("b/", application(1))])
        router = URLRouter([path("a/", inner)])
        monkeypatch.setattr(inner, "_table", None)
        assert (await outcome(router, "/a/b/"))[0] == 1

    async def test_a_replaced_method_sees_each_router(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        router = URLRouter([path("a/", URLRouter([path("b/", application(1))]))])
        seen: list[Any] = []
        original: Any = URLRouter.__call__

        async def call(self: Any, scope: Any, receive: Any, send: Any) -> Any:
            seen.append(self)
            return await original(self, scope, receive, send)

        monkeypatch.setattr(URLRouter, "__call__", call)
        assert (await outcome(router, "/a/b/"))[0] == 1
        assert len(seen) == 2

    async def test_a_path_without_parameters_is_not_searched_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        router = URLRouter([path("a/", URLRouter([path("b/", application(1))]))])
        monkeypatch.setattr(RoutePattern, "match", None)
        assert (await outcome(router, "/a/b/"))[:3] == (1, {"args": (), "kwargs": {}}, "")

    async def test_what_was_tried_is_found_out_when_it_is_read(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[Any] = []
        text = RoutePattern.__str__

        def counted(self: RoutePattern) -> str:
            asked.append(self)
            return text(self)

        monkeypatch.setattr(RoutePattern, "__str__", counted)
        router = URLRouter([path("a/", URLRouter([path("b/", application(1))]))])
        with pytest.raises(RouteNotFound) as raised:
            await router({"type": "http", "path": "/a/c/"}, None, None)  # type: ignore[arg-type] # not used
        assert str(raised.value) == "No route found for path 'a/c/'."
        assert raised.value.args == ("No route found for path 'a/c/'.",)
        assert asked == []
        raised.value.add_note("more")
        assert raised.value.__notes__ == ["Tried: 'a/b/'", "more"]
        assert asked
