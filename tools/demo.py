"""Serve the example site with `runserver` on 127.0.0.1, at the port PORT (8000 by default).

First the site's database is created or migrated. Ctrl-C or SIGTERM ends the server and then this
program, with exit code 0.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

__all__ = [
    "HOST",
    "SITE",
    "answers",
    "finish",
    "main",
    "read_port",
    "require_free",
    "require_modules",
    "run",
    "start",
    "stop_event",
]

HOST: Final = "127.0.0.1"
SITE: Final = Path(__file__).resolve().parent.parent / "examples" / "chat"
#: What a terminal sends when it is closed. Windows does not have it.
HANG_UP: Final[signal.Signals | None] = getattr(signal, "SIGHUP", None)
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, *([HANG_UP] if HANG_UP else []))
# Longer than the server and the site need to close a connection whose client does not respond.
SECONDS_TO_STOP: Final = 20


def main() -> int:
    """Serve until a signal arrives, and return the exit code."""
    stop = stop_event()
    port = read_port(os.environ.get("PORT") or "8000")
    require_modules("channels", "daphne", target="demo")
    require_free(port, target="demo")
    # One process serves, so the memory layer is right whatever the environment says.
    layer = {"CHANNEL_LAYER": "memory"}
    if (code := run(stop, "manage.py", "migrate", "--verbosity", "0", env=layer)) or stop.is_set():
        return code
    # Without the autoreloader: it serves from a second process and kills that process to stop, so
    # consumers could not clean up.
    command = ("manage.py", "runserver", "--noreload", f"{HOST}:{port}")
    return run(stop, *command, env=layer, port=port)


def stop_event() -> threading.Event:
    """Return an event that is set when a signal tells this program to end."""
    stop = threading.Event()
    for number in STOP_SIGNALS:
        # Under nohup, SIGHUP must stay ignored.
        if number != HANG_UP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())
    return stop


def require_modules(*names: str, target: str) -> None:
    """Exit with the command to run if a module is not installed."""
    for name in names:
        if find_spec(name) is None:
            sys.exit(f"{name} is not installed for {sys.executable}: run `make {target}`.")


def read_port(text: str) -> int:
    """Return the port as a number, or exit with an explanation."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535):
        sys.exit(f"PORT must be a whole number from 1 to 65535, not {text!r}.")
    return int(text[:6])


def require_free(port: int, *, target: str) -> None:
    """Exit with the reason if a server cannot listen on the port."""
    with socket.socket() as probe:
        # As the server does: a connection that was just closed does not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError as error:
            advice = f"Free it, or choose another one: make {target} PORT={port % 65535 + 1}"
            sys.exit(f"Port {port} of {HOST} cannot be used ({error.strerror}). {advice}")


def start(*command: str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program in the folder of the site, with additional environment variables."""
    return subprocess.Popen(
        command,
        cwd=SITE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "chatsite.settings", **env},
        # In a process group of its own, so that Ctrl-C reaches only this program, which then ends
        # the other one. Otherwise the other one would get the signal twice.
        process_group=0,
    )


def run(
    stop: threading.Event, *arguments: str, env: Mapping[str, str], port: int | None = None
) -> int:
    """Run Python in the folder of the site until it ends or `stop` is set; return the exit code.

    With a port, print the site's address as soon as the server accepts connections there.
    """
    process = start(sys.executable, *arguments, env=env)
    unannounced = port
    try:
        while process.poll() is None and not stop.wait(0.1):
            if unannounced is not None and answers(unannounced):
                print(f"The chat is at http://{HOST}:{port}/ - Ctrl-C ends it.", flush=True)
                unannounced = None
        if stop.is_set():
            return 0
        if port is not None:
            print(f"The server ended by itself, code {process.returncode}.", file=sys.stderr)
            return process.returncode or 1
        return process.returncode
    finally:
        finish(process)


def answers(port: int) -> bool:
    """Return whether a server accepts connections; runserver loads the site before it does."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def finish(process: subprocess.Popen[bytes]) -> None:
    """End a process: terminate it, and kill it if it does not end in time."""
    process.terminate()
    try:
        process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
