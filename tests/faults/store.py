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
    """A context in which Redis runs, on a port of its own."""

    def __init__(self, *, keeps: bool = True) -> None:
        """Choose whether what is stored survives a stop in order."""
        self._program = find_program()
        self._keeps = keeps
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Return when it answers."""
        save = ["--save", "3600 1"] if self._keeps else ["--save", ""]
        command = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", *save]
        command += ["--dir", str(self.folder), "--logfile", str(self.folder / "log")]
        self.process = subprocess.Popen(command, cwd=self.folder)
        self.ask("ping")

    def ask(self, *command: Any) -> Any:
        """Send a command as an operator would."""
        patient = Retry(ConstantBackoff(_PAUSE), int(SECONDS / _PAUSE))
        errors: list[type[Exception]] = [exceptions.ConnectionError, exceptions.BusyLoadingError]
        client = Redis(port=self.port, retry=patient, retry_on_error=errors, socket_timeout=SECONDS)
        try:
            return client.execute_command(*command)
        finally:
            client.close()

    def count(self) -> dict[str, int]:
        """Return what could grow in it: keys, connections besides the one that asks."""
        clients = self.ask("client", "list")
        lines = clients if isinstance(clients, list) else clients.decode().splitlines()
        return {"keys": self.ask("dbsize"), "clients": len(lines) - 1}

    def signal(self, number: int) -> None:
        """Send a signal, and wait for the end if it is one that ends it."""
        self.process.send_signal(number)
        if number not in (signal.SIGSTOP, signal.SIGCONT):
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
