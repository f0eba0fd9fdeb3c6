"""Uvicorn, changed to set signal handlers on its event loop, as Granian and Hypercorn do."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.config import Config


class LoopServer(uvicorn.Server):
    """Receives signals by `loop.add_signal_handler`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


if __name__ == "__main__":
    port, application = sys.argv[-2:]
    LoopServer(Config(application, port=int(port), lifespan="on")).run()
