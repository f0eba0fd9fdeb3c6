"""Serve a site under two tracers, and check that it works and that its spans arrive.

The site is `tests/programs/beacon`, with our wheels, in its own environment. It runs under
`ddtrace-run`, which patches imported modules, and then in OpenTelemetry's ASGI middleware. Both
times a client exchanges messages over real WebSockets. Nothing leaves the machine: ddtrace reports
to an agent in this process, and OpenTelemetry writes to a file.
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import msgpack
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Origin

from tools.build import build
from tools.env import programs
from tools.lock import TRACED
from tools.packages import PACKAGES, ROOT
from tools.test import environment

__all__ = ["Agent", "main", "missing", "serving"]

SITE: Final = ROOT / "tests" / "programs" / "beacon"
PATHS: Final = ("/ws/echo/", "/ws/sync/echo/")
MESSAGES: Final = ("one", "two", "three")
#: A safety net, in seconds: for the start, an answer, the spans, and the end.
LIMIT: Final = 60

#: The expected spans: name and resource, or name and kind.
DATADOG_SPANS: Final = frozenset(
    {("asgi.request", "GET hello/"), ("django.view", "beacon.views.hello")}
    | {
        (name, f"websocket {path}")
        for name in ("websocket.receive", "websocket.send")
        for path in PATHS
    }
)
OPENTELEMETRY_SPANS: Final = frozenset(
    {("GET /hello/", "SpanKind.SERVER")}
    | {(f"HTTP {path}", "SpanKind.SERVER") for path in PATHS}
    | {
        (f"HTTP {path} websocket {what}", "SpanKind.INTERNAL")
        for path in PATHS
        for what in ("receive", "send")
    }
)

# Runs under `ddtrace-run` in the site: its hook for `channels.routing` must wrap the real class.
HOOKED: Final = """
import sys, channels, beacon.asgi, channels.routing, channels_core.routing
assert channels.__file__.startswith(sys.prefix), channels.__file__
assert channels.routing.URLRouter is channels_core.routing.URLRouter
assert hasattr(channels.routing.URLRouter.__init__, "__wrapped__"), "the import hook did not run"
"""


class Agent:
    """The agent that ddtrace reports to, on a port of this machine.

    Attributes:
        spans: The name and the resource of each received span.
        address: Its URL.
    """

    def __init__(self) -> None:
        """Start to listen."""
        self.spans: set[tuple[str, str]] = set()
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer({"endpoints": ["/v0.4/traces"]})

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path == "/v0.4/traces":
                    traces = msgpack.unpackb(body, strict_map_key=False)
                    spans.update((span["name"], span["resource"]) for one in traces for span in one)
                self._answer({"rate_by_service": {}})

            do_POST = do_PUT  # noqa: N815 (ddtrace uses either)

            def _answer(self, content: object) -> None:
                body = json.dumps(content).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(command: list[str], variables: Mapping[str, str], log: Path) -> Iterator[int]:
    """Run a server of the site during the block; a failure shows its output.

    Args:
        command: The command, without the port.
        variables: Environment variables besides ours.
        log: The file for its output.

    Returns:
        Its port.
    """
    port = free_port()
    with log.open("w", encoding="utf-8") as output:
        server = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=SITE,
            env={**environment(), **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        if not _comes_true(lambda: _listens(port, server)):
            raise AssertionError("the server does not listen")
        yield port
        server.terminate()
        server.wait(LIMIT)
        said = log.read_text(encoding="utf-8")
        if "Traceback" in said or "ERROR" in said:
            raise AssertionError("the server logged an error")
    except (AssertionError, OSError, WebSocketException, subprocess.TimeoutExpired) as error:
        said = log.read_text(encoding="utf-8")
        sys.exit(f"{error.__class__.__name__}: {error}\n{' '.join(command)} said:\n{said}")
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def _listens(port: int, server: subprocess.Popen[bytes]) -> bool:
    if server.poll() is not None:
        raise AssertionError(f"the server ended with {server.returncode}")
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _comes_true(condition: Callable[[], bool]) -> bool:
    """Wait for a condition, and return whether it became true in time."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _visit(port: int) -> None:
    """Load the page and send messages over each WebSocket, as a visitor does."""
    origin = Origin(f"http://127.0.0.1:{port}")
    with urllib.request.urlopen(f"{origin}/hello/", timeout=LIMIT) as page:  # noqa: S310 (our own server)
        answer = page.read()
    if answer != b"hello, AnonymousUser":
        raise AssertionError(f"/hello/ answered {answer!r}")
    for path in PATHS:
        with connect(f"ws://127.0.0.1:{port}{path}", origin=origin, open_timeout=LIMIT) as client:
            for message in MESSAGES:
                client.send(message)
                echo = client.recv(timeout=LIMIT)
                if echo != message:
                    raise AssertionError(f"{path} answered {message!r} with {echo!r}")


