"""Serve from a thread of the test's own process, by Daphne."""

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

# A net: what runs there does not wait for anything.
_SECONDS: Final = 60

# In which those end that mind their cancellation, and in which the reactor has a turn to see so.
_GRACE_SECONDS: Final = 2


class _Reactor:
    """Twisted's reactor, which a process can run once: in a thread that all servers share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, step: Callable[[], Coroutine[Any, Any, Any]]) -> concurrent.futures.Future[Any]:
        """Let the reactor's event loop run a coroutine function."""
        return asyncio.run_coroutine_threadsafe(step(), self._started())

    def stack(self) -> str:
        """Return where the reactor's thread is."""
        thread: Any = self._thread
        frame = sys._current_frames().get(thread.ident)
        return "".join(traceback.format_stack(frame))

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                # First, since it installs the reactor that runs on asyncio.
                import daphne.server  # noqa: F401 - see the comment
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
        # An application that blocks it must not hold up the end of the tests.
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
        """Take what Daphne's process does."""
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
        """Return when it serves.

        Args:
            seconds: How long it may take to listen. The application is made before, in the
                caller's thread, which nothing can interrupt.

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

        # Where nobody waits for it any more, this is where it is cancelled.
        await asyncio.sleep(0)
        self._server = server = Server(
            application=application,
            endpoints=build_endpoint_description_strings(host=self.host, port=self.port.value),
            signal_handlers=False,
            **self._kwargs,
        )
        # It then does all but to run the reactor, which runs already and goes on afterwards.
        server.abort_start = True
        server.listen_success = self._ports.append
        server.listen_error = lambda failure: self._failures.append(failure.getErrorMessage())
        server.kill_all_applications = _nothing
        # Twisted would take the warnings of all of the process for its own log.
        show = warnings.showwarning
        try:
            server.run()
        finally:
            warnings.showwarning = show
        for port in self._ports:
            self.port.value = port.getHost().port
        build = server.http_factory.buildProtocol

        def build_and_note(address: Any) -> Any:
            protocol = build(address)
            connect = protocol.makeConnection

            def connect_and_note(transport: Any) -> None:
                self._transports.append(transport)
                connect(transport)

            protocol.makeConnection = connect_and_note
            return protocol

        server.http_factory.buildProtocol = build_and_note

    def terminate(self, seconds: float = 10) -> None:
        """Close the port and the connections, and return when their applications have ended.

        Args:
            seconds: How long these may take; they are cancelled then.

        Raises:
            LiveServerError: They run all the same, or one of them blocks the server's thread; the
                text says where they are. The port is closed in any case.
        """
        if self._server is not None:
            server, self._server = self._server, None
            ending = _reactor.begin(partial(self._end, server, seconds))
            try:
                # A turn before and one after the two times that the applications are waited for.
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
        """Let nobody connect any more, from another thread than the reactor's."""
        for port in self._ports:
            with suppress(OSError):  # Where that is not for sockets that listen.
                port.socket.shutdown(socket.SHUT_RDWR)

    async def _end(self, server: Any, seconds: float) -> str:
        """Return what prevents the end, or nothing."""
        from twisted.internet import reactor
        from twisted.internet.task import deferLater

        # It looks after the connections every second, for as long as these call themselves.
        server.application_checker = server.timeout_checker = _nothing
        for port in self._ports:
            await port.stopListening().asFuture(asyncio.get_running_loop())
        for transport in self._transports:
            transport.abortConnection()
        # The transports tell the applications in the reactor's next round.
        await deferLater(reactor, 0).asFuture(asyncio.get_running_loop())
        started = (one.get("application_instance") for one in server.connections.values())
        tasks = [task for task in started if task is not None]
        late = await _unfinished(tasks, seconds)
        for task in late:
            task.cancel()
        late = await _unfinished(late, _GRACE_SECONDS)
        # What they raise is not of interest, and is not to be logged as if nobody had seen it.
        await asyncio.gather(*(set(tasks) - late), return_exceptions=True)
        return "\n".join(map(_explain, late))


async def _unfinished(
    tasks: Collection[asyncio.Task[Any]], seconds: float
) -> set[asyncio.Task[Any]]:
    return (await asyncio.wait(tasks, timeout=seconds))[1] if tasks else set()


def _explain(task: asyncio.Task[Any]) -> str:
    stack = "".join(traceback.format_list(traceback.StackSummary.extract(_frames(task.get_coro()))))
    return f"{task.get_name()} goes on although it has been cancelled, and waits at:\n{stack}"


def _frames(waiting: Any) -> Iterator[tuple[Any, int]]:
    while (frame := getattr(waiting, "cr_frame", None)) is not None:
        yield frame, frame.f_lineno
        waiting = waiting.cr_await


def _nothing() -> None:
    """Stand where Daphne's server does what its process's end needs."""
