import os
import threading

import pytest

from channels_layers_memory._layer.dropped_messages import DroppedMessages
from channels_layers_memory._layer.store import Store
from fakes import Clock, Fixed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_waits_for_no_thread_of_its_parent() -> None:
    store, drops = Store(Fixed(), Clock()), DroppedMessages(Clock())
    store.put("mail", {"n": 1})
    with store._lock, drops._lock:
        child = os.fork()
        if not child:  # pragma: no cover - another process
            threading.Timer(5, os._exit, [1]).start()
            store.put("mail", {"n": 2})
            drops.add("room", 1)
            os._exit(0 if len(store._backlogs.kept["mail"]) == 1 else 2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("thing", [Store(Fixed(), Clock()), DroppedMessages(Clock())])
def test_start_anew_takes_another_lock(thing: Store | DroppedMessages) -> None:
    lock = thing._lock
    thing.start_anew()
    assert thing._lock is not lock
