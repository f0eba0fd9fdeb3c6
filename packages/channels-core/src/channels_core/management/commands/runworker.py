"""The `runworker` command: handle the messages of named channels until a signal stops it."""

from __future__ import annotations

import argparse
import logging
from functools import partial
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import autoreload

from channels_core._settings import DEFAULT_CHANNEL_LAYER
from channels_core._worker.log_output import shown
from channels_core._worker.preflight import refused_name, unrouted
from channels_core._worker.signals import StopSignals
from channels_core.checks import check_worker_layer
from channels_core.exceptions import InvalidChannelLayerError, WorkerError
from channels_core.layers import channel_layers, get_channel_layer
from channels_core.routing import get_default_application
from channels_core.worker import Worker

__all__ = ["Command", "logger"]

logger: Final = logging.getLogger("django.channels.worker")

#: Seconds, besides those of grace, for the clean-up and for threads, which nothing can cancel.
_LONGEST_END: Final = 30.0


def _number(text: str, *, kind: type, least: int) -> Any:
    try:
        number = kind(text)
    except ValueError:
        number = least - 1
    if not number >= least:
        raise argparse.ArgumentTypeError(f"expected a number of at least {least}, got {text!r}")
    return number


class Command(BaseCommand):
    """Run a worker with the application of `ASGI_APPLICATION`."""

    help = "Handles the messages that are sent to the named channels."
    leave_locale_alone = True
    # `_run` makes the checks, below the autoreloader: a later change may correct what they find.
    requires_system_checks: tuple[str, ...] = ()
    worker_class = Worker

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the channels and the options."""
        super().add_arguments(parser)
        seconds = partial(_number, kind=float, least=0)
        parser.add_argument("channels", nargs="+", help="Names of the channels to listen to.")
        parser.add_argument(
            "--layer",
            default=DEFAULT_CHANNEL_LAYER,
            metavar="ALIAS",
            help="Alias of the channel layer in CHANNEL_LAYERS (default: %(default)s).",
        )
        parser.add_argument(
            "--concurrency",
            type=partial(_number, kind=int, least=1),
            default=10,
            metavar="N",
            help="Messages of each channel that are handled at the same time (default: "
            "%(default)s). With 1 they are handled one after the other, in their order.",
        )
        parser.add_argument(
            "--graceful-timeout",
            type=seconds,
            default=30,
            metavar="SECONDS",
            help="How long messages under way may take when the worker is told to stop "
            "(default: %(default)s).",
        )
        parser.add_argument(
            "--max-outage",
            type=seconds,
            default=60,
            metavar="SECONDS",
            help="How long the channel layer may fail before the worker gives up and ends with "
            "status 1 (default: %(default)s).",
        )
        parser.add_argument(
            "--autoreload",
            action="store_true",
            help="For development: start anew when the code changes. What runs is cut off then.",
        )
        parser.add_argument(
            "--skip-checks", action="store_true", help="Start without system checks."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the worker until SIGTERM or SIGINT.

        Raises:
            CommandError: The worker cannot start, or the layer failed for too long.
        """
        if options["autoreload"]:
            autoreload.run_with_reloader(self._run_again, **options)
        else:
            self._run(**options)

    def _run_again(self, **options: Any) -> None:
        autoreload.raise_last_exception()
        try:
            self._run(**options)
        except CommandError as error:
            # A change of the code starts it anew.
            self.stderr.write(f"{error}")

    def _run(self, **options: Any) -> None:
        # From here on: importing a large application takes a while.
        with StopSignals() as signals:
            channels, alias = list(dict.fromkeys(options["channels"])), options["layer"]
            if not options.get("skip_checks"):
                self._check(alias)
            layer = self._layer(alias)
            application = self._application()
            if problem := refused_name(layer, channels) or unrouted(application, channels):
                raise CommandError(problem)
            # The rest is set as attributes: the constructor of a subclass may take only these.
            worker = self.worker_class(
                application=application, channels=channels, channel_layer=layer
            )
            worker.concurrency = options["concurrency"]
            worker.graceful_timeout = options["graceful_timeout"]
            worker.max_outage = options["max_outage"]
            signals.then(worker.stop, within=worker.graceful_timeout + _LONGEST_END)
            place = (", ".join(channels), alias, worker.concurrency)
            # Only now: an imported module may have configured logging.
            with shown(logging.getLogger("django.channels")):
                logger.info("Worker listens on %s (layer %r, concurrency %s)", *place)
                try:
                    worker.run()
                except WorkerError as error:
                    raise CommandError(str(error)) from error
                logger.info("Worker stopped listening on %s (layer %r, concurrency %s)", *place)

    def _check(self, alias: str) -> None:
        self.check()
        for message in check_worker_layer(alias):
            if not message.is_silenced():
                self.stderr.write(str(message), self.style.WARNING)

    def _layer(self, alias: str) -> Any:
        try:
            layer = get_channel_layer(alias)
        except InvalidChannelLayerError as error:
            raise CommandError(": ".join([str(error), *getattr(error, "__notes__", ())])) from error
        except Exception as error:
            place = f"The channel layer {alias!r} cannot be built"
            raise CommandError(f"{place}: {type(error).__name__}: {error}") from error
        if layer is None:
            raise CommandError(
                f"There is no channel layer {alias!r} to listen to: CHANNEL_LAYERS has "
                f"{sorted(channel_layers.configs)}. Add it to that setting, with a BACKEND that "
                "several processes share, or choose another with --layer"
            )
        return layer

    def _application(self) -> Any:
        try:
            return get_default_application()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
