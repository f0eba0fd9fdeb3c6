import asyncio
import pickle
import sys
from collections.abc import Callable
from contextvars import copy_context
from functools import wraps
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path

from channels_core.consumer import hook
from channels_core.exceptions import ChannelsError, InvalidFrame, RouteNotFound
from channels_core.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer
from channels_core.middleware import BaseMiddleware
from channels_core.routing import (
    ChannelNameRouter,
    ProtocolTypeRouter,
    URLRouter,
    get_default_application,
    route_pattern_match,
)
from channels_core.typing import Receive, Scope, Send
from fakes import Server


class Mark:
    """An application that returns its mark, and keeps the scope."""

    def __init__(self, mark: Any) -> None:
        self.mark = mark
        self.scope: Scope = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        self.scope = scope
        return self.mark


async def no_receive() -> dict[str, Any]:
    raise NotImplementedError


async def no_send(message: Any) -> None:
    raise NotImplementedError


async def lead(router: Any, scope: Scope) -> Any:
    return await router(scope, no_receive, no_send)


async def lead_to(router: Any, path: str, **scope: Any) -> Any:
    return await lead(router, {"type": "http", "path": path, **scope})


class TestProtocolTypeRouter:
    async def test_the_type_leads_to_the_application(self) -> None:
        router = ProtocolTypeRouter({"http": Mark(1), "websocket": Mark(2), "other": Mark(3)})
        assert [await lead(router, {"type": kind}) for kind in ("http", "websocket", "other")] == [
            1,
            2,
            3,
        ]

    async def test_consumers_and_two_step_applications_are_taken(self) -> None:
        def two_steps(scope: Scope) -> Any:
            async def serve(receive: Receive, send: Send) -> None:
                await send({"type": "told", "scope": scope["type"]})

            return serve

        router = ProtocolTypeRouter({"websocket": WebsocketConsumer, "other": two_steps})
        server = Server(router)
        assert (await server.connect())[0]["type"] == "websocket.accept"
        await server.leave()
        server = Server(router, {"type": "other"})
        await server.end()
        assert server.received == [{"type": "told", "scope": "other"}]

    async def test_an_unknown_type_is_an_error_that_names_those_there_are(self) -> None:
        router = ProtocolTypeRouter({"websocket": Mark(1)})
        with pytest.raises(RouteNotFound) as raised:
            await lead(router, {"type": "alternate"})
        assert isinstance(raised.value, ValueError | ChannelsError)
        assert str(raised.value) == "No application configured for scope type 'alternate'"
        assert raised.value.__notes__ == [
            "There is one for each of: 'websocket', 'lifespan', 'http'"
        ]

    async def test_a_scope_without_a_type_is_an_error(self) -> None:
        with pytest.raises(KeyError):
            await lead(ProtocolTypeRouter({}), {})

    def test_the_callers_mapping_stays_as_it_is(self) -> None:
        mapping = {"websocket": Mark(1)}
        ProtocolTypeRouter(mapping)
        assert list(mapping) == ["websocket"]

    def test_what_is_no_application_is_refused_at_once(self) -> None:
        with pytest.raises(TypeError, match="Expected an ASGI application"):
            ProtocolTypeRouter({"websocket": "consumers.Chat"})

    async def test_an_unmatched_path_is_answered(self, caplog: pytest.LogCaptureFixture) -> None:
        inner = URLRouter([path("a/", Mark(1))])
        router = ProtocolTypeRouter({"http": inner, "websocket": inner})
        web = Server(router, {"type": "http", "path": "/b/", "method": "GET"})
        await web.end()
        assert web.received[0]["status"] == 404
        socket = Server(router, {"path": "/b/"})
        assert await socket.connect() == [{"type": "websocket.close"}]
        await socket.end()
        assert caplog.messages == [
            "http '/b/': No route found for path 'b/'. Tried: 'a/'",
            "websocket '/b/': No route found for path 'b/'. Tried: 'a/'",
        ]

    async def test_a_bad_frame_ends_quietly(self, caplog: pytest.LogCaptureFixture) -> None:
        router = ProtocolTypeRouter({"websocket": AsyncJsonWebsocketConsumer})
        server = Server(router)
        await server.connect()
        server.text("{bad")
        await server.end()
        assert server.received[-1] == {"type": "websocket.close", "code": 1007}
        assert len(caplog.messages) == 1
        assert "A text frame is not JSON: Expecting" in caplog.messages[0]

    async def test_other_scope_types_get_no_answer(self) -> None:
        async def bad(scope: Scope, receive: Receive, send: Send) -> None:
            raise InvalidFrame("bad", 1003)

        router = ProtocolTypeRouter({"channel": ChannelNameRouter({}), "other": bad})
        with pytest.raises(RouteNotFound):
            await lead(router, {"type": "channel", "channel": "jobs"})
        with pytest.raises(InvalidFrame):
            await lead(router, {"type": "other"})


