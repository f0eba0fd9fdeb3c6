import asyncio
import os
import threading
from collections.abc import Callable

import pytest

from channels_auth import disconnection
from channels_auth._disconnection import announcements, layer_reachability
from channels_auth._disconnection.layer_reachability import LayerReachability


def exit_code_in_child(check: Callable[[], object]) -> int:
    child = os.fork()
    if not child:  # pragma: no cover - another process
        threading.Timer(10, os._exit, [1]).start()
        os._exit(0 if check() else 2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_child_process_forgets_the_tasks_of_its_parent() -> None:
    socket = LayerReachability()
    socket.failed(OSError("away"))
    task = asyncio.create_task(asyncio.sleep(0))
    announcements._tasks.add(task)
    disconnection._ending_tasks.add(task)

    def under_way() -> object:
        return (
            layer_reachability._unreachable or announcements._tasks or disconnection._ending_tasks
        )

    assert exit_code_in_child(lambda: not under_way()) == 0
    assert under_way()
    await task
    announcements._tasks.discard(task)
    disconnection._ending_tasks.discard(task)
    socket.ended()
