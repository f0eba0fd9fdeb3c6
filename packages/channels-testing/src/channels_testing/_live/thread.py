"""Serve from a thread of the test's own process, by Daphne.

Twisted's reactor can run once in a process, so all live servers share one thread in which it runs
(`_Reactor`). Daphne's server expects to run and stop the reactor itself. A `ServerThread` therefore
uses Daphne's own hook `abort_start`, replaces the methods that would end all applications, and
closes the port, the connections and the applications itself.
"""

import asyncio
import atexit
import concurrent.futures
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from textwrap import indent
from types import SimpleNamespace
from typing import Any, Final

from channels_testing._live.process import LiveServerError, process_class

__all__ = ["ServerThread"]

# A safety net for steps that do not wait for anything.
_SECONDS: Final = 60

# Seconds within which a cancelled application ends, unless it ignores its cancellation, and within
# which the reactor has a turn to notice that.
_GRACE_SECONDS: Final = 2


class _Reactor:
    """Twisted's reactor, in the thread that all live servers share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, step: Callable[[], Coroutine[Any, Any, Any]]) -> concurrent.futures.Future[Any]:
        """Run a coroutine function in the reactor's event loop."""
        return asyncio.run_coroutine_threadsafe(step(), self._started())

    def stack(self) -> str:
        """Return the stack of the reactor's thread, as text."""
        thread: Any = self._thread
        frame = sys._current_frames().get(thread.ident)
        return "".join(traceback.format_stack(frame))

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                # Imported first, since it installs the reactor that runs on asyncio.
                import daphne.server  # noqa: F401 - imported for the reason above
                from twisted.internet import reactor as installed

                reactor: Any = installed  # its attributes are those of one of many classes
                running = threading.Event()
                reactor.callWhenRunning(running.set)
                self._thread = threading.Thread(
                    target=reactor.run,
                    kwargs={"installSignalHandlers": False},
                    name="channels-live-server",
                    daemon=True,
                )
                self._thread.start()
                running.wait(_SECONDS)
                self._loop = reactor._asyncioEventloop
                atexit.register(self._stop, reactor, self._thread)
            return self._loop

    def _stop(self, reactor: Any, thread: threading.Thread) -> None:
        reactor.callFromThread(reactor.stop)
        # An application that blocks the thread must not delay the end of the tests.
        thread.join(_GRACE_SECONDS)
        if not thread.is_alive():
            reactor._asyncioEventloop.close()


_reactor = _Reactor()