class TestLifespan:
    async def test_it_is_acknowledged_and_calls_what_was_registered(self) -> None:
        calls: list[str] = []

        async def stop() -> None:
            calls.append("stop")

        router = ProtocolTypeRouter(
            {}, on_startup=[lambda: calls.append("start")], on_shutdown=[stop]
        )
        server = Server(router, {"type": "lifespan"})
        server.put({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
        await server.end()
        assert [message["type"] for message in server.received] == [
            "lifespan.startup.complete",
            "lifespan.shutdown.complete",
        ]
        assert calls == ["start", "stop"]

    async def test_an_application_for_it_has_it(self) -> None:
        router = ProtocolTypeRouter({"lifespan": Mark(1)})
        assert await lead(router, {"type": "lifespan"}) == 1

    @pytest.mark.parametrize("when", ["on_startup", "on_shutdown"])
    def test_functions_that_would_not_be_called_are_refused(self, when: str) -> None:
        with pytest.raises(ImproperlyConfigured, match="would not be called"):
            ProtocolTypeRouter({"lifespan": Mark(1)}, **{when: [print]})


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


urlpatterns = [path("hello/", hello)]


class TestDjangoForHttp:
    async def test_django_serves_http_by_itself(self, settings: Any) -> None:
        settings.ROOT_URLCONF = __name__
        settings.ALLOWED_HOSTS = ["testserver"]
        router = ProtocolTypeRouter({})
        for _ in range(2):
            server = Server(
                router,
                {
                    "type": "http",
                    "path": "/hello/",
                    "method": "GET",
                    "query_string": b"",
                    "headers": [(b"host", b"testserver")],
                },
            )
            server.put({"type": "http.request"})
            await server.replies(2)
            server.put({"type": "http.disconnect"})
            await server.end()
            assert server.received[0]["status"] == 200
            assert server.received[1]["body"] == b"hello"


def step(router: Any, scope: Scope) -> Any:
    return router(scope)


class TestTwoSteps:
    """A call with the scope alone, as in Channels 2."""

    def test_the_type_is_led_at_once(self) -> None:
        router = ProtocolTypeRouter({"http": lambda scope: 1, "other": lambda scope: 2})
        assert step(router, {"type": "http"}) == 1
        assert step(router, {"type": "other"}) == 2
        with pytest.raises(RouteNotFound, match="scope type 'none'"):
            step(router, {"type": "none"})

    async def test_a_client_is_answered_all_the_same(self) -> None:
        router = ProtocolTypeRouter({"http": URLRouter([])})
        instance = step(router, {"type": "http", "path": "/x"})
        server = Server(lambda _, *channel: instance(*channel), {"type": "http"})
        await server.end()
        assert server.received[0]["status"] == 404

    def test_the_path_is_led_at_once(self) -> None:
        view: Any = lambda scope: scope["url_route"]["kwargs"]  # noqa: E731 - as a view of a test
        inner = URLRouter([path("one/<int:a>/", view)])
        router = URLRouter([path("x/", inner), path("x/<int:b>/", view), path("y/", view)])
        assert step(router, {"path": "/x/one/1/"}) == {"a": 1}
        assert step(router, {"path": "/x/2/"}) == {"b": 2}
        with pytest.raises(RouteNotFound, match="Tried: 'x/one/<int:a>/'"):
            step(router, {"path": "/x/none/"})

    def test_an_application_that_raises_it_ends_the_search(self) -> None:
        view: Any = lambda scope: step(URLRouter([]), {"path": "/other/"})  # noqa: E731 - as a view of a test
        router = URLRouter([path("x/", view), re_path("", view)])
        with pytest.raises(RouteNotFound, match="No route found for path 'other/'"):
            step(URLRouter([path("", router), path("x/", view)]), {"path": "/x/"})

    def test_the_channel_is_led_at_once(self) -> None:
        router = ChannelNameRouter({"one": lambda scope: 1})
        assert step(router, {"channel": "one"}) == 1
        with pytest.raises(RouteNotFound, match="channel name 'other'"):
            step(router, {"channel": "other"})


class TestURLRouter:
    async def test_the_path_leads_to_the_application(self) -> None:
        router = URLRouter([path("", Mark(0)), path("a/", Mark(1)), re_path("^b/$", Mark(2))])
        assert [await lead_to(router, path) for path in ("", "/", "/a/", "//a/", "/b/")] == [
            0,
            0,
            1,
            1,
            2,
        ]

    async def test_the_first_route_that_matches_counts(self) -> None:
        router = URLRouter([path("<x>/", Mark(1)), path("a/", Mark(2)), re_path("", Mark(3))])
        assert await lead_to(router, "/a/") == 1
        assert await lead_to(router, "/a/b/") == 3

    async def test_what_the_pattern_captures_is_in_the_scope(self) -> None:
        mark = Mark(1)
        router = URLRouter([path("a/<int:x>/<slug:y>/", mark, {"z": True, "y": "given"})])
        scope = {"type": "http", "path": "/a/3/b/"}
        await lead(router, scope)
        assert mark.scope == {
            **scope,
            "path_remaining": "",
            "url_route": {"args": (), "kwargs": {"x": 3, "y": "given", "z": True}},
        }
        assert list(scope) == ["type", "path"]

    async def test_groups_are_arguments_as_in_django(self) -> None:
        mark = Mark(1)
        router = URLRouter(
            [
                re_path(r"^a/(\d+)/(\w)?$", mark),
                re_path(r"^b/(\d+)/(?P<x>\w+)/(?P<y>\w)?$", mark),
            ]
        )
        await lead_to(router, "/a/1/")
        assert mark.scope["url_route"] == {"args": ("1", None), "kwargs": {}}
        await lead_to(router, "/b/1/2/")
        assert mark.scope["url_route"] == {"args": (), "kwargs": {"x": "2"}}

    async def test_a_value_that_its_converter_refuses_does_not_match(self) -> None:
        # The pattern's expression takes it; `uuid.UUID` does not take the same text as a number.
        class Picky:
            regex = "[0-9]+"

            def to_python(self, value: str) -> int:
                if value == "13":
                    raise ValueError
                return int(value)

        route = path("<int:x>/", Mark(1))
        route.pattern.converters["x"] = Picky()
        router = URLRouter([route, path("13/", Mark(2))])
        assert await lead_to(router, "/12/") == 1
        assert await lead_to(router, "/13/") == 2

    async def test_no_match_is_an_error_that_says_what_was_tried(self) -> None:
        router = URLRouter([path(f"{n}/", Mark(n)) for n in range(12)])
        with pytest.raises(RouteNotFound) as raised:
            await lead_to(router, "/a\n/")
        assert isinstance(raised.value, ValueError)
        assert str(raised.value) == r"No route found for path 'a\n/'."
        assert raised.value.__notes__ == [
            "Tried: '0/', '1/', '2/', '3/', '4/', '5/', '6/', '7/', '8/', '9/' and 2 more"
        ]

    async def test_a_missing_route_can_be_sent_to_another_process(self) -> None:
        with pytest.raises(RouteNotFound) as raised:
            await lead_to(URLRouter([path("a/", Mark("a"))]), "/b/")
        copy = pickle.loads(pickle.dumps(raised.value))
        assert (str(copy), copy.__notes__) == (str(raised.value), ["Tried: 'a/'"])

    async def test_a_router_without_routes_matches_nothing(self) -> None:
        with pytest.raises(RouteNotFound) as raised:
            await lead_to(URLRouter([]), "/a")
        assert raised.value.__notes__ == ["Tried: nothing"]

    async def test_a_scope_without_a_path_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="No 'path' key in connection scope, cannot route"):
            await lead(URLRouter([]), {"type": "channel"})

    def test_include_is_refused(self) -> None:
        with pytest.raises(ImproperlyConfigured, match=r"include\(\) is not supported"):
            URLRouter([path("a/", include([]))])

    def test_it_keeps_the_routes_as_they_were_given(self) -> None:
        routes = [path("a/", Mark(1)), path("b/", URLRouter([]))]
        before = [(route.callback, route.pattern) for route in routes]
        router = URLRouter(routes)
        assert router.routes == routes
        assert [(route.callback, route.pattern) for route in routes] == before
        assert routes[1].resolve("b/c") is None

    async def test_consumers_serve_at_the_end_of_it(self) -> None:
        class Told(AsyncJsonWebsocketConsumer):
            async def connect(self) -> None:
                await self.accept()
                await self.send_json(self.scope["url_route"]["kwargs"])

        views: list[Any] = [Told, Told.as_asgi()]
        for view in views:
            server = Server(URLRouter([path("ws/<room>/", view)]), {"path": "/ws/tea/"})
            await server.connect()
            assert (await server.replies(2))[1]["text"] == '{"room": "tea"}'
            await server.leave()

    async def test_many_are_served_by_one_router(self) -> None:
        routes = [path(f"room/<int:room>/topic{n}/", Mark(n)) for n in range(1000)]
        assert await lead_to(URLRouter(routes), "/room/7/topic999/") == 999


class TestRootPath:
    @pytest.mark.parametrize(
        ("root", "path"),
        [("/r", "/r/a/"), ("/r/", "/r/a/"), ("/r/s", "/r/s/a/"), ("", "/a/"), (None, "/a/")],
    )
    async def test_it_is_left_out_of_the_path(self, root: str | None, path: str) -> None:
        assert await lead_to(URLRouter([globals()["path"]("a/", Mark(1))]), path, root_path=root)

    async def test_it_may_be_the_whole_path(self) -> None:
        assert await lead_to(URLRouter([path("", Mark(1))]), "/r", root_path="/r")

    @pytest.mark.parametrize("where", ["/a/", "/ra/", "/"])
    async def test_a_path_that_is_not_below_it_has_no_route(self, where: str) -> None:
        router = URLRouter([re_path("", Mark(1))])
        with pytest.raises(RouteNotFound) as raised:
            await lead_to(router, where, root_path="/r")
        assert str(raised.value) == f"No route found for path '{where}'."
        assert raised.value.__notes__ == ["It is not below the root_path '/r'"]

    async def test_an_inner_router_leaves_it_to_the_outer_one(self) -> None:
        router = URLRouter([path("r/", URLRouter([path("a/", Mark(1))]))])
        assert await lead_to(router, "/r/r/a/", root_path="/r") == 1


class Middleware(BaseMiddleware):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        return await super().__call__({**scope, "middleware": True}, receive, send)


class TestNested:
    async def test_the_rest_of_the_path_is_routed_on(self) -> None:
        mark = Mark(1)
        inmost = URLRouter([re_path(r"^(\d+)/$", mark)])
        inner = URLRouter([path("y<int:y>/", inmost, {"x": "inner"}), path("", Mark(2))])
        router = URLRouter([re_path("^(a)/", URLRouter([path("x<int:x>/", Middleware(inner))]))])
        assert await lead_to(router, "/a/x3/y4/5/") == 1
        assert mark.scope["url_route"] == {"args": ("a", "5"), "kwargs": {"x": "inner", "y": 4}}
        assert mark.scope["path"] == "/a/x3/y4/5/"
        assert mark.scope["path_remaining"] == ""
        assert mark.scope["middleware"]
        assert await lead_to(router, "/a/x3/") == 2

    async def test_the_rest_may_begin_with_a_slash(self) -> None:
        router = URLRouter([path("a", URLRouter([path("b/", Mark(1))]))])
        assert await lead_to(router, "/a/b/") == 1

    async def test_an_application_gets_what_its_pattern_left(self) -> None:
        mark = Mark(1)
        await lead_to(URLRouter([re_path("^a/", mark)]), "/a/b/")
        assert mark.scope["path_remaining"] == "b/"

    async def test_the_next_route_is_tried_if_the_inner_router_has_none(self) -> None:
        inner = Middleware(URLRouter([path("a/", Mark(1))]))
        router = URLRouter([path("", URLRouter([path("p/", inner), path("p/b/", Mark(2))]))])
        assert await lead_to(router, "/p/a/") == 1
        assert await lead_to(router, "/p/b/") == 2

    async def test_the_error_can_be_read_and_changed_as_any_other(self) -> None:
        with pytest.raises(RouteNotFound) as raised:
            await lead_to(URLRouter([]), "/x/")
        error = raised.value
        assert error.args == ("No route found for path 'x/'.",)
        assert repr(error) == """RouteNotFound("No route found for path 'x/'.")"""
        error.args = ("mine", 1)
        assert str(error) == "('mine', 1)"

    async def test_the_error_tells_what_inner_routers_tried(self) -> None:
        many = URLRouter([path(f"{n}/", Mark(n)) for n in range(12)])
        regex = URLRouter([re_path("^b/$", Mark(1))])
        router = URLRouter([re_path("^p/", regex), path("q/", Mark(2)), path("p/", many)])
        with pytest.raises(RouteNotFound) as raised:
            await lead_to(router, "/p/x/")
        assert str(raised.value) == "No route found for path 'p/x/'."
        assert raised.value.__notes__ == [
            (
                "Tried: '^p/b/$', 'q/', 'p/0/', 'p/1/', 'p/2/', "
                "'p/3/', 'p/4/', 'p/5/', 'p/6/', 'p/7/' and 4 more"
            )
        ]

    @pytest.mark.parametrize("error", [ValueError("mine"), RouteNotFound("mine")])
    async def test_an_error_of_an_application_is_no_missing_route(self, error: Exception) -> None:
        async def broken(scope: Scope, receive: Receive, send: Send) -> Any:
            raise error

        router = URLRouter([path("", URLRouter([path("a/", broken)])), path("a/", Mark(1))])
        with pytest.raises(ValueError, match="mine"):
            await lead_to(router, "/a/")

    @pytest.mark.parametrize("is_async", [True, False])
    @pytest.mark.parametrize("wrap", [lambda router: router, Middleware], ids=["bare", "wrapped"])
    async def test_a_route_missing_inside_an_application_is_no_missing_route(
        self, wrap: Callable[[Any], Any], is_async: bool
    ) -> None:
        """The application got the connection, and may have acted before its own router raised."""

        async def application(scope: Scope, receive: Receive, send: Send) -> Any:
            await URLRouter([])({"type": "http", "path": "/inside"}, receive, send)

        def plain(scope: Scope, receive: Receive, send: Send) -> Any:
            return application(scope, receive, send)

        inner = URLRouter([path("a/", application if is_async else plain)])
        router = URLRouter([path("", wrap(inner)), path("a/", Mark(1))])
        with pytest.raises(RouteNotFound, match="No route found for path 'inside'"):
            await lead_to(router, "/a/")

    async def test_a_router_is_inside_another_only_while_that_serves(self) -> None:
        """The next connection in the same task finds no trace of it."""
        router = URLRouter([path("a/", Middleware(URLRouter([path("", Mark(1))])))])
        context = dict(copy_context())
        for _ in range(2):
            assert await lead_to(router, "/a/") == 1
        assert {value for var, value in copy_context().items() if var not in context} <= {False}

    async def test_an_ordinary_function_is_called_when_the_connection_is_served(self) -> None:
        """It may ask for the task, or have effects."""
        called: list[Any] = []

        async def application(scope: Scope, receive: Receive, send: Send) -> Any:
            return 1

        def plain(scope: Scope, receive: Receive, send: Send) -> Any:
            called.append(scope)
            return application(scope, receive, send)

        router: Any = URLRouter([path("a/", plain)])
        serving = router({"type": "http", "path": "/a/"}, no_receive, no_send)
        assert called == []
        assert await serving == 1
        assert len(called) == 1


class TestChannelNameRouter:
    async def test_the_name_leads_to_the_application(self) -> None:
        router = ChannelNameRouter({"a": Mark(1), "b": Mark(2)})
        assert await lead(router, {"type": "channel", "channel": "b"}) == 2

    async def test_an_unknown_name_is_an_error_that_names_those_there_are(self) -> None:
        router = ChannelNameRouter({f"n{n}": Mark(n) for n in range(12)})
        with pytest.raises(RouteNotFound) as raised:
            await lead(router, {"type": "channel", "channel": "other"})
        assert str(raised.value) == "No application configured for channel name 'other'"
        assert raised.value.__notes__ == [
            (
                "There is one for each of: "
                "'n0', 'n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7', 'n8', 'n9' and 2 more"
            )
        ]

    async def test_a_scope_without_a_channel_is_an_error(self) -> None:
        with pytest.raises(ValueError, match=r"without a 'channel' key") as raised:
            await lead(ChannelNameRouter({}), {"type": "http"})
        assert raised.value.__notes__ == ["The type of this scope is 'http'."]


class TestDefaultApplication:
    @pytest.fixture(autouse=True)
    def _module(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = ModuleType("site_of_this_test")
        module.application = self.application = Mark(1)  # type: ignore[attr-defined] # made here
        module.consumer = WebsocketConsumer  # type: ignore[attr-defined] # the same
        monkeypatch.setitem(sys.modules, "site_of_this_test", module)

    def test_it_is_what_the_setting_names(self, settings: Any) -> None:
        settings.ASGI_APPLICATION = "site_of_this_test.application"
        assert get_default_application() is self.application

    def test_it_is_an_asgi_3_application(self, settings: Any) -> None:
        settings.ASGI_APPLICATION = "site_of_this_test.consumer"
        assert get_default_application().__name__ == "WebsocketConsumer"

    @pytest.mark.parametrize("value", [None, "", "application", 5])
    def test_a_bad_setting_is_an_error(self, value: Any, settings: Any) -> None:
        settings.ASGI_APPLICATION = value
        with pytest.raises(ImproperlyConfigured, match=rf"ASGI_APPLICATION setting.*is {value!r}$"):
            get_default_application()

    def test_a_missing_setting_is_an_error(self) -> None:
        with pytest.raises(ImproperlyConfigured, match=r"ASGI_APPLICATION setting.*is None$"):
            get_default_application()

    def test_a_missing_module_is_an_error_with_its_cause(self, settings: Any) -> None:
        settings.ASGI_APPLICATION = "no_such_site.asgi.application"
        with pytest.raises(ImproperlyConfigured, match=r"module 'no_such_site\.asgi'") as raised:
            get_default_application()
        assert isinstance(raised.value.__cause__, ImportError)

    def test_the_traceback_ends_in_the_file_that_is_broken(
        self, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "broken_asgi.py").write_text("import broken_routing\n")
        (tmp_path / "broken_routing.py").write_text("import no_such_consumers\n")
        monkeypatch.syspath_prepend(tmp_path)
        settings.ASGI_APPLICATION = "broken_asgi.application"
        with pytest.raises(ImproperlyConfigured, match="'no_such_consumers'") as raised:
            get_default_application()
        # Django's autoreloader watches the file at which the traceback ends.
        assert Path(extract_tb(raised.tb)[-1].filename) == tmp_path / "broken_routing.py"
        assert isinstance(raised.value.__cause__, ImportError)

    def test_a_missing_name_is_an_error(self, settings: Any) -> None:
        settings.ASGI_APPLICATION = "site_of_this_test.app"
        with pytest.raises(ImproperlyConfigured, match=r"'app' in .* module 'site_of_this_test'"):
            get_default_application()


def test_route_pattern_match_is_djangos() -> None:
    route = path("a/<int:x>/", Mark(1))
    assert route_pattern_match(route, "a/3/") == ("", (), {"x": 3})
    assert route_pattern_match(route, "a/b/") is None


async def test_no_other_route_is_tried_after_a_consumer_that_has_called_a_router() -> None:
    """Whether the consumer's application records that, or the router around it."""
    lost = URLRouter([])

    class Calling(AsyncJsonWebsocketConsumer):
        async def connect(self) -> None:
            await lost({"type": "websocket", "path": "/lost/"}, lambda: None, lambda _: None)  # type: ignore[arg-type, return-value] # never called

        @hook
        def report_exception(self, *args: object) -> None:
            """Do not log the failure, which is intended."""

    async def other(scope: Any, receive: Any, send: Any) -> Any:
        raise AssertionError("another route was tried")

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    application: Any = Calling.as_asgi()

    @wraps(application)
    async def wrapped(scope: Any, receive: Any, send: Any) -> Any:
        await application(scope, receive, send)

    views: list[Any] = [application, wrapped]
    for view in views:
        inner: Any = URLRouter([path("chat/", view)])
        outer: Any = URLRouter([path("", inner), path("chat/", other)])
        with pytest.raises(RouteNotFound, match="'lost/'"):
            await outer({"type": "websocket", "path": "/chat/"}, receive, other)


@pytest.mark.parametrize("overrides_call", [False, True])
async def test_the_same_below_the_outermost_router(overrides_call: bool) -> None:
    lost = URLRouter([])

    class Calling(AsyncJsonWebsocketConsumer):
        async def connect(self) -> None:
            await lost({"type": "websocket", "path": "/lost/"}, no_receive, no_send)

    class Overriding(Calling):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await super().__call__(scope, receive, send)

    async def other(scope: Any, receive: Any, send: Any) -> Any:
        raise AssertionError("another route was tried")

    kind: Any = Overriding if overrides_call else Calling
    inner: Any = BaseMiddleware(URLRouter([path("ws/", kind.as_asgi())]))
    routes: list[Any] = [path("", inner), path("ws/", other)]
    server = Server(ProtocolTypeRouter({"websocket": URLRouter(routes)}))
    [answer] = await server.connect()
    assert answer["type"] == "websocket.close"
    await server.end()


@pytest.mark.parametrize("later", ["task", "turn"])
async def test_a_consumer_is_made_where_middleware_awaits_it(later: str) -> None:
    """And not where the middleware calls the router, perhaps in another task."""
    made: list[Any] = []
    awaited: list[Any] = []

    class Program(WebsocketConsumer):
        def __init__(self) -> None:
            super().__init__()
            made.append(asyncio.current_task())

    router = URLRouter([path("a/", Program.as_asgi())])

    class Passing(BaseMiddleware):
        """Return what the router returns, so that it decides nothing."""

    inner: Any = router if later == "task" else Passing(router)

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        work = inner(scope, receive, send)
        await asyncio.sleep(0)
        assert made == []
        if later == "task":
            work = asyncio.create_task(work)
        awaited.append(work if later == "task" else asyncio.current_task())
        await work

    router_around: Any = ProtocolTypeRouter({"websocket": middleware})
    server = Server(router_around, scope={"path": "/a/"})
    await server.connect()
    await server.leave()
    assert made == awaited
