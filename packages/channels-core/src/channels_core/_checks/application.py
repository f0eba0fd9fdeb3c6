"""System checks: the application of the site, with its consumers and origin validators."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django.conf import settings
from django.core import checks

from channels_core._checks.groups import check_groups
from channels_core._checks.handlers import check_handlers
from channels_core._checks.imports import is_of_database, place, reason, watched
from channels_core._checks.origins import check_openness, check_patterns
from channels_core.documentation import see
from channels_core.inspection import consumer_of, walk
from channels_core.routing import get_default_application

__all__ = ["check_application", "check_origins"]


def check_application() -> list[checks.CheckMessage]:
    """Check the setting, and the applications inside: see `channels_core.checks`."""
    name = getattr(settings, "ASGI_APPLICATION", None)
    if not name:
        return [
            checks.Warning(
                "ASGI_APPLICATION is not set, so runserver serves no WebSockets and runworker has "
                "nothing to run.",
                hint="Set it to the dotted path of the site's application, for example "
                "'mysite.asgi.application'. " + see("System checks", "The application"),
                id="channels_core.W001",
            )
        ]
    try:
        application = watched(get_default_application)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a program's module may raise any
        return [_unusable(name, error)]
    applications = _applications(application)
    found = (consumer_of(each) for each in applications)
    consumers = dict.fromkeys(each for each in found if each is not None)
    return [
        *(message for each in applications for message in check_patterns(each)),
        *(
            message
            for consumer in consumers
            for message in (*check_groups(consumer), *check_handlers(consumer))
        ),
    ]


def check_origins() -> list[checks.CheckMessage]:
    """Check each `OriginValidator`: see `channels_core.checks`."""
    try:
        application = watched(get_default_application)
    except (Exception, SystemExit):  # noqa: BLE001 - `check_application` reports it
        return []
    found = (message for each in _applications(application) for message in check_openness(each))
    return [*islice(found, 1)]


def _applications(application: Any) -> list[Any]:
    """Return an application and all inside it; each once, however many routes lead to it."""
    return list({id(place.application): place.application for place in walk(application)}.values())


def _unusable(name: object, error: BaseException) -> checks.CheckMessage:
    fault = f"ASGI_APPLICATION {name!r} cannot be used: {reason(error)}{place(error)}."
    if is_of_database(error):
        # Not an error: that would also stop `migrate`, which makes the tables.
        return checks.Warning(
            fault,
            hint="If its tables are not there yet, run migrate. No module should need them to be "
            "imported: ask the database when a connection is served. "
            + see("System checks", "The application"),
            id="channels_core.W002",
        )
    return checks.Error(
        fault,
        hint="Correct the setting, or the module that it names. "
        + see("System checks", "The application"),
        id="channels_core.E003",
    )
