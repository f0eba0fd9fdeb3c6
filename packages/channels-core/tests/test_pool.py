import gc
import threading
import weakref
from concurrent.futures import Future
from typing import Any

import pytest

from channels_core._pool import BoundedPool, drain


def test_calls_run_in_at_most_so_many_threads() -> None:
    pool = BoundedPool(2, "test")
    meeting = threading.Barrier(2)

    def work() -> str:
        meeting.wait(20)
        return threading.current_thread().name

    names = [pool.submit(work).result for _ in range(20)]
    assert {name(20) for name in names} == {"test_1", "test_2"}
    pool.shutdown()


def test_a_thread_that_is_free_is_used_again() -> None:
    pool = BoundedPool(5, "test")
    first = pool.submit(threading.current_thread)
    assert pool.wait(20)
    second = pool.submit(threading.current_thread)
    # A thread says that it is free just after its call has ended.
    assert {first.result(20).name, second.result(20).name} <= {"test_1", "test_2"}
    pool.shutdown(wait=False)


def test_exceptions_and_cancelled_calls() -> None:
    pool = BoundedPool(1, "test")
    go_on = threading.Event()

    def fail() -> None:
        raise LookupError("no")

    blocking = pool.submit(go_on.wait, 20)
    cancelled: Future[Any] = pool.submit(fail)
    failing = pool.submit(fail)
    assert cancelled.cancel()
    assert pool.wait(0) is False
    assert drain(0) is False
    go_on.set()
    assert blocking.result(20) is True
    with pytest.raises(LookupError, match="no"):
        failing.result(20)
    pool.shutdown()


def test_a_pool_may_run_calls_that_were_cancelled_while_they_waited() -> None:
    pool = BoundedPool(1, "test", keeps=True)
    go_on = threading.Event()
    pool.submit(go_on.wait, 20)
    waiting = pool.submit(threading.current_thread)
    assert not waiting.cancel()
    go_on.set()
    assert waiting.result(20).name == "test_1"
    pool.shutdown()


def test_a_pool_that_is_shut_ends_its_threads_and_still_takes_calls() -> None:
    pool = BoundedPool(1, "test")
    go_on = threading.Event()
    first = pool.submit(threading.current_thread)
    assert pool.wait(20)
    pool.submit(go_on.wait, 20)
    pool.shutdown(wait=False)
    waiting = pool.submit(threading.current_thread)
    go_on.set()
    assert waiting.result(20) is first.result(20)
    first.result(20).join(20)
    assert not first.result(20).is_alive()
    assert pool.submit(threading.current_thread).result(20) is not first.result(20)
    pool.shutdown()


def test_threads_are_daemons_and_hold_nothing_of_a_call() -> None:
    class Payload:
        def touch(self) -> bool:
            return threading.current_thread().daemon

    pool = BoundedPool(1, "test")
    payload = Payload()
    seen = weakref.ref(payload)
    assert pool.submit(payload.touch).result(20)
    assert pool.wait(20)
    del payload
    gc.collect()
    assert seen() is None
    pool.shutdown()
