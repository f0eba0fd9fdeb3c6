import asyncio
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import SyncToAsync, ThreadSensitiveContext, async_to_sync, sync_to_async
from django.db import connection, connections, transaction

from channels_core import _database_usage
from channels_core.consumer import AsyncConsumer, SyncConsumer
from channels_core.db import (
    DatabaseSyncToAsync,
    aclose_old_connections,
    database_sync_to_async,
    look_up,
)
from channels_core.middleware import after_each_handler
from channels_core.typing import Message
from fakes import LocalLayer, Server, until

pytestmark = pytest.mark.django_db(transaction=True)


def query() -> Any:
    """Use the database in this thread, and return its connection object there."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return connections["default"]


@pytest.fixture
def max_age(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float | None], None]]:
    """Set CONN_MAX_AGE for connections that are opened from now on."""
    options = connections.settings["default"]
    yield lambda seconds: monkeypatch.setitem(options, "CONN_MAX_AGE", seconds)

    def forget() -> None:
        connections.close_all()

    SyncToAsync.single_thread_executor.submit(forget).result()
    _database_usage._kept.clear()


class Program(AsyncConsumer):
    """Runs a coroutine function of the test for each message."""

    work: Any = None

    async def run(self, message: Message) -> None:
        wrapper = await message["work"]()
        await self.send({"type": "done", "wrapper": wrapper})


async def run(server: Server, work: Callable[[], Any]) -> Any:
    """Have the consumer await a function, and return its result after the handler's clean-up."""

    async def nothing() -> None:
        return None

    server.put({"type": "run", "work": work}, {"type": "run", "work": nothing})
    first, _ = await server.reply(2)
    return first["wrapper"]


async def test_a_connection_that_the_async_orm_opens_is_closed_after_the_handler() -> None:
    server = Server(Program.as_asgi())

    async def work() -> Any:
        wrapper = await sync_to_async(query)()
        assert wrapper.connection is not None
        return wrapper

    assert (await run(server, work)).connection is None
    server.task.cancel()


async def test_a_connection_is_closed_after_a_handler_of_a_layers_message(
    layer: LocalLayer,
) -> None:
    server = Server(Program.as_asgi())
    await until(lambda: bool(layer.queues))
    [channel] = layer.queues
    for _ in range(2):
        await layer.send(channel, {"type": "run", "work": sync_to_async(query)})
    first, _ = await server.replies(2)
    await until(lambda: first["wrapper"].connection is None)
    server.task.cancel()


async def test_a_connection_is_closed_after_a_handler_that_failed() -> None:
    wrappers: list[Any] = []

    async def work() -> Any:
        wrappers.append(await sync_to_async(query)())
        raise LookupError

    server = Server(Program.as_asgi())
    server.put({"type": "run", "work": work})
    with pytest.raises(LookupError):
        await server.end()
    assert wrappers[0].connection is None


async def test_a_sync_handler_leaves_no_connection_open() -> None:
    class Querying(SyncConsumer):
        def run(self, message: Message) -> None:
            self.send({"type": "done", "wrapper": query()})

    server = Server(Querying.as_asgi())
    server.put({"type": "run"}, {"type": "run"})
    first, second = await server.replies(2)
    await until(lambda: first["wrapper"].connection is None)
    await until(lambda: second["wrapper"].connection is None)
    server.task.cancel()


async def test_a_connection_within_its_age_stays_open_until_it_is_over(max_age: Any) -> None:
    max_age(0.2)
    server = Server(Program.as_asgi())
    wrapper = await run(server, sync_to_async(query))
    assert wrapper.connection is not None
    # The timer does it, without another message.
    await until(lambda: wrapper.connection is None)
    server.task.cancel()


async def test_a_connection_without_an_age_stays_open(max_age: Any) -> None:
    max_age(None)
    server = Server(Program.as_asgi())
    wrapper = await run(server, sync_to_async(query))
    assert wrapper.connection is not None
    assert await run(server, sync_to_async(query)) is wrapper
    assert wrapper.connection is not None
    server.task.cancel()


