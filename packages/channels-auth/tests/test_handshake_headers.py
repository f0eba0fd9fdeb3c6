import asyncio
from functools import partial
from types import FunctionType
from typing import Any

import pytest

from channels_auth._sessions import handshake_headers
from channels_auth._sessions.handshake_headers import server_sends_headers
from channels_core.typing import Message, Send

NEW = {"version": "3.0", "spec_version": "2.3"}
ADDRESS = {"client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 80)}


async def unknown(message: Message) -> None: ...


def of(package: str) -> Send:
    """Return a `send` from a server of that name."""
    function = FunctionType(unknown.__code__, {"__name__": f"{package}.protocols"})
    assert function.__module__ == f"{package}.protocols"
    return function


@pytest.mark.parametrize(
    ("scope", "answer"),
    [
        ({"type": "http", "asgi": {"version": "3.0"}, **ADDRESS}, True),
        ({"type": "websocket", **ADDRESS}, True),
        ({"type": "websocket", "asgi": {"version": "3.0"}}, False),
        ({"type": "websocket", "asgi": {"spec_version": "2.0"}}, False),
        ({"type": "websocket", "asgi": {"spec_version": "2.1"}}, True),
        ({"type": "websocket", "asgi": {"spec_version": "2.10"}}, True),
        ({"type": "websocket", "asgi": NEW, **ADDRESS}, False),
        ({"type": "websocket", "asgi": NEW, "client": None}, False),
        ({"type": "websocket", "asgi": NEW, "server": None}, False),
    ],
)
def test_which_connections_get_the_headers_of_an_acceptance(scope: Any, answer: bool) -> None:
    assert server_sends_headers(scope, unknown) is answer


@pytest.mark.parametrize(
    ("send", "answer"),
    [
        (of("uvicorn"), True),
        (of("hypercorn"), True),
        (of("granian"), False),
        (of("anyserver"), False),
        (asyncio.Queue[Any]().put, True),
        ([].append, False),
        (partial(unknown, {}), False),
    ],
)
@pytest.mark.parametrize("wrappers", [0, 1, 5, 30])
def test_a_server_is_recognised_by_its_send(send: Any, answer: bool, wrappers: int) -> None:
    for _ in range(wrappers):
        send = _wrapped(send)
    scope = {"type": "websocket", "asgi": NEW, **ADDRESS}
    assert server_sends_headers(scope, send) is (answer and wrappers < 20)


def test_a_server_is_recognised_by_the_object_behind_its_send() -> None:
    class Cycle:
        send: Any = unknown

    Cycle.__module__ = "uvicorn.protocols"
    scope = {"type": "websocket", "asgi": NEW, **ADDRESS}
    assert server_sends_headers(scope, Cycle().send) is True


def _wrapped(send: Send) -> Send:
    async def through_middleware(message: Message) -> None:
        await send(message)

    return through_middleware


@pytest.mark.parametrize(("package", "answer"), [("hypercorn", True), ("granian", False)])
async def test_a_server_is_recognised_by_the_task_that_it_starts(
    package: str, answer: bool
) -> None:
    """Whatever middleware in between has done to `send`."""
    scope = {"type": "websocket", "asgi": NEW, **ADDRESS}

    names: dict[str, Any] = {"__name__": f"{package}.task_group", "look": server_sends_headers}
    names |= {"scope": scope, "unknown": unknown}
    exec("async def serve():\n    return look(scope, unknown)", names)
    assert await asyncio.create_task(names["serve"]()) is answer


async def test_the_package_of_a_task_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python keeps the frame of a coroutine that was asked for it."""
    monkeypatch.setattr(handshake_headers, "_MOST_PACKAGES", 2)
    scope = {"type": "websocket", "asgi": NEW, **ADDRESS}

    def of_server(name: str) -> Any:
        names: dict[str, Any] = {"__name__": "uvicorn", "look": server_sends_headers}
        names |= {"scope": scope, "unknown": unknown}
        exec(f"async def {name}():\n    return look(scope, unknown)", names)
        return names[name]

    first = of_server("first")
    for serve in (first, first, of_server("second"), of_server("third"), first):
        assert await asyncio.create_task(serve()) is True
    assert len(handshake_headers._packages) <= 2


async def test_outside_of_a_task_the_send_alone_counts() -> None:
    """Daphne calls an application before it makes the task."""
    scope = {"type": "websocket", "asgi": NEW, **ADDRESS}
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bool] = loop.create_future()
    loop.call_soon(lambda: answer.set_result(server_sends_headers(scope, unknown)))
    assert await answer is False
