"""Serve the example site with several processes: two servers, a worker and Redis between them.

Uvicorn listens on 127.0.0.1 at the port PORT (8000 by default), Daphne at the port after it. They
communicate through the Redis at REDIS_URL, or through a Redis that this program starts.
CHANNEL_LAYER=redis and CHANNEL_LAYER=redis-pubsub choose the layers of channels-redis instead.

First the site's database is created or migrated. Ctrl-C or SIGTERM ends the servers, the worker,
Redis, and then this program, with exit code 0. If one of the processes ends by itself, the others
are ended too, and the exit code is not 0.
"""

import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tools.demo import (
    HOST,
    SITE,
    answers,
    finish,
    read_port,
    require_free,
    require_modules,
    run,
    start,
    stop_event,
)

__all__ = ["main"]

TARGET: Final = "demo-redis"
LAYERS: Final = ("layers-redis", "redis", "redis-pubsub")
APPLICATION: Final = "chatsite.asgi:application"
#: The largest WebSocket message, in bytes; the consumers of the site refuse smaller ones.
MAX_SIZE: Final = "65536"
#: A safety net: it answers within milliseconds.
SECONDS_TO_START_REDIS: Final = 30

Processes = dict[str, subprocess.Popen[bytes]]


def main() -> int:
    """Serve until a signal arrives, and return the exit code."""
    stop = stop_event()
    port = read_port(os.environ.get("PORT") or "8000")
    if port == 65535:
        sys.exit("PORT must be at most 65534 here: the second server uses the port after it.")
    layer = os.environ.get("CHANNEL_LAYER") or LAYERS[0]
    if layer not in LAYERS:
        sys.exit(f"CHANNEL_LAYER must be one of {', '.join(LAYERS)} here, not {layer!r}.")
    package = "channels_layers_redis" if layer == LAYERS[0] else "channels_redis"
    require_modules("channels", package, "daphne", "uvicorn", target=TARGET)
    for number in (port, port + 1):
        require_free(number, target=TARGET)
    with ExitStack() as ends:
        processes: Processes = {}
        url = os.environ.get("REDIS_URL") or ends.enter_context(redis(stop, processes))
        env = {"CHANNEL_LAYER": layer, "REDIS_URL": url}
        code = run(stop, "manage.py", "migrate", "--verbosity", "0", env=env)
        if code or stop.is_set():
            return code
        for name, command in commands(port).items():
            processes[name] = start(sys.executable, *command, env=env)
            ends.callback(finish, processes[name])
        return watch(stop, processes, port, env)


def commands(port: int) -> dict[str, tuple[str, ...]]:
    """Return the arguments of each process in the order of their start; they end in reverse."""
    # A consumer sees a message only when it has arrived, so only a server can limit what arrives.
    daphne = ["--bind", HOST, "--port", str(port + 1)]
    daphne += ["--websocket-max-message-size", MAX_SIZE, "--websocket-max-frame-size", MAX_SIZE]
    uvicorn = ["--host", HOST, "--port", str(port), "--ws-max-size", MAX_SIZE]
    # Without this option, Uvicorn would wait for open streams without a limit.
    uvicorn += ["--timeout-graceful-shutdown", "5"]
    return {
        "The worker": ("manage.py", "runworker", "chat-stats"),
        "Daphne": ("-m", "daphne", *daphne, APPLICATION),
        "Uvicorn": ("-m", "uvicorn", "--lifespan", "on", *uvicorn, APPLICATION),
    }


@contextmanager
def redis(stop: threading.Event, processes: Processes) -> Iterator[str]:
    """Run Redis on a socket in a temporary folder, and yield its URL."""
    program = shutil.which("redis-server")
    if program is None:
        sys.exit(
            "redis-server is not installed (Debian: apt-get install redis-server; macOS: brew "
            f"install redis). Or name a running one: make {TARGET} "
            "REDIS_URL=redis://127.0.0.1:6379/0"
        )
    # Directly in the system's folder, because the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        address, log = Path(folder, "socket"), Path(folder, "log")
        options = ["--port", "0", "--unixsocket", str(address), "--unixsocketperm", "700"]
        options += ["--save", "", "--appendonly", "no", "--dir", folder, "--logfile", str(log)]
        process = processes["Redis"] = start(program, *options, env={})
        try:
            for _ in range(SECONDS_TO_START_REDIS * 20):
                if process.poll() is not None:
                    told = log.read_text() if log.exists() else ""
                    sys.exit(f"{told}Redis ended by itself, code {process.returncode}.")
                if stop.wait(0.05) or listens(address):
                    break
            else:
                sys.exit(f"Redis does not answer within {SECONDS_TO_START_REDIS} seconds.")
            yield f"unix://{address}"
        finally:
            finish(process)


def listens(address: Path) -> bool:
    """Return whether a server accepts connections at the socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(address)) == 0


def watch(stop: threading.Event, processes: Processes, port: int, env: dict[str, str]) -> int:
    """Wait for `stop`, or for the end of a process; return 0 or 1."""
    are_announced = False
    while not stop.wait(0.1):
        for name, process in processes.items():
            if process.poll() is not None:
                told = f"{name} ended by itself, code {process.returncode}. Ending the others too."
                print(told, file=sys.stderr, flush=True)
                return 1
        if not are_announced and answers(port) and answers(port + 1):
            print(greeting(port, env), flush=True)
            are_announced = True
    return 0


def greeting(port: int, env: dict[str, str]) -> str:
    """Return the addresses of the site, and what to try there."""
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in env.items())
    program, folder = shlex.quote(sys.executable), shlex.quote(str(SITE))
    return f"""
The chat is at http://{HOST}:{port}/ (Uvicorn) and http://{HOST}:{port + 1}/ (Daphne).
Cookies ignore ports, so a login at one address is valid at both. To log in as somebody else, use
http://localhost:{port}/ or http://localhost:{port + 1}/, where the browser keeps separate cookies.
To announce something in all rooms, from another shell:

    cd {folder} && {settings} {program} manage.py announce "Tea is ready"

Ctrl-C ends it all.
"""


if __name__ == "__main__":
    sys.exit(main())
