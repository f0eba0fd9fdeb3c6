"""Programs that serve the example site, as processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from processes import free_port

__all__ = [
    "FIRST_SITE",
    "ROOT",
    "SITE",
    "Served",
    "demo",
    "demo_redis",
    "environment",
    "one_of_several",
    "uvicorn",
]

ROOT: Final = Path(__file__).resolve().parent.parent
SITE: Final = ROOT / "examples" / "chat"
#: The chat that the tutorial builds, without accounts.
FIRST_SITE: Final = ROOT / "examples" / "first_chat"

#: The environment variables that the site reads besides CHAT_...
OTHERS: Final = ("CHANNEL_LAYER", "DJANGO_SETTINGS_MODULE", "REDIS_URL")


def environment(database: Path, **settings: object) -> dict[str, str]:
    """Return this process's environment without settings of the site, and with its own database.

    Settings are passed in lower case and without the prefix CHAT_: `feed_seconds=1`.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in OTHERS and not name.startswith("CHAT_")
    }
    given = {f"CHAT_{name.upper()}": str(value) for name, value in settings.items()}
    return inherited | given | {"CHAT_DATABASE": str(database), "PYTHONUNBUFFERED": "1"}


class Served:
    """A context in which a server program runs, always at the same address."""

    def __init__(
        self,
        server: str,
        command: Callable[[int], list[str]],
        env: dict[str, str],
        announces: str,
        site: Path = SITE,
    ) -> None:
        """Take the server's name, its command, and the text that it prints when it is ready."""
        self.server = server
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.origin = f"http://{self.host}"
        self.output: list[str] = []
        self._command = command(self.port)
        self._site = site
        self.env = env | {"PORT": str(self.port)}
        self._announces = announces

    def start(self) -> None:
        """Start it, and return when it is ready."""
        self.process = subprocess.Popen(
            self._command,
            cwd=self._site,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._seen = begin = len(self.output)
        self.wait_for(self._announces)
        # A client may come before the server's own announcement does.
        self._seen = begin

    def wait_for(self, text: str) -> None:
        """Return when a line of its output since the last call contains the text."""
        for line in self._lines():
            self._seen += 1
            if text in line:
                return
        self.process.communicate()
        raise AssertionError(f"it ended without {text!r}: {''.join(self.output)}")

    def _lines(self) -> Iterator[str]:
        """Yield the lines of its output that no call has looked at, as they come."""
        yield from self.output[self._seen :]
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            yield line

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate()
        self.output.append(rest)
        return self.process.returncode

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.returncode is None:
            self.stop()


def demo(folder: Path, **settings: object) -> Served:
    """Return `tools/demo.py`, with its database in the folder."""
    command = [sys.executable, str(ROOT / "tools" / "demo.py")]
    env = environment(folder / "db.sqlite3", **settings)
    return Served("daphne", lambda port: command, env, "The chat is at ")


def uvicorn(folder: Path, site: Path = SITE, **settings: object) -> Served:
    """Return Uvicorn with a site, with its database in the folder."""
    command = [sys.executable, "-m", "uvicorn", "--lifespan", "on", "chatsite.asgi:application"]
    # Otherwise it would wait for the last stream of events to end.
    command += ["--timeout-graceful-shutdown", "1"]
    env = environment(folder / "db.sqlite3", **settings)
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=site, env=env, check=True
    )
    announces = "Uvicorn running on "
    return Served("uvicorn", lambda port: [*command, "--port", str(port)], env, announces, site)


def demo_redis(folder: Path, **variables: str) -> Served:
    """Return `tools.demo_redis`, which starts a Redis unless `variables` names one."""
    command = [sys.executable, "-m", "tools.demo_redis"]
    env = environment(folder / "db.sqlite3") | variables
    return Served("uvicorn", lambda port: command, env, "Ctrl-C ends it all.", ROOT)


def one_of_several(program: str, folder: Path, **variables: str) -> Served:
    """Return one of several processes of the site, with the database in the folder.

    Args:
        program: `uvicorn`, `daphne`, or `worker`.
        folder: The folder of the database, which must exist.
        variables: Environment variables, such as CHANNEL_LAYER and REDIS_URL.
    """
    application = "chatsite.asgi:application"

    def command(port: int) -> list[str]:
        given = {
            "uvicorn": ["-m", "uvicorn", "--lifespan", "on", "--timeout-graceful-shutdown", "1"],
            "daphne": ["-m", "daphne"],
            "worker": ["manage.py", "runworker", "chat-stats"],
        }[program]
        where = [] if program == "worker" else ["--port", str(port), application]
        return [sys.executable, *given, *where]

    announces = {
        "uvicorn": "Uvicorn running on ",
        "daphne": "Listening on TCP address ",
        "worker": "Worker listens on chat-stats ",
    }
    env = environment(folder / "db.sqlite3") | variables
    return Served(program, command, env, announces[program])
