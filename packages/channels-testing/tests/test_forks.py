import os
import threading

import pytest

from channels_testing._application import connections as connections_module


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_holds_connections_while_its_parent_does() -> None:
    with connections_module._kept_open._lock:
        child = os.fork()
        if not child:  # pragma: no cover - another process
            threading.Timer(10, os._exit, [1]).start()
            connections_module._kept_open.hold([])
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
