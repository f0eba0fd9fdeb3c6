"""The `runserver` command: Daphne's own, with more options, checks and clearer output.

Without Daphne, or without an ASGI application, Django's WSGI server runs instead. The class is
made when it is first used, since Daphne loads Twisted.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connections
from django.utils import autoreload

from channels_core.routing import get_default_application
from channels_core.typing import ASGIApplication
from channels_http import __version__
from channels_http._runserver.daphne_limits import add_limits, limits
from channels_http._runserver.daphne_server import make_server
from channels_http._runserver.tracebacks import one_traceback
from channels_http._runserver.wsgi import WsgiCommand, WsgiOnlyCommand
from channels_http.access_log import access_entry

__all__ = ["Command", "logger"]

logger: Final = logging.getLogger("django.channels.server")


class _AsgiCommand(WsgiCommand):
    """Our part of the command; Daphne's is the next base class (see `_make_command`)."""

    help = "Starts a web server for development, which speaks HTTP and WebSocket."

    if TYPE_CHECKING:
        server_cls: Any  # Daphne's `Server`, which has no types.
        # Set by Django's `handle`, from the options.
        addr: str
        port: str
        _raw_ipv6: bool

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options of Daphne's command, and one for each further limit of its server."""
        super().add_arguments(parser)
        add_limits(parser)

    def run(self, **options: Any) -> None:
        """Run the server, with the autoreloader unless it is switched off."""
        if options["use_asgi"]:
            # Here, where an error ends the command; the autoreloader would wait for a change.
            limits(self, options)
        super().run(**options)

    def inner_run(self, *args: Any, **options: Any) -> None:
        """Serve, in the process that the autoreloader restarts."""
        if not options.get("use_asgi", True):
            super().inner_run(*args, **options)
            return
        # An error of the start, which the autoreloader has kept until now.
        autoreload.raise_last_exception()
        self._check(options)
        # Imported here, since Daphne may not be installed.
        from daphne.endpoints import build_endpoint_description_strings

        server: Any = self.server_cls(
            application=self.get_application(options),
            endpoints=build_endpoint_description_strings(host=self.addr, port=int(self.port)),
            # Python handles signals in the main thread only, which the autoreloader uses.
            signal_handlers=not options["use_reloader"],
            action_logger=self.log_action,
            root_path=getattr(settings, "FORCE_SCRIPT_NAME", None) or "",
            ready_callable=lambda: self._announce(server),
            **limits(self, options),
        )
        shown = nullcontext() if options.get("traceback") else one_traceback()
        try:
            with shown:
                server.run()
        except KeyboardInterrupt:
            if message := options.get("shutdown_message"):
                self.stdout.write(message)
        if getattr(server, "abort_start", False):
            self._give_up(options)

    def _check(self, options: Mapping[str, Any]) -> None:
        if not options.get("skip_checks"):
            self.stdout.write("Performing system checks...\n\n")
            self.check(display_num_errors=True)
        self.check_migrations()
        # The checks used a connection of this thread, which will not use the database again.
        for connection in connections.all(initialized_only=True):
            connection.close()

    def _announce(self, server: Any) -> None:
        """Print the address, now that the server listens."""
        quit_command = "CTRL-BREAK" if sys.platform == "win32" else "CONTROL-C"
        self.stdout.write(
            # Local time, for the person at the terminal.
            f"{datetime.now():%B %d, %Y - %X}\n"  # noqa: DTZ005 - see above
            f"Django version {self.get_version()}, using settings {settings.SETTINGS_MODULE!r}\n"
            f"Starting ASGI/Channels version {_channels_version()} development server at "
            f"{self.protocol}://{self._address()}:{self._port(server)}/\n"
            f"Quit the server with {quit_command}."
        )
        # The output may be a pipe that is read while the server runs.
        self.stdout.flush()

    def _address(self) -> str:
        if self._raw_ipv6:
            return f"[{self.addr}]"
        return "0.0.0.0" if self.addr == "0" else self.addr  # noqa: S104 - as it was asked for

    def _port(self, server: Any) -> int:
        """Return the port; for port 0, the one that the system has chosen."""
        listening = getattr(server, "listening_addresses", None)
        return listening[0][1] if listening else int(self.port)

    def _give_up(self, options: Mapping[str, Any]) -> None:
        """End the program; the server has logged why it cannot listen."""
        self.stdout.flush()
        self.stderr.write(f"Error: cannot serve at {self._address()}:{self.port}.")
        if options["use_reloader"]:
            # An exit of this thread only would leave the autoreloader waiting for changes.
            os._exit(1)
        sys.exit(1)

    def get_application(self, options: dict[str, Any]) -> ASGIApplication:
        """Return the application of `ASGI_APPLICATION`; under `DEBUG`, with static files."""
        application = get_default_application()
        if self.serves_static(options):
            # Imported here, since only sites with static files need it.
            from channels_http.staticfiles import StaticFilesWrapper

            return StaticFilesWrapper(application)
        return application

    def log_action(self, protocol: str, action: str, details: Mapping[str, Any]) -> None:
        """Log an event of the server, in Django's colours."""
        entry = access_entry(protocol, action, details)
        if entry is not None:
            style = getattr(self.style, entry.style) if entry.style else str
            logger.log(entry.level, style(entry.message), entry.details)


def _channels_version() -> str:
    """Return the version of `channels`, which includes this package, or else our own."""
    try:
        # Imported by name: this package works without it.
        channels = import_module("channels")
    except ImportError:
        return __version__
    # A program's own package of that name may have no version.
    return getattr(channels, "__version__", __version__)


def _make_command() -> type[BaseCommand]:
    """Return the command's class; without Daphne, its substitute."""
    try:
        from daphne.management.commands.runserver import Command as DaphneCommand
    except ImportError as error:
        return type("Command", (WsgiOnlyCommand,), {"__module__": __name__, "why": str(error)})
    members = {"__module__": __name__, "server_cls": make_server(DaphneCommand.server_cls)}
    return type("Command", (_AsgiCommand, DaphneCommand), members)


if TYPE_CHECKING:

    class Command(_AsgiCommand):
        """The command `runserver`."""


def __getattr__(name: str) -> Any:
    """Make the command when it is first used, since Daphne loads Twisted."""
    if name != "Command":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, _make_command())
