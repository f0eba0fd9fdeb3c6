import asyncio
import contextlib
import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from channels_core import _database_usage, _logging, forks
from channels_core._layers import memberships
from channels_core._routing.defaults import DjangoApplication
from channels_core._shutdown import open_connections
from channels_core._shutdown.draining import draining
from channels_core._worker.signals import StopSignals
from channels_core.forks import call_in_children, start_anew_in_children
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.layers import channel_layers
from fakes import LocalLayer, Server

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    # Newer Pythons warn when a process with threads is forked.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def holds_in_child(check: Callable[[], object]) -> bool:
    """Return whether a condition holds in a forked process, which ends after 10 seconds at most."""
    child = os.fork()
    if not child:  # pragma: no cover - another process
        threading.Timer(10, os._exit, [1]).start()
        with contextlib.suppress(BaseException):
            os._exit(0 if check() else 2)
        os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@contextlib.contextmanager
def held(lock: Any) -> Iterator[None]:
    """Have another thread hold a lock."""
    has_it, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            has_it.set()
            may_go.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert has_it.wait(20)
    yield
    may_go.set()
    thread.join()


class Thing:
    def __init__(self) -> None:
        self.times = 0

    def start_anew(self) -> None:
        self.times += 1


def test_a_function_is_called_in_each_child() -> None:
    calls: list[int] = []
    call_in_children(lambda: calls.append(os.getpid()))
    assert holds_in_child(lambda: calls == [os.getpid()])
    assert calls == []


def test_a_thing_starts_anew_in_each_child() -> None:
    thing = Thing()
    start_anew_in_children(thing, Thing.start_anew)
    assert holds_in_child(lambda: thing.times == 1)
    assert thing.times == 0
    # `os.fork` calls this in the child.
    forks._start_all_anew()
    assert thing.times == 1


def test_a_thing_is_not_kept() -> None:
    thing = Thing()
    start_anew_in_children(thing, Thing.start_anew)
    gone = weakref.ref(thing)
    del thing
    gc.collect()
    assert gone() is None


def test_a_child_can_build_layers_and_djangos_application() -> None:
    layer, django = LocalLayer(), DjangoApplication()
    with held(channel_layers._lock), held(django._lock):
        assert holds_in_child(lambda: channel_layers.set("a", layer) is None)
        assert holds_in_child(lambda: callable(django._make()))


class InGroup(AsyncWebsocketConsumer):
    groups = ["a"]


async def test_what_the_parent_serves_is_not_the_childs() -> None:
    channel_layers.set("default", LocalLayer())
    server = Server(InGroup.as_asgi())
    await server.connect()
    draining._loop = asyncio.get_running_loop()

    def serves() -> object:
        return memberships._loops or open_connections._tasks or draining._open or draining._loop

    assert serves()
    assert holds_in_child(lambda: not serves())
    assert serves()
    assert open_connections.connections_here()
    # `os.fork` calls these in the child.
    open_connections.open_connections.forget()
    draining.forget()
    assert not open_connections.connections_here()
    await server.leave()
    channel_layers.set("default", None)


async def test_connections_of_the_parents_threads_are_not_the_childs() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    kept = connections.create_connection("default")
    _database_usage._kept.add(weakref.ref(kept))
    _database_usage._closing.add(task)
    usage = _database_usage.DatabaseUsage()
    usage.begin()
    assert holds_in_child(
        lambda: (
            not (_database_usage._kept or _database_usage._closing or _database_usage._usage.get())
        )
    )
    assert _database_usage._kept
    token = _database_usage._usage.get()
    # `os.fork` calls this in the child.
    _database_usage._forget()
    assert not _database_usage._kept
    assert not _database_usage._closing
    _database_usage._usage.set(token)
    usage.end()
    await task


async def test_records_of_a_connection_of_the_parent_are_not_waited_for() -> None:
    _logging.collect_records()
    assert _logging._records.get() is not None
    assert holds_in_child(lambda: _logging._records.get() is None)


def test_a_child_of_a_worker_ends_by_a_signal() -> None:
    ready, tell = os.pipe()
    with StopSignals() as signals:
        signals.then(lambda: None, within=60)
        child = os.fork()
        if not child:  # pragma: no cover - another process
            threading.Timer(10, os._exit, [1]).start()
            os.write(tell, b"1")
            while True:
                signal.pause()
        assert os.read(ready, 1) == b"1"
        os.kill(child, signal.SIGTERM)
        status = os.waitpid(child, 0)[1]
        assert signal.getsignal(signal.SIGTERM) == signals._handle
    assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM
    os.close(ready)
    os.close(tell)