async def test_a_broken_connection_is_closed_after_the_next_handler(
    max_age: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    max_age(None)
    server = Server(Program.as_asgi())
    wrapper = await run(server, sync_to_async(query))

    async def breaking() -> None:
        wrapper.errors_occurred = True
        monkeypatch.setattr(wrapper, "is_usable", lambda: False)

    await run(server, breaking)
    assert wrapper.connection is None
    server.task.cancel()


async def test_a_connection_that_had_an_error_and_still_works_stays_open(max_age: Any) -> None:
    max_age(None)
    server = Server(Program.as_asgi())
    wrapper = await run(server, sync_to_async(query))

    async def stumbling() -> None:
        wrapper.errors_occurred = True

    await run(server, stumbling)
    assert wrapper.connection is not None
    assert wrapper.errors_occurred is False
    server.task.cancel()


async def test_a_kept_connections_health_is_checked_anew(max_age: Any) -> None:
    max_age(None)
    server = Server(Program.as_asgi())
    wrapper = await run(server, sync_to_async(query))
    wrapper.health_check_done = True
    await run(server, sync_to_async(lambda: None))
    assert wrapper.health_check_done is False
    server.task.cancel()


async def test_a_kept_connection_that_was_closed_meanwhile_is_forgotten(max_age: Any) -> None:
    max_age(0.05)
    server = Server(Program.as_asgi())
    wrapper = await run(server, sync_to_async(query))
    assert weakref.ref(wrapper) in _database_usage._kept
    await sync_to_async(connections.close_all)()
    await until(lambda: weakref.ref(wrapper) not in _database_usage._kept)
    server.task.cancel()


async def test_a_timer_for_a_connection_that_is_no_longer_kept_does_nothing() -> None:
    _database_usage._start_closing(connections["default"])


async def test_a_connection_past_its_age_is_closed_after_any_handler(max_age: Any) -> None:
    max_age(None)
    server = Server(Program.as_asgi())
    wrapper = await run(server, sync_to_async(query))

    async def aging() -> None:
        wrapper.close_at = 0

    await run(server, aging)
    assert wrapper.connection is None
    server.task.cancel()


async def test_a_connection_of_the_event_loops_own_thread_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    connections.close_all()
    server = Server(Program.as_asgi())

    async def work() -> Any:
        return query()

    assert (await run(server, work)).connection is None
    server.task.cancel()


async def test_a_connection_that_middleware_opens_after_a_handler_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    connections.close_all()
    opened: list[Any] = []
    server = Server(Program.as_asgi())
    after_each_handler(server.scope, lambda: opened.append(query()))

    async def work() -> None:
        """Leave the database to the middleware."""

    server.put({"type": "run", "work": work})
    await until(lambda: bool(opened))
    await asyncio.sleep(0)
    assert opened[0].connection is None
    server.task.cancel()


async def test_a_connection_in_a_thread_out_of_reach_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server(Program.as_asgi())
    with ThreadPoolExecutor(1) as pool:
        work = sync_to_async(query, thread_sensitive=False, executor=pool)
        wrapper = await run(server, work)
        assert wrapper.connection is not None
        pool.submit(connections.close_all).result()
    [record] = caplog.records
    assert record.name == "django.channels.db"
    assert "use database_sync_to_async" in record.getMessage()
    server.task.cancel()


async def test_database_sync_to_async_closes_where_it_opened(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server(Program.as_asgi())
    with ThreadPoolExecutor(1) as pool:
        work = database_sync_to_async(query, thread_sensitive=False, executor=pool)
        assert (await run(server, work)).connection is None
    assert (await run(server, database_sync_to_async(query))).connection is None
    assert not caplog.records
    server.task.cancel()


async def test_the_consumers_of_a_thread_sensitive_context_close_there() -> None:
    async with ThreadSensitiveContext():
        server = Server(Program.as_asgi())
        assert (await run(server, sync_to_async(query))).connection is None
        server.task.cancel()
        await asyncio.wait([server.task])


async def test_connections_opened_outside_of_consumers_stay_open() -> None:
    wrapper = await sync_to_async(query)()
    server = Server(Program.as_asgi())
    await run(server, sync_to_async(query))
    assert wrapper.connection is not None
    server.task.cancel()
    await aclose_old_connections()
    assert wrapper.connection is None


async def test_it_decorates_functions_and_methods() -> None:
    class Model:
        @database_sync_to_async
        def double(self, number: int) -> int:
            return number * 2

    @database_sync_to_async
    def triple(number: int) -> int:
        return number * 3

    assert await Model().double(4) == 8
    assert await triple(4) == 12
    assert database_sync_to_async is DatabaseSyncToAsync


async def test_old_connections_are_closed_before_and_after_each_call() -> None:
    steps: list[str] = []
    closing = mock.patch(
        "channels_core.db.close_old_connections", side_effect=lambda: steps.append("close")
    )
    with closing:
        await database_sync_to_async(lambda: steps.append("call"))()
    assert steps == ["close", "call", "close"]


@pytest.mark.parametrize("call", [database_sync_to_async(query), aclose_old_connections])
def test_a_transaction_around_the_call_is_left_alone(call: Any) -> None:
    """As in a `TestCase`, or in a view with `ATOMIC_REQUESTS`."""
    with transaction.atomic():
        wrapper = query()
        async_to_sync(call)()
        assert wrapper.connection is not None
        assert not wrapper.closed_in_transaction
        query()


async def test_they_are_closed_after_a_call_that_failed() -> None:
    def fail() -> None:
        query()
        raise LookupError

    with pytest.raises(LookupError):
        await database_sync_to_async(fail)()
    assert await sync_to_async(lambda: connections["default"].connection)() is None


async def test_two_consumers_in_one_task_count_their_own(max_age: Any) -> None:
    inner, outer = _database_usage.DatabaseUsage(), _database_usage.DatabaseUsage()
    outer.begin()
    inner.begin()
    await sync_to_async(query)()
    inner.end()
    assert (len(inner.opened), len(outer.opened)) == (1, 0)
    await inner.release()
    await sync_to_async(query)()
    outer.end()
    assert len(outer.opened) == 1
    await outer.release()
    assert not outer.opened
    assert threading.active_count() < 100


class TestLookingUp:
    async def test_it_does_not_wait_for_a_slow_call_of_the_program(self) -> None:
        go_on = threading.Event()
        slow = asyncio.create_task(database_sync_to_async(go_on.wait)(30))
        await until(lambda: threading.active_count() > 1)
        try:
            assert (await look_up(query)).vendor in {"sqlite", "postgresql"}
            assert not slow.done()
        finally:
            go_on.set()
            await slow

    async def test_a_few_run_at_once(self) -> None:
        barrier = threading.Barrier(4, timeout=30)
        threads = [threading.current_thread()]

        def meet(number: int) -> int:
            threads.append(threading.current_thread())
            barrier.wait()
            return number

        assert await asyncio.gather(*(look_up(meet, number) for number in range(8))) == [*range(8)]
        assert len(set(threads)) == 5

    async def test_a_setting_gives_the_number_of_threads(self, settings: Any) -> None:
        thread = await sync_to_async(threading.current_thread)()
        assert await look_up(threading.current_thread) is not thread
        settings.CHANNELS_LOOKUP_THREADS = 0
        assert await look_up(threading.current_thread) is thread
        settings.CHANNELS_LOOKUP_THREADS = 1
        meeting = threading.Barrier(2, timeout=0.1)
        calls = [look_up(meeting.wait) for _ in range(2)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(one, threading.BrokenBarrierError) for one in found)

    async def test_variables_go_into_the_thread_and_come_back(self) -> None:
        variable = ContextVar("variable", default="none")

        def exchange() -> str:
            found = variable.get()
            variable.set("from the thread")
            return found

        variable.set("from the task")
        assert await look_up(exchange) == "from the task"
        assert variable.get() == "from the thread"

    async def test_it_raises_what_the_function_raises(self) -> None:
        with pytest.raises(ValueError, match="invalid literal"):
            await look_up(int, "x")

    async def test_a_coroutine_runs_in_the_loop_that_waits(self) -> None:
        async def here() -> Any:
            return asyncio.get_running_loop()

        assert await look_up(async_to_sync(here)) is asyncio.get_running_loop()

    async def test_the_task_does_not_wait_for_the_thread_once_it_is_cancelled(self) -> None:
        begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            go_on.wait(30)
            ended.set()

        task = asyncio.create_task(look_up(work))
        await until(begun.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not ended.is_set()
        go_on.set()
        await until(ended.is_set)
        assert await look_up(int, "1") == 1

    async def test_a_cancelled_one_that_waits_for_a_thread_is_not_begun(self) -> None:
        go_on = threading.Event()
        called: list[bool] = []
        # As many as there are threads.
        others = [asyncio.create_task(look_up(go_on.wait, 30)) for _ in range(4)]
        task = asyncio.create_task(look_up(called.append, True))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        await asyncio.gather(*others)
        assert await look_up(int, "1") == 1
        assert called == []

    async def test_a_cancellation_reaches_what_the_function_waits_for(self) -> None:
        begun = asyncio.Event()

        async def wait() -> str:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "cancelled"
            raise AssertionError

        task = asyncio.create_task(look_up(async_to_sync(wait)))
        await begun.wait()
        task.cancel()
        assert await task == "cancelled"

    async def test_it_leaves_no_connection_open(self) -> None:
        assert (await look_up(query)).connection is None

    async def test_it_closes_what_the_program_has_left_open(self) -> None:
        left = await sync_to_async(query)()
        assert left.connection is not None
        await look_up(query)
        assert await sync_to_async(lambda: left.connection)() is None

    async def test_it_does_not_enter_the_thread_of_the_program_in_vain(self) -> None:
        await sync_to_async(query)()
        await look_up(query)  # this closes the connection there
        await sync_to_async(int)()
        with mock.patch.object(SyncToAsync.single_thread_executor, "submit") as submit:
            await look_up(query)
        submit.assert_not_called()

    async def test_it_comes_back_to_a_connection_that_may_stay_open(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setitem(connections.settings["default"], "CONN_MAX_AGE", None)
            left = await sync_to_async(query)()
        for _ in range(2):
            await look_up(query)
            assert await sync_to_async(lambda: left.connection)() is not None
        left.close_at = 0
        await look_up(query)
        assert await sync_to_async(lambda: left.connection)() is None

    async def test_at_the_end_of_the_interpreter_nothing_more_is_closed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ended = ThreadPoolExecutor(1)
        ended.shutdown()
        await sync_to_async(query)()
        with monkeypatch.context() as patch:
            patch.setattr(SyncToAsync, "single_thread_executor", ended)
            assert (await look_up(query)).connection is None
        await sync_to_async(connections.close_all)()

    def test_under_async_to_sync_it_sees_the_transaction_of_the_caller(self) -> None:
        with transaction.atomic():
            assert async_to_sync(look_up)(query) is connections["default"]
        assert async_to_sync(look_up)(threading.current_thread) is threading.current_thread()

    @pytest.mark.parametrize("name", [":memory:", "file:memorydb_default?mode=memory&cache=shared"])
    async def test_with_a_database_in_memory_it_runs_where_the_program_does(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        thread = await sync_to_async(threading.current_thread)()
        assert await look_up(threading.current_thread) is not thread
        monkeypatch.setitem(connections.settings["default"], "NAME", name)
        assert await look_up(threading.current_thread) is thread
