"""What a router costs: static paths, paths with a parameter, paths without a route, nesting."""

from typing import Any

from benchmarks.case import Case, Row, Scale
from benchmarks.clients import WEBSOCKET_SCOPE
from benchmarks.clock import cheapest, cpu, run
from benchmarks.honesty import check_equal
from benchmarks.site import set_up

PEERS = ("ours", "upstream", "starlette", "litestar", "limit")
LINES = {
    "static": "CPU time of routing a static path, by routes",
    "param": "CPU time of routing a path with a parameter, by routes",
    "miss": "CPU time of a path without a route, by routes",
}

CASE = Case(
    number=7,
    title="Routes",
    method="A router calls an application that does nothing, for ten paths that are spread "
    "evenly over its routes. A miss has no route. Starlette: its `Router` of WebSocket "
    "routes. Litestar: a whole application, which has no router to be called alone. The "
    "limit: one dict of static paths, and one of what is before the parameter.",
    rows=(
        *(
            Row(
                f"{kind}-{size}",
                f"routes, {kind}: {size:,}",
                "path",
                PEERS,
                size=size,
                line=line,
                quick=size == 10,
            )
            for kind, line in LINES.items()
            for size in (10, 100, 1000)
        ),
        Row("nested", "routes, three levels nested", "path", PEERS),
    ),
)

Found = list[tuple[int, dict[str, Any]]]


class Router:
    """A router, and what its applications were called with."""

    def __init__(self, call: Any, seen: Found) -> None:
        self.call = call
        self.seen = seen


def routes_of(row: Row) -> list[tuple[str, Any]]:
    """Return the routes, each a text and a number, or a list for a nested router."""
    if row.name == "nested":
        return [("api/", [("v1/", [("room/{room}/", 0)])])]
    text = "chat/room{}/" if row.name.startswith("static") else "chat{}/{{room}}/"
    return [(text.format(number), number) for number in range(row.size)]


def paths_of(row: Row) -> list[tuple[str, int, dict[str, Any]]]:
    """Return ten paths, each with the number of its route and its parameters."""
    if row.name == "nested":
        return [(f"/api/v1/room/{number}/", 0, {"room": number}) for number in range(10)]
    numbers = [row.size * each // 10 + row.size // 20 for each in range(10)]
    if row.name.startswith("static"):
        return [(f"/chat/room{number}/", number, {}) for number in numbers]
    if row.name.startswith("miss"):
        return [(f"/other{number}/7/", -1, {}) for number in numbers]
    return [(f"/chat{number}/7/", number, {"room": 7}) for number in numbers]


def channels(row: Row) -> Any:
    """Return a `URLRouter` of Channels."""
    set_up()
    from channels.routing import URLRouter
    from django.urls import path

    seen: Found = []

    def application(number: int) -> Any:
        async def call(scope: Any, receive: Any, send: Any) -> None:
            seen.append((number, scope["url_route"]["kwargs"]))

        return call

    def router(routes: list[tuple[str, Any]]) -> Any:
        return URLRouter(
            [
                path(
                    text.replace("{room}", "<int:room>"),
                    router(to) if isinstance(to, list) else application(to),
                )
                for text, to in routes
            ]
        )

    return Router(router(routes_of(row)), seen)


def starlette(row: Row) -> Any:
    """Return a `Router` of Starlette."""
    from starlette.routing import Mount, WebSocketRoute
    from starlette.routing import Router as StarletteRouter

    seen: Found = []

    class Endpoint:
        """An ASGI application, which Starlette does not wrap as it wraps functions."""

        def __init__(self, number: int) -> None:
            self.number = number

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append((self.number, scope["path_params"]))

    def router(routes: list[tuple[str, Any]]) -> list[Any]:
        return [
            Mount("/" + text.rstrip("/"), routes=router(to))
            if isinstance(to, list)
            else WebSocketRoute("/" + text.replace("{room}", "{room:int}"), Endpoint(to))
            for text, to in routes
        ]

    return Router(StarletteRouter(router(routes_of(row))), seen)


def litestar(row: Row) -> Any:
    """Return a Litestar with ASGI applications at its routes."""
    from litestar import Litestar, asgi
    from litestar import Router as LitestarRouter

    seen: Found = []

    def handler(text: str, number: int) -> Any:
        async def call(scope: Any, receive: Any, send: Any) -> None:
            seen.append((number, scope["path_params"]))

        return asgi(text.replace("{room}", "{room:int}"))(call)

    def router(routes: list[tuple[str, Any]]) -> list[Any]:
        return [
            LitestarRouter(text, route_handlers=router(to))
            if isinstance(to, list)
            else handler(text, to)
            for text, to in routes
        ]

    return Router(Litestar(router(routes_of(row)), openapi_config=None), seen)


def limit(row: Row) -> Any:
    """Return two dicts."""
    seen: Found = []
    static: dict[str, int] = {}
    before: dict[str, int] = {}

    def add(routes: list[tuple[str, Any]], prefix: str) -> None:
        for text, to in routes:
            if isinstance(to, list):
                add(to, prefix + text)
            elif "{" in text:
                before[prefix + text.partition("{")[0]] = to
            else:
                static[prefix + text] = to

    add(routes_of(row), "/")

    async def call(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        kwargs = {}
        if (number := static.get(path)) is None:
            head, _, last = path[:-1].rpartition("/")
            number = before.get(f"{head}/")
            if number is None or not last.isdigit():
                raise ValueError("No route found")
            kwargs = {"room": int(last)}
        scope = {**scope, "url_route": {"args": (), "kwargs": kwargs}}
        seen.append((number, scope["url_route"]["kwargs"]))

    return Router(call, seen)


PROGRAMS = {
    "ours": channels,
    "upstream": channels,
    "starlette": starlette,
    "litestar": litestar,
    "limit": limit,
}


def measure(program: Any, row: Row, scale: Scale) -> float:
    """Return the CPU seconds for one path."""
    return run(paths(program, row, scale), row)


async def paths(router: Router, row: Row, scale: Scale) -> float:
    """Ask for all paths, again and again."""
    expected = [(number, kwargs) for _, number, kwargs in paths_of(row) if number >= 0]
    scopes = [
        {**WEBSOCKET_SCOPE, "path": path, "raw_path": path.encode()} for path, _, _ in paths_of(row)
    ]
    closed = 0

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        nonlocal closed
        closed += message["type"] in {"websocket.close", "websocket.http.response.start"}

    async def once() -> float:
        nonlocal closed
        router.seen.clear()
        closed = 0
        repeat = scale.count(10 if row.size == 1000 else 50, 2)
        start = cpu()
        for _ in range(repeat):
            for scope in scopes:
                try:
                    # A copy, because Starlette writes into it.
                    await router.call({**scope}, receive, send)
                except ValueError:
                    closed += 1
        seconds = cpu() - start
        check_equal("routes and parameters", expected * repeat, router.seen)
        check_equal("misses", (len(scopes) - len(expected)) * repeat, closed)
        return seconds / repeat / len(scopes)

    return await cheapest(once, scale.repetitions)
