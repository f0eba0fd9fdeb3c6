"""Django's own development server, for a site that has no ASGI application."""

from __future__ import annotations

from typing import Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, CommandParser
from django.core.management.commands.runserver import Command as RunserverCommand

__all__ = ["WsgiCommand", "WsgiOnlyCommand"]


class WsgiCommand(RunserverCommand):
    """Run Django's WSGI server if ASGI is switched off, or the site has no ASGI application."""

    _lacks_application = False

    def handle(self, *args: Any, **options: Any) -> None:
        """Choose the server, and run it."""
        if options["use_asgi"] and not getattr(settings, "ASGI_APPLICATION", None):
            self._lacks_application = True
            options["use_asgi"] = False
        super().handle(*args, **options)

    def inner_run(self, *args: Any, **options: Any) -> None:
        """Run Django's server, in the process that serves."""
        if self._lacks_application:
            self.stdout.write(
                self.style.WARNING(
                    "ASGI_APPLICATION is not set, so this is Django's WSGI server, which serves no "
                    "WebSockets. Set it to the dotted path of the site's ASGI application, such "
                    'as "mysite.asgi.application"; --noasgi says that none is wanted.'
                )
            )
        super().inner_run(*args, **options)

    def get_handler(self, *args: Any, **options: Any) -> Any:
        """Return the WSGI application, with static files in front of it as in Django."""
        handler = super().get_handler(*args, **options)
        if self.serves_static(options):
            # Imported here, since only sites with static files need it.
            from django.contrib.staticfiles.handlers import StaticFilesHandler

            return StaticFilesHandler(handler)
        return handler

    def serves_static(self, options: dict[str, Any]) -> bool:
        """Return whether static files are served: under `DEBUG`, or with `--insecure`."""
        installed = apps.is_installed("django.contrib.staticfiles")
        wanted = options.get("use_static_handler", installed)
        return bool(wanted and (settings.DEBUG or options.get("insecure_serving", False)))


class WsgiOnlyCommand(WsgiCommand):
    """The command if Daphne is not installed.

    Attributes:
        why: The message of the error that importing Daphne raised.
    """

    why: ClassVar[str] = "it is not installed"

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options by which Daphne's command runs Django's server."""
        super().add_arguments(parser)
        parser.add_argument(
            "--noasgi",
            action="store_false",
            dest="use_asgi",
            help="Run Django's WSGI server.",
        )
        if apps.is_installed("django.contrib.staticfiles"):
            parser.add_argument(
                "--nostatic",
                action="store_false",
                dest="use_static_handler",
                help="Do not serve static files.",
            )
            parser.add_argument(
                "--insecure",
                action="store_true",
                dest="insecure_serving",
                help="Serve static files even if DEBUG is off.",
            )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run Django's server, or explain how to get the ASGI server.

        Raises:
            CommandError: The site has an ASGI application.
        """
        if options["use_asgi"] and getattr(settings, "ASGI_APPLICATION", None):
            raise CommandError(
                "To serve ASGI_APPLICATION, runserver needs Daphne, which cannot be imported "
                f"({self.why}). Install it: python -m pip install 'channels-http[daphne]'. Or run "
                "another ASGI server, or Django's WSGI server with --noasgi."
            )
        super().handle(*args, **options)
