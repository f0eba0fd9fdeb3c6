from functools import partial
from threading import get_ident
from typing import Any

import pytest

from channels_core.routing import ProtocolTypeRouter
from fakes import Server

STARTUP = {"type": "lifespan.startup"}
SHUTDOWN = {"type": "lifespan.shutdown"}
COMPLETE = [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


class Calls:
    def __init__(self) -> None:
        self.made: list[tuple[str, bool]] = []
        self.loop = get_ident()

    def note(self, name: str) -> None:
        self.made.append((name, get_ident() == self.loop))

    def ordinary(self) -> None:
        self.note("ordinary")

    async def coroutine(self) -> None:
        self.note("coroutine")

    async def __call__(self) -> None:
        self.note("instance")

    def fail(self) -> None:
        self.note("fail")
        raise LookupError("no such thing")

    async def fail_as_a_coroutine(self) -> None:
        self.fail()


async def serve(router: ProtocolTypeRouter, *events: dict[str, Any]) -> list[Any]:
    server = Server(router, {"type": "lifespan"})
    server.put(*events)
    await server.end()
    return server.received


async def test_it_acknowledges_start_and_end() -> None:
    assert await serve(ProtocolTypeRouter({}), STARTUP, SHUTDOWN) == COMPLETE


async def test_it_passes_over_events_that_it_does_not_know() -> None:
    events = (STARTUP, {"type": "lifespan.reload"}, SHUTDOWN)
    assert await serve(ProtocolTypeRouter({}), *events) == COMPLETE


@pytest.mark.parametrize("when", ["on_startup", "on_shutdown"])
async def test_it_calls_functions_of_every_kind_in_their_order(when: str) -> None:
    calls = Calls()

    def returning_a_coroutine() -> Any:
        return calls.coroutine()

    functions: list[Any] = [
        calls.ordinary,
        calls.coroutine,
        calls,
        partial(calls.note, "partial"),
        partial(calls.coroutine),
        returning_a_coroutine,
    ]
    assert (
        await serve(ProtocolTypeRouter({}, **{when: iter(functions)}), STARTUP, SHUTDOWN)
        == COMPLETE
    )
    assert calls.made == [
        ("ordinary", False),
        ("coroutine", True),
        ("instance", True),
        ("partial", False),
        ("coroutine", True),
        ("coroutine", True),
    ]


async def test_it_calls_each_at_its_time() -> None:
    calls = Calls()
    router = ProtocolTypeRouter(
        {}, on_startup=[partial(calls.note, "start")], on_shutdown=[partial(calls.note, "stop")]
    )
    server = Server(router, {"type": "lifespan"})
    server.put(STARTUP)
    await server.replies(1)
    assert [name for name, _ in calls.made] == ["start"]
    server.put(SHUTDOWN)
    await server.end()
    assert [name for name, _ in calls.made] == ["start", "stop"]


@pytest.mark.parametrize("how", ["fail", "fail_as_a_coroutine"])
async def test_a_failure_at_the_start_is_told_and_ends_it(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    calls = Calls()
    router = ProtocolTypeRouter(
        {},
        on_startup=[calls.ordinary, getattr(calls, how), calls.coroutine],
        on_shutdown=[calls.coroutine],
    )
    assert await serve(router, STARTUP) == [
        {"type": "lifespan.startup.failed", "message": "LookupError: no such thing"}
    ]
    assert [name for name, _ in calls.made] == ["ordinary", "fail"]
    (record,) = caplog.records
    assert record.name == "django.channels.lifespan"
    assert record.exc_info is not None


async def test_at_the_end_each_is_called_even_if_one_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls = Calls()
    router = ProtocolTypeRouter({}, on_shutdown=[calls.fail, partial(int, "x"), calls.coroutine])
    assert await serve(router, STARTUP, SHUTDOWN) == [
        COMPLETE[0],
        {"type": "lifespan.shutdown.failed", "message": "LookupError: no such thing"},
    ]
    assert [name for name, _ in calls.made] == ["fail", "coroutine"]
    assert len(caplog.records) == 2


@pytest.mark.parametrize("wrong", [print, ["open_pool"], [print, None]])
def test_what_cannot_be_called_is_refused_at_once(wrong: Any) -> None:
    with pytest.raises(TypeError, match="on_startup takes a list of callables"):
        ProtocolTypeRouter({}, on_startup=wrong)
    with pytest.raises(TypeError, match="on_shutdown takes a list of callables"):
        ProtocolTypeRouter({}, on_shutdown=wrong)
