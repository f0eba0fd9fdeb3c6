"""Test a site through a real server: with a browser, or with a client for WebSockets."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.exceptions import ImproperlyConfigured
from django.test import TransactionTestCase, modify_settings

from channels_core.routing import get_default_application
from channels_core.typing import ASGIApplication
from channels_testing._live import databases, process
from channels_testing._live.process import LiveServerError
from channels_testing._live.thread import ServerThread

if TYPE_CHECKING:
    ValueT = TypeVar("ValueT")

    class classproperty(Generic[ValueT]):  # noqa: N801 - Django's, which has no types of its own
        def __init__(self, method: Callable[[Any], ValueT]) -> None: ...
        def __get__(self, instance: object, owner: type | None = None) -> ValueT: ...

else:
    from django.utils.functional import classproperty

__all__ = [
    "ChannelsLiveServerTestCase",
    "LiveServerError",
    "make_application",
    "set_database_connection",
]


def __getattr__(name: str) -> Any:
    # Programs import it from here. Not at import, since only this needs Daphne.
    if name == "DaphneProcess":
        return process.process_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def make_application(*, static_wrapper: Callable[[Any], Any] | None) -> ASGIApplication:
    """Return the application that the setting `ASGI_APPLICATION` names.

    Args:
        static_wrapper: Takes the application, and returns one that also serves static files.

    Raises:
        ImproperlyConfigured: The setting is missing, or the application cannot be imported.
    """
    application: ASGIApplication = get_default_application()
    return application if static_wrapper is None else static_wrapper(application)


def set_database_connection() -> None:
    """Let the connections of this process use the databases of the tests.

    The server's process calls it before it serves. In other processes it uses the setting
    `TEST["NAME"]` of each alias that has one.
    """
    databases.use_test_databases()


class ChannelsLiveServerTestCase(TransactionTestCase):
    """Run the site's ASGI application in Daphne while the tests of the class run.

    Like Django's `LiveServerTestCase`, but with WebSockets. The server runs in a process of its
    own. Once it has started, it does not see changes that the tests make in their memory, and its
    databases must not be in memory. With `serve_in_thread` it runs in the test's process, with the
    same settings and databases at all times.

    Attributes:
        host: The host where the server listens, and the host of the URLs.
        port: The port where it listens; 0 for a port that the operating system chooses.
        serve_static: Whether static files are served, if `STATIC_URL` is set.
        static_wrapper: Takes the application, and returns one that also serves static files.
        ProtocolServerProcess: The class of the process: `daphne.testing.DaphneProcess`, or another
            subclass of `multiprocessing.Process` with the same interface. It is called with the
            host, a function that makes the application in the process, `setup` to call there before
            it serves, and `port` if that is not 0. Its `port.value` is the port, and its event
            `ready` is set once it serves. It may have a queue `errors` with pairs of an exception
            and its traceback.
        serve_in_thread: Whether to serve from a thread of the test's process.
        start_method: How the process is started: `fork`, `forkserver`, `spawn`, or None for the
            method that is set in `multiprocessing`, by default the platform's own.
        startup_timeout: Seconds that the process may take until it serves. With a thread: seconds
            until it listens, after the application was imported in the thread of the tests, where
            nothing can interrupt it.
        shutdown_timeout: Seconds that the process may take to end before it is killed. With a
            thread: seconds that the applications may take before they are cancelled; if they still
            do not end, the class fails with a `LiveServerError`.
    """

    host: ClassVar[str] = "localhost"
    port: ClassVar[int] = 0
    serve_static: ClassVar[bool] = True
    static_wrapper: ClassVar[Callable[[Any], Any]] = ASGIStaticFilesHandler
    serve_in_thread: ClassVar[bool] = False
    start_method: ClassVar[str | None] = None
    startup_timeout: ClassVar[float] = 60
    shutdown_timeout: ClassVar[float] = 10

    _server_process: ClassVar[Any] = None

    @classproperty
    def ProtocolServerProcess(cls) -> Any:  # noqa: N802, N805 - its known name; of a class
        """Return the class of the server's process.

        Raises:
            ImportError: Daphne is not installed.
        """
        return process.process_class()

    @classproperty
    def DaphneProcess(cls) -> Any:  # noqa: N802, N805 - its known name; of a class
        """Return the class of the server process that Daphne has for tests.

        Raises:
            ImportError: Daphne is not installed.
        """
        return process.process_class()

    @classproperty
    def live_server_url(cls) -> str:  # noqa: N805 - it is of a class
        """Return the URL of the site, without a slash at its end."""
        return f"http://{cls._netloc()}"

    @classproperty
    def live_server_ws_url(cls) -> str:  # noqa: N805 - it is of a class
        """Return the URL of the site for WebSockets, without a slash at its end."""
        return f"ws://{cls._netloc()}"

    @classproperty
    def allowed_host(cls) -> str:  # noqa: N805 - it is of a class
        """Return the host that is added to the setting `ALLOWED_HOSTS`."""
        return f"[{cls.host.strip('[]')}]" if ":" in cls.host else cls.host

    @classproperty
    def _port(cls) -> int:  # noqa: N805 - it is of a class
        """Return the port of the server; programs read it under this name."""
        return cls._served_port()

    @classmethod
    def _served_port(cls) -> int:
        if cls._server_process is None:
            raise RuntimeError(f"The live server of {cls.__name__} does not run")
        port: int = cls._server_process.port.value
        return port

    @classmethod
    def _netloc(cls) -> str:
        host = f"[{cls.host.strip('[]')}]" if ":" in cls.host else cls.host
        return f"{host}:{cls._served_port()}"

    @classmethod
    def setUpClass(cls) -> None:
        """Start the server.

        Raises:
            LiveServerError: The server does not start; the text says why.
            ImproperlyConfigured: A database is in memory, and the server in another process; or
                the class has a `ProtocolServerProcess`, and the server is in a thread.
            ImportError: Daphne is not installed.
        """
        super().setUpClass()
        cls.enterClassContext(modify_settings(ALLOWED_HOSTS={"append": cls.allowed_host}))
        cls.addClassCleanup(cls._stop_server)
        cls._start_server()

    @classmethod
    def tearDownClass(cls) -> None:
        """Stop the server.

        Raises:
            LiveServerError: The server is in a thread, and an application does not end.
        """
        try:
            cls._stop_server()
        finally:
            super().tearDownClass()

    @classmethod
    def _start_server(cls) -> None:
        wrapper = cls.static_wrapper if cls.serve_static and settings.STATIC_URL else None
        get_application = partial(make_application, static_wrapper=wrapper)
        # Django's set-up has replaced "__all__" by the aliases.
        aliases = frozenset(cls.databases)
        if cls.serve_in_thread:
            if cls.ProtocolServerProcess is not process.process_class():
                raise ImproperlyConfigured(
                    f"{cls.__name__} has both a ProtocolServerProcess and serve_in_thread = True, "
                    "which does not use a process: remove one of the two"
                )
            cls.enterClassContext(databases.shared(aliases))
            cls._server_process = ServerThread(cls.host, get_application, port=cls.port)
            cls._server_process.start(cls.startup_timeout)
        else:
            databases.refuse_in_memory(aliases, cls.__name__)
            cls._server_process = process.start(
                cls.ProtocolServerProcess,
                host=cls.host,
                port=cls.port,
                get_application=get_application,
                setup=set_database_connection,
                databases=aliases,
                case=cls.__name__,
                start_method=cls.start_method,
                seconds=cls.startup_timeout,
            )

    @classmethod
    def _stop_server(cls) -> None:
        server, cls._server_process = cls._server_process, None
        if isinstance(server, ServerThread):
            server.terminate(cls.shutdown_timeout)
        elif server is not None:
            process.stop(server, seconds=cls.shutdown_timeout)