def missing(expected: frozenset[tuple[str, str]], found: set[tuple[str, str]]) -> str:
    """Return which spans are missing and which exist, or an empty text if all exist."""
    absent = expected - found
    return f"missing spans {sorted(absent)}; received {sorted(found)}" if absent else ""


def _under_datadog(commands: Path, folder: Path) -> None:
    agent = Agent()
    variables = {
        "DD_TRACE_AGENT_URL": agent.address,
        "DD_TRACE_API_VERSION": "v0.4",
        # Report only spans, and only to this process.
        "DD_CRASHTRACKING_ENABLED": "false",
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_STARTUP_LOGS": "false",
    }
    run = [str(commands / "ddtrace-run")]
    _step([*run, str(commands / "python"), "-c", HOOKED], {**variables, "PYTHONPATH": str(SITE)})
    command = [*run, str(commands / "uvicorn"), "beacon.asgi_datadog:application"]
    try:
        with serving(command, variables, folder / "datadog.log") as port:
            _visit(port)
            # ddtrace sends them every second, but not when a signal ends Uvicorn. So wait here.
            if not _comes_true(lambda: not missing(DATADOG_SPANS, agent.spans)):
                raise AssertionError(missing(DATADOG_SPANS, {*agent.spans}))
    finally:
        agent.close()


def _under_opentelemetry(commands: Path, folder: Path) -> None:
    file = folder / "spans.jsonl"
    command = [str(commands / "uvicorn"), "beacon.asgi_opentelemetry:application"]
    with serving(command, {"BEACON_SPANS": str(file)}, folder / "opentelemetry.log") as port:
        _visit(port)
    spans: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    if lacks := missing(OPENTELEMETRY_SPANS, {(span["name"], span["kind"]) for span in spans}):
        sys.exit(f"OpenTelemetry: {lacks}")


def _step(command: list[str], variables: Mapping[str, str] | None = None) -> None:
    """Run a command, and exit with its output if it fails."""
    done = subprocess.run(
        command,
        env={**environment(), **(variables or {})},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"$ {' '.join(command)}\n{done.stdout}")


def _install(env: Path, folder: Path) -> None:
    """Create the environment from its pins and our wheels."""
    wheels = [str(build(package, folder)[1]) for package in PACKAGES]
    pip = [sys.executable, "-m", "pip", "--python", str(programs(env) / "python")]
    quick = ["--disable-pip-version-check", "install", "-q", "--no-compile", "--no-deps"]
    _step([sys.executable, "-m", "venv", "--without-pip", str(env)])
    _step([*pip, *quick, "--require-hashes", "-r", str(TRACED)])
    _step([*pip, *quick, "--no-index", *wheels])
    _step([*pip, "--disable-pip-version-check", "check"])


def main() -> None:
    """Serve the site under each tracer."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _install(folder / "env", folder / "wheels")
        commands = programs(folder / "env")
        _under_datadog(commands, folder)
        print(
            "served under ddtrace: all messages were answered, and their spans arrived", flush=True
        )
        _under_opentelemetry(commands, folder)
        print(
            "served under OpenTelemetry: all messages were answered, and their spans arrived",
            flush=True,
        )


if __name__ == "__main__":
    main()
