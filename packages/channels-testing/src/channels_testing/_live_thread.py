"""Serve from a thread of the test's own process, by Daphne."""

import asyncio
import atexit
import threading
import warnings
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

from channels_testing._live_process import LiveServerError, process_class

__all__ = ["ServerThread"]

# A net: what runs there does not wait for anything.
_SECONDS: Final = 60


class _Reactor:
    """Twisted's reactor, which a process can run once: in a thread that all servers share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def call(self, step: Callable[[], Any], seconds: float = _SECONDS) -> Any:
        """Return what a coroutine function returns, run by the reactor's event loop."""
        return asyncio.run_coroutine_threadsafe(step(), self._started()).result(seconds)

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
        thread.join(_SECONDS)
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

    def start(self) -> None:
        """Return when it serves.

        Raises:
            LiveServerError: It cannot listen.
            ImportError: Daphne is not installed.
        """
        process_class()
        if self._setup is not None:
            self._setup()
        application = self._get_application()
        _reactor.call(partial(self._listen, application))
        if self._failures:
            self.terminate()
            raise LiveServerError(
                f"The live server cannot listen at {self.host}: {self._failures[0]}"
            )

    async def _listen(self, application: Any) -> None:
        from daphne.endpoints import build_endpoint_description_strings
        from daphne.server import Server

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
        """
        if self._server is not None:
            server, self._server = self._server, None
            _reactor.call(partial(self._end, server, seconds), seconds + _SECONDS)
            if self._teardown is not None:
                self._teardown()

    async def _end(self, server: Any, seconds: float) -> None:
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
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _nothing() -> None:
    """Stand where Daphne's server does what its process's end needs."""
