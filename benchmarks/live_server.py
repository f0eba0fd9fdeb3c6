"""Serve a site of a case on Uvicorn or Daphne, in the environment of its peer.

    python -m benchmarks.live_server CASE ROW PEER SERVER PORT PROCESSORS

ends when its standard input does. Each line that it reads is answered with its CPU seconds.
"""

import os
import sys
import time
from importlib import import_module
from threading import Thread
from typing import Any

from benchmarks.worker import module_of

__all__ = ["main"]


def answer() -> None:
    """Answer each line with the CPU seconds of this process; end it after the last one."""
    for _ in sys.stdin:
        print(time.process_time(), flush=True)
    os._exit(0)


def serve(application: Any, server: str, port: int) -> None:
    """Run the server until the process ends."""
    if server == "daphne":
        from daphne.server import Server

        endpoints = [f"tcp:port={port}:interface=127.0.0.1"]
        Server(application, endpoints=endpoints, signal_handlers=False).run()
    else:
        import uvicorn

        uvicorn.run(
            application,
            port=port,
            log_level="warning",
            access_log=False,
            # All connections of a test may wait to be accepted at once.
            backlog=4096,
        )


def main() -> None:
    """Serve."""
    case, row, peer, server, port, processors = sys.argv[1:]
    if processors and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(one) for one in processors.split(",")})
    Thread(target=answer, daemon=True).start()
    module = import_module(module_of(case))
    serve(module.SITES[peer](module.CASE.row(row)), server, int(port))


if __name__ == "__main__":
    main()
