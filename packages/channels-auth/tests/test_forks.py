import asyncio
import os
import threading
from collections.abc import Callable

import pytest

from channels_auth._disconnection import announcements, disconnection
from channels_auth._disconnection.layer_reachability import LayerReachability


def exit_code_in_child(check: Callable[[], object]) -> int:
    child = os.fork()
    if not child:  # pragma: no cover - another process
        threading.Timer(10, os._exit, [1]).start()
        os._exit(0 if check() else 2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_what_a_parent_has_under_way_is_not_its_childs() -> None:
    socket = LayerReachability()
    socket.fails(OSError("away"))
    task = asyncio.create_task(asyncio.sleep(0))
    announcements._tasks.add(task)
    disconnection._endings.add(task)

    def under_way() -> object:
        return layer_reachability._cut_off or announcements._tasks or disconnection._endings

    assert exit_code_in_child(lambda: not under_way()) == 0
    assert under_way()
    await task
    announcements._tasks.discard(task)
    disconnection._endings.discard(task)
    socket.ends()
