import os
import threading

import pytest

from channels_http.handlers import AsgiHandler, _middleware


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_loads_middleware_while_its_parent_does() -> None:
    has_it, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with _middleware._lock:
            has_it.set()
            may_go.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert has_it.wait(20)
    child = os.fork()
    if not child:  # pragma: no cover - another process
        threading.Timer(10, os._exit, [1]).start()
        AsgiHandler()
        os._exit(0)
    may_go.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