class ServerThread:
    """A server in a thread, with the interface of `daphne.testing.DaphneProcess`.

    Attributes:
        port: The port's number is its `value`.
    """

    def __init__(
        self,
        host: str,
        get_application: Callable[[], Any],
        kwargs: dict[str, Any] | None = None,
        setup: Callable[[], object] | None = None,
        teardown: Callable[[], object] | None = None,
        port: int | None = None,
    ) -> None:
        """Take the arguments of Daphne's process."""
        self.host = host
        self.port = SimpleNamespace(value=port or 0)
        self._get_application = get_application
        self._kwargs = kwargs or {}
        self._setup = setup
        self._teardown = teardown
        self._server: Any = None
        self._ports: list[Any] = []
        self._transports: list[Any] = []
        self._failures: list[str] = []

    def start(self, seconds: float = _SECONDS) -> None:
        """Start to serve, and return once the server listens.

        Args:
            seconds: How long it may take to listen. The application is made before that, in the
                caller's thread, where nothing can interrupt it.

        Raises:
            LiveServerError: It cannot listen.
            ImportError: Daphne is not installed.
        """
        process_class()
        if self._setup is not None:
            self._setup()
        application = self._get_application()
        listening = _reactor.begin(partial(self._listen, application))
        try:
            listening.result(seconds)
        except concurrent.futures.TimeoutError:
            listening.cancel()
            raise LiveServerError(
                f"The live server did not start in {seconds:g} seconds, since the thread that "
                f"all live servers share is busy:\n{indent(_reactor.stack(), '  ')}"
            ) from None
        if self._failures:
            self.terminate()
            raise LiveServerError(
                f"The live server cannot listen at {self.host}: {self._failures[0]}"
            )

    async def _listen(self, application: Any) -> None:
        from daphne.endpoints import build_endpoint_description_strings
        from daphne.server import Server

        # If `start` has given up, this task is cancelled here, before it listens.
        await asyncio.sleep(0)
        self._server = server = Server(
            application=application,
            endpoints=build_endpoint_description_strings(host=self.host, port=self.port.value),
            signal_handlers=False,
            **self._kwargs,
        )
        # run() then does everything but run the reactor, which is running already.
        server.abort_start = True
        server.listen_success = self._ports.append
        server.listen_error = lambda failure: self._failures.append(failure.getErrorMessage())
        server.kill_all_applications = _do_nothing
        # Twisted redirects the warnings of the whole process to its own log.
        show = warnings.showwarning
        try:
            server.run()
        finally:
            warnings.showwarning = show
        for port in self._ports:
            self.port.value = port.getHost().port
        build = server.http_factory.buildProtocol

        def build_and_record(address: Any) -> Any:
            protocol = build(address)
            connect = protocol.makeConnection

            def connect_and_record(transport: Any) -> None:
                self._transports.append(transport)
                connect(transport)

            protocol.makeConnection = connect_and_record
            return protocol

        server.http_factory.buildProtocol = build_and_record

    def terminate(self, seconds: float = 10) -> None:
        """Close the port and the connections, and return once their applications have ended.

        Args:
            seconds: How long the applications may take before they are cancelled.

        Raises:
            LiveServerError: An application goes on after it was cancelled, or blocks the server's
                thread; the text says where. The port is closed in any case.
        """
        if self._server is not None:
            server, self._server = self._server, None
            ending = _reactor.begin(partial(self._end, server, seconds))
            try:
                # `_end` waits twice for the applications, and needs a turn before and one after.
                late = ending.result(seconds + 2 * _GRACE_SECONDS)
            except concurrent.futures.TimeoutError:
                self._close_ports()
                late = f"something blocks the thread that it serves from:\n{_reactor.stack()}"
            finally:
                if self._teardown is not None:
                    self._teardown()
            if late:
                raise LiveServerError(
                    f"The live server did not end in {seconds:g} seconds and a little more, since "
                    f"{indent(late, '  ').lstrip()}"
                )

    def _close_ports(self) -> None:
        """Refuse new connections; callable while the reactor's thread is blocked."""
        for port in self._ports:
            with suppress(OSError):  # Some systems do not shut listening sockets down.
                port.socket.shutdown(socket.SHUT_RDWR)

    async def _end(self, server: Any, seconds: float) -> str:
        """End the server; return a text about applications that do not end, which may be empty."""
        from twisted.internet import reactor
        from twisted.internet.task import deferLater

        # These check the connections every second, and schedule themselves again each time.
        server.application_checker = server.timeout_checker = _do_nothing
        for port in self._ports:
            await port.stopListening().asFuture(asyncio.get_running_loop())
        for transport in self._transports:
            transport.abortConnection()
        # The transports notify the applications in the reactor's next turn.
        await deferLater(reactor, 0).asFuture(asyncio.get_running_loop())
        started = (one.get("application_instance") for one in server.connections.values())
        tasks = [task for task in started if task is not None]
        late = await _unfinished(tasks, seconds)
        for task in late:
            task.cancel()
        late = await _unfinished(late, _GRACE_SECONDS)
        # Retrieves their exceptions, or else asyncio logs that they were never retrieved.
        await asyncio.gather(*(set(tasks) - late), return_exceptions=True)
        return "\n".join(map(_where_it_waits, late))


async def _unfinished(
    tasks: Collection[asyncio.Task[Any]], seconds: float
) -> set[asyncio.Task[Any]]:
    return (await asyncio.wait(tasks, timeout=seconds))[1] if tasks else set()


def _where_it_waits(task: asyncio.Task[Any]) -> str:
    stack = "".join(traceback.format_list(traceback.StackSummary.extract(_frames(task.get_coro()))))
    return f"{task.get_name()} goes on although it has been cancelled, and waits at:\n{stack}"


def _frames(waiting: Any) -> Iterator[tuple[Any, int]]:
    while (frame := getattr(waiting, "cr_frame", None)) is not None:
        yield frame, frame.f_lineno
        waiting = waiting.cr_await


def _do_nothing() -> None:
    """Do nothing, in the place of methods with which Daphne's server ends its process."""
