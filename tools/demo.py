"""Serve the example site with `runserver` on 127.0.0.1, at the port PORT (8000 by default).

The site's database is made or brought up to date first. Ctrl-C, or a SIGTERM, ends the server and
then this program, with exit code 0.
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
# More than a server and the site take together where a client does not let go.
SECONDS_TO_STOP: Final = 20


def main() -> int:
    """Serve until told to stop, and return the exit code."""
    stop = stop_event()
    port = read_port(os.environ.get("PORT") or "8000")
    require_modules("channels", "daphne", target="demo")
    require_free(port, target="demo")
    # It is one process that serves, whatever else the environment is set up for.
    layer = {"CHANNEL_LAYER": "memory"}
    if (code := run(stop, "manage.py", "migrate", "--verbosity", "0", env=layer)) or stop.is_set():
        return code
    # Without its autoreloader, which serves from a second process and kills that to stop it: no
    # consumer would come to its end.
    command = ("manage.py", "runserver", "--noreload", f"{HOST}:{port}")
    return run(stop, *command, env=layer, port=port)


def stop_event() -> threading.Event:
    """Return what is set as soon as this program is told to end."""
    stop = threading.Event()
    for number in STOP_SIGNALS:
        # Under nohup, SIGHUP must stay ignored.
        if number != HANG_UP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())
    return stop


def require_modules(*names: str, target: str) -> None:
    """End with what to run where something is not installed."""
    for name in names:
        if find_spec(name) is None:
            sys.exit(f"{name} is not installed for {sys.executable}: run `make {target}`.")


def read_port(text: str) -> int:
    """Return the number of the port, or end with what is wrong with it."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535):
        sys.exit(f"PORT is a whole number from 1 to 65535, not {text!r}.")
    return int(text[:6])


def require_free(port: int, *, target: str) -> None:
    """End with the reason where nothing can be served at the port."""
    with socket.socket() as probe:
        # Like the server: a connection that was closed a moment ago does not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError as error:
            advice = f"Free it, or choose another one: make {target} PORT={port % 65535 + 1}"
            sys.exit(f"Port {port} of {HOST} cannot be used ({error.strerror}). {advice}")


def start(*command: str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program in the folder of the site, with more in its environment."""
    return subprocess.Popen(
        command,
        cwd=SITE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "chatsite.settings", **env},
        # Out of the terminal's foreground: Ctrl-C reaches this program alone, which then ends the
        # other one in order. Otherwise both would be told, and the other one twice.
        process_group=0,
    )


def run(
    stop: threading.Event, *arguments: str, env: Mapping[str, str], port: int | None = None
) -> int:
    """Run Python in the folder of the site until it ends or is to stop, and return the exit code.

    With a port, print the site's address as soon as it answers there.
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
    """Tell whether somebody takes connections; runserver has loaded the site before it does."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def finish(process: subprocess.Popen[bytes]) -> None:
    """Leave no child behind: ask it to end, and make it end where it does not."""
    process.terminate()
    try:
        process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
