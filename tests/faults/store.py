"""A Redis that can be stopped, started, frozen and killed, always at the same address."""

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis import Redis, exceptions
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from redis_server import find_program
from served import free_port

__all__ = ["Store"]

# A net, for a machine under load.
SECONDS = 60
_PAUSE = 0.02


class Store:
    """A context in which Redis runs, on a port of its own; a stop in order keeps what it has."""

    def __init__(self) -> None:
        """Find the program and a port."""
        self._program = find_program()
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self, *, empty: bool = False) -> None:
        """Return when it answers."""
        if empty:
            (self.folder / "dump.rdb").unlink(missing_ok=True)
        command = [self._program, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "3600 1", "--dir", str(self.folder)]
        command += ["--logfile", str(self.folder / "log")]
        self.process = subprocess.Popen(command, cwd=self.folder)
        self.ask("ping")

    def ask(self, *command: Any) -> Any:
        """Send a command as an operator would."""
        patient = Retry(ConstantBackoff(_PAUSE), int(SECONDS / _PAUSE))
        errors: list[type[Exception]] = [exceptions.ConnectionError, exceptions.BusyLoadingError]
        client = Redis(port=self.port, retry=patient, retry_on_error=errors, socket_timeout=SECONDS)
        try:
            run: Any = client.execute_command  # published without types
            return run(*command)
        finally:
            client.close()

    def count(self) -> dict[str, int]:
        """Return what could grow in it: keys, connections besides the one that asks."""
        clients = self.ask("client", "list")
        lines = clients if isinstance(clients, list) else clients.decode().splitlines()
        return {"keys": self.ask("dbsize"), "clients": len(lines) - 1}

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal that ends it, and return when it has ended."""
        self.process.send_signal(number)
        self.process.wait(SECONDS)

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(SECONDS)
        shutil.rmtree(self.folder)
