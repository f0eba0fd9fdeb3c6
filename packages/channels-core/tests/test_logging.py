import asyncio
import gc
import io
import logging
import multiprocessing
import threading
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import django
import pytest
from django.core import mail
from django.db import connection
from django.test import override_settings

from channels_core import _logging
from channels_core._logging import (
    LOGGERS,
    collect_records,
    log_repeated,
    records_handled,
)
from channels_core.routing import ProtocolTypeRouter
from channels_core.typing import Receive, Scope, Send

logger = logging.getLogger("django.channels.consumer")
trace: ContextVar[str] = ContextVar("trace", default="none")


class Slow(logging.Handler):
    """Blocks like a handler that sends mail, until the test lets it go on."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.may_go_on = threading.Event()
        self.seen: list[str] = []
        self.threads: set[int | None] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.may_go_on.wait(20)
        self.threads.add(threading.current_thread().ident)
        self.seen.append(f"{record.getMessage()} {trace.get()}")


def _waits() -> bool:
    """Return whether the thread got a record of this connection."""
    records = _logging._records.get()
    return records is not None and records.last is not None


@pytest.fixture
def slow() -> Iterator[Slow]:
    handler = Slow()
    logger.addHandler(handler)
    yield handler
    handler.may_go_on.set()
    logger.removeHandler(handler)
    assert _logging._thread.pool.wait(20)


async def test_a_handler_that_may_block_runs_in_a_thread(slow: Slow) -> None:
    collect_records()
    trace.set("of this connection")
    logger.error("first")
    logger.error("second")
    waiting = asyncio.create_task(records_handled())
    await asyncio.sleep(0.02)
    assert not waiting.done()
    assert slow.seen == []
    slow.may_go_on.set()
    await waiting
    assert slow.seen == ["first of this connection", "second of this connection"]
    assert slow.threads.isdisjoint({threading.current_thread().ident})
    # Nothing is left to wait for.
    await records_handled()


async def test_what_it_does_not_take_is_handled_at_once(
    slow: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    logger.warning("small")
    assert caplog.messages == ["small"]


async def test_without_a_connection_nobody_waits(slow: Slow) -> None:
    logger.error("alone")
    await records_handled()
    assert slow.seen == []


async def test_a_connection_within_another_shares_its_records(slow: Slow) -> None:
    collect_records()
    outer = _logging._records.get()
    collect_records()
    assert _logging._records.get() is outer
    await records_handled()


async def test_the_wait_is_bounded(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_logging, "_LONGEST", 0.01)
    collect_records()
    logger.error("stuck")
    await records_handled()
    assert slow.seen == []


async def test_a_connection_ends_when_the_records_of_its_application_are_handled(
    slow: Slow,
) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        logger.error("from the application")

    async def nothing(*_: object) -> Any:
        raise AssertionError

    router = ProtocolTypeRouter({"websocket": application})
    serving = asyncio.create_task(router({"type": "websocket"}, nothing, nothing))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not serving.done()
    slow.may_go_on.set()
    await serving
    assert len(slow.seen) == 1


def test_a_loop_that_is_closed_meanwhile_is_left_alone(
    slow: Slow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_logging, "_LONGEST", 0.01)

    async def connection() -> None:
        collect_records()
        logger.error("stuck")
        await records_handled()

    asyncio.run(connection())
    slow.may_go_on.set()
    assert _logging._thread.pool.wait(20)
    assert caplog.messages == ["stuck"]


def test_outside_of_a_loop_it_runs_where_it_is_called(slow: Slow) -> None:
    slow.may_go_on.set()
    logger.error("plain")
    assert slow.threads == {threading.current_thread().ident}


async def test_filters_of_a_program_see_a_record_once(slow: Slow) -> None:
    seen: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        seen.append(record.msg)
        return True

    slow.may_go_on.set()
    logger.addFilter(keep)
    try:
        collect_records()
        logger.error("once")
        await records_handled()
    finally:
        logger.removeFilter(keep)
    assert seen == ["once"]


async def test_quick_handlers_are_used_at_once() -> None:
    stream = io.StringIO()
    handlers = [logging.StreamHandler(stream), logging.NullHandler()]
    for handler in handlers:
        logger.addHandler(handler)
    try:
        logger.error("there")
        assert stream.getvalue() == "there\n"
    finally:
        for handler in handlers:
            logger.removeHandler(handler)


async def test_mail_to_admins_is_sent_by_the_thread() -> None:
    # By the handler of Django's default settings.
    collect_records()
    logger.error("quiet")
    # Without an address it is handled at once.
    assert not _waits()
    # Django 5.2 takes pairs, and later series warn of them; Django 6.1 warns without MAILERS.
    admins = ["a@example.com"] if django.VERSION >= (6,) else [("a", "a@example.com")]
    mailers = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
    with override_settings(ADMINS=admins, MAILERS=mailers):
        logger.error("loud")
        assert _waits()
        await records_handled()
    assert [message.subject for message in mail.outbox] == ["[Django] ERROR: loud"]


async def test_a_handler_that_raises_stops_nothing(
    slow: Slow, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(record: logging.LogRecord) -> bool:
        raise LookupError("no handler")

    monkeypatch.setattr(slow, "handle", fail)
    collect_records()
    logger.error("broken")
    await records_handled()
    assert "LookupError: no handler" in capsys.readouterr().err


@pytest.mark.django_db(transaction=True)
async def test_a_connection_to_the_database_is_closed(slow: Slow) -> None:
    closed: list[str] = []

    def emit(record: logging.LogRecord) -> None:
        connection.connect()
        connection.close_if_unusable_or_obsolete = lambda: closed.append("now")  # type: ignore[method-assign] # to see it

    slow.emit = emit  # type: ignore[method-assign] # a handler of a program
    collect_records()
    logger.error("kept in a table")
    await records_handled()
    await asyncio.to_thread(_logging._thread.pool.wait, 20)
    assert closed == ["now"]
    await asyncio.wrap_future(_logging._thread.pool.submit(_close))


def test_assert_logs_and_caplog_find_what_was_logged(caplog: pytest.LogCaptureFixture) -> None:
    import unittest

    case = unittest.TestCase()

    async def connection() -> None:
        with case.assertLogs("django.channels", "ERROR") as found:
            logger.error("seen")
            assert found.output == ["ERROR:django.channels.consumer:seen"]
        logger.error("seen too")
        assert caplog.messages == ["seen too"]

    asyncio.run(connection())


def test_each_logger_has_one_filter_and_it_is_the_first() -> None:
    for name in LOGGERS:
        filters = logging.getLogger(name).filters
        assert [isinstance(each, _logging._OutOfTheLoop) for each in filters].index(True) == 0
        assert sum(isinstance(each, _logging._OutOfTheLoop) for each in filters) == 1


def _close() -> None:
    # The connection of the thread that calls.
    connection.close()


def _log_in_child(pipe: Any) -> None:
    async def connection() -> None:
        collect_records()
        logger.error("child")
        await records_handled()

    handler = Slow()
    handler.may_go_on.set()
    logger.handlers = [handler]
    asyncio.run(connection())
    pipe.send(handler.seen)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_process_has_a_thread_of_its_own(slow: Slow) -> None:
    slow.may_go_on.set()

    async def connection() -> None:
        logger.error("parent")

    asyncio.run(connection())
    assert _logging._thread.pool.wait(20)
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_log_in_child, args=(theirs,))
    child.start()
    assert ours.poll(20)
    assert ours.recv() == ["child none"]
    child.join(20)


class TestRepeated:
    async def test_it_is_logged_once_and_then_with_a_count(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_logging, "_PERIOD", 0.02)
        for _ in range(10):
            log_repeated(logger, logging.ERROR, (Slow, "a"), "%s is lost", "a")
        log_repeated(logger, logging.ERROR, (Slow, "b"), "%s is lost", "b")
        assert caplog.messages == ["a is lost", "b is lost"]
        assert caplog.records[0].funcName.startswith("test_it_is_logged_once")
        await asyncio.sleep(0.06)
        assert caplog.messages[2:] == ["a is lost (9 more times within a minute)"]
        log_repeated(logger, logging.ERROR, (Slow, "a"), "%s is lost", "a")
        assert caplog.messages[3:] == ["a is lost"]

    def test_each_event_loop_begins_anew(self, caplog: pytest.LogCaptureFixture) -> None:
        async def once() -> "weakref.ref[Any]":
            log_repeated(logger, logging.ERROR, (Slow, "a"), "lost")
            return weakref.ref(asyncio.get_running_loop())

        loops = [asyncio.run(once()), asyncio.run(once())]
        gc.collect()
        assert caplog.messages == ["lost", "lost"]
        assert [loop() for loop in loops] == [None, None]

    async def test_many_kinds_of_one_source_are_counted_together(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_logging, "_PERIOD", 0.02)
        monkeypatch.setattr(_logging, "_MOST_KINDS", 2)
        for number in range(5):
            log_repeated(logger, logging.ERROR, (Slow, number), "%s is lost", number)
        log_repeated(logger, logging.ERROR, (str, 0), "another source")
        assert caplog.messages == ["0 is lost", "1 is lost", "2 is lost", "another source"]
        await asyncio.sleep(0.06)
        assert caplog.messages[4:] == ["2 is lost (2 others within a minute)"]
        log_repeated(logger, logging.ERROR, (Slow, 9), "%s is lost", 9)
        assert caplog.messages[5:] == ["9 is lost"]
