"""A server process of the site, with its log and its state."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.request import ProxyHandler, Request, build_opener

from processes import SECONDS, end, free_port
from served import ROOT

__all__ = ["Server"]

COMMANDS: Final = {
    "uvicorn": ["-m", "uvicorn", "--port", "{port}", "--lifespan", "on", "faults.site:application"],
    "daphne": ["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "faults.site:application"],
}


class Server:
    """A context in which a server serves the site."""

    def __init__(self, name: str, *options: str, **env: str) -> None:
        """Take the name of the server, more options, and environment variables of the site."""
        self.name = name
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        command = [word.format(port=self.port) for word in COMMANDS[name]]
        self._command = [sys.executable, *command, *options]
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", **env}
        self._env["DJANGO_SETTINGS_MODULE"] = "faults.settings"

    def address(self, colour: str) -> str:
        return f"ws://{self.host}/{colour}/"

    def __enter__(self) -> Self:
        self._log = tempfile.NamedTemporaryFile(prefix=self.name)
        self.start()
        return self

    def start(self) -> None:
        """Start the server; `ready` waits until it answers."""
        self.process = subprocess.Popen(
            self._command,
            cwd=ROOT / "tests",
            env=self._env,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    async def ready(self) -> None:
        """Return when it answers."""
        while True:
            assert self.process.poll() is None, self.log()
            try:
                await self.state()
                return
            except OSError:
                await asyncio.sleep(0.05)

    def log(self) -> str:
        return Path(self._log.name).read_text()

    def told(self, since: int = 0) -> tuple[int, int]:
        """Return the numbers of log lines from WARNING up and of tracebacks since a position."""
        text = self.log()[since:]
        lines = re.findall(r"(?m)^(?:WARNING|ERROR|CRITICAL)\b", text)
        lines += re.findall(r"(?m)^\S+ \S+ (?:WARNING|ERROR|CRITICAL) ", text)
        return len(lines), text.count("Traceback (most recent call last)")

    async def state(self) -> dict[str, Any]:
        return await self._request("/state/")

    async def send(self, **asked: Any) -> dict[str, Any]:
        return await self._request("/send/", json.dumps(asked).encode())

    async def _request(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        def fetch() -> dict[str, Any]:
            request = Request(f"http://{self.host}{path}", body)
            with build_opener(ProxyHandler({})).open(request, timeout=SECONDS) as response:
                return dict(json.load(response))

        return await asyncio.to_thread(fetch)

    def kill(self) -> None:
        end(self.process, signal.SIGKILL)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        end(self.process)
        self._log.close()
