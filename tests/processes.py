"""Programs that tests start: where they listen, and how they end."""

import random
import signal
import socket
import subprocess
from typing import Any, Final

__all__ = ["SECONDS", "end", "free_port"]

#: A safety net, for a machine under load.
SECONDS: Final = 60


def free_port() -> int:
    """Return a port that nothing listens on at the moment.

    It is below the ports that systems give to clients, so none of them takes it while a server
    restarts.
    """
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def end(process: subprocess.Popen[Any], number: int = signal.SIGTERM) -> None:
    """End a process by a signal, and kill it if it does not end; return when it has ended."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
