"""The attacked site on a real server, with a client beside it whom no attack may disturb."""

import json
import os
import re
import sys
import threading
import time
from contextlib import closing
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any, Final

from raw_client import PATIENCE, TEXT, RawClient, frame, upgrade
from served import ROOT, Served

__all__ = ["COMMANDS", "Attacked"]

PYTHON: Final = [sys.executable, "-m"]
APPLICATION: Final = "attacked_site:application"
#: The clients of these tests do not answer pings.
PING_INTERVAL: Final = "3600"
#: Commands without their address, and what each server prints when it is ready.
COMMANDS: Final = {
    "uvicorn": (
        [*PYTHON, "uvicorn", APPLICATION, "--ws-ping-interval", PING_INTERVAL, "--port"],
        "Uvicorn running on ",
    ),
    "daphne": (
        [*PYTHON, "daphne", APPLICATION, "--ping-interval", PING_INTERVAL, "-p"],
        "Listening on TCP address ",
    ),
    # In its main process, and so with HTTP/2 without TLS.
    "hypercorn": (
        [*PYTHON, "hypercorn", APPLICATION, "--workers", "0", "--bind"],
        "Running on ",
    ),
}

#: How long one turn of the event loop may compute, in seconds of CPU time. A turn takes some
#: milliseconds at most; what is worse than linear takes many seconds for the inputs of these tests.
LONGEST_TURN: Final = 1.0


def tracebacks(said: str) -> list[str]:
    """Return the tracebacks in a log, but not those of servers about their own reading."""
    # A traceback lasts until a line that has no space at its start, which names the exception.
    found = re.findall(r"(?m)^.*Traceback \(most recent call last\):\n(?:\s.*\n)*.*", said)
    return [each for each in found if re.search(r"/channels_\w+/|attacked_site", each)]


class Attacked(Served):
    """A server with the attacked site.

    A bystander is connected all the time. `check` fails if an attack has disturbed it, has left
    something behind, has held up the event loop, or has made the server log an exception.
    """

    def __init__(self, server: str, folder: Path) -> None:
        """Prepare one of the servers, with its database in the folder."""
        command, announces = COMMANDS[server]

        def with_port(port: int) -> list[str]:
            return [*command, f"127.0.0.1:{port}" if server == "hypercorn" else str(port)]

        env = {
            **os.environ,
            "ATTACKED_DATABASE": str(folder / "db.sqlite3"),
            "PYTHONUNBUFFERED": "1",
            # Deprecation warnings of servers do not concern us.
            "PYTHONWARNINGS": "ignore",
        }
        super().__init__(server, with_port, env, announces, ROOT / "tests")
        self._marks = count()
        self._checked = 0
        self._longest = 0.0
        # Hypercorn keeps tasks of its own for each connection for some seconds.
        self._kept = ("channels", "groups") + (() if server == "hypercorn" else ("tasks",))

    def start(self) -> None:
        """Start it, read its output, and connect the bystander."""
        super().start()
        # Nothing else reads the output while a flood fills the pipe.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.bystander = self.websocket("/echo/")
        self.usual = self.state()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)

    def stop(self, number: int = 15) -> int:
        """End it, and return the exit code."""
        self.bystander.close()
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.returncode

    def client(self, data: bytes = b"", **options: Any) -> RawClient:
        """Return a client that has written this."""
        client = RawClient(self.port, **options)
        client.send(data)
        return client

    def websocket(self, path: str, *lines: str | bytes, **options: Any) -> RawClient:
        """Return a client whose handshake was accepted."""
        client = self.client(upgrade(self.host, path, *lines), **options)
        assert client.status() == 101
        return client

    def handshake(self, path: str, *lines: str | bytes, **options: Any) -> int | None:
        """Return the status of the answer to a handshake, or None if there is no answer."""
        with self.client(upgrade(self.host, path, *lines, **options)) as client:
            return client.status()

    def request(self, *lines: str | bytes, body: bytes = b"") -> tuple[int | None, bytes]:
        """Return the status and the rest of the answer to a request, which is written as it is."""
        data = b"\r\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
        with self.client(data + b"\r\n\r\n" + body) as client:
            return client.status(), client.rest()

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Return the status, the headers and the body of an ordinary request."""
        with closing(HTTPConnection(self.host, timeout=PATIENCE)) as connection:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()

    def session(self) -> str:
        """Log in, and return the cookie."""
        _, headers, _ = self.get("/log-in/?as=anna")
        return headers["Set-Cookie"].partition(";")[0]

    def state(self) -> dict[str, Any]:
        """Return how the site is, when all it has logged so far has arrived here."""
        mark = f"n={next(self._marks)}."
        state: dict[str, Any] = json.loads(self.get(f"/state/?{mark}")[2])
        until = time.monotonic() + PATIENCE
        while not any(f"mark {mark}" in line for line in self.output[self._checked :]):
            assert time.monotonic() < until, "the log does not arrive"
            time.sleep(0.005)
        return state

    def news(self) -> str:
        """Return what the server has written since the last check."""
        self.state()
        return "".join(self.output[self._checked :])

    def _settled(self) -> dict[str, Any]:
        """Return the first state with nothing left behind, or the last one that was seen."""
        until = time.monotonic() + PATIENCE / 2
        while True:
            state = self.state()
            if (
                all(state[name] <= self.usual[name] for name in self._kept)
                or time.monotonic() > until
            ):
                return state
            self._longest = max(self._longest, state["longest"])
            time.sleep(0.02)

    def check(self) -> None:
        """Fail if the attack since the last check had an effect on others, or left anything."""
        self._longest = 0.0
        state = self._settled()
        said = "".join(self.output[self._checked :])
        self._checked = len(self.output)
        for name in self._kept:
            assert state[name] <= self.usual[name], f"{name} were left: {state}"
        assert not tracebacks(said), tracebacks(said)
        assert " 500 " not in said, said
        longest = max(self._longest, state["longest"])
        assert longest < LONGEST_TURN, f"the loop was held up for {longest:.1f} s"
        assert self.bystander.send(frame(TEXT, b'"still here"'))
        assert self.bystander.text() == '"still here"'
