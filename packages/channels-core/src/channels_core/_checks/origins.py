"""System checks: the patterns of an `OriginValidator` match some origins, and not all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from channels_core.documentation import see
from channels_core.security import _origin
from channels_core.security.websocket import OriginValidator, allows_every_origin

__all__ = ["check_openness", "check_patterns"]

#: Methods of `OriginValidator`: a class that overrides one may read patterns in its own way.
_DECIDING: Final = ("valid_origin", "validate_origin", "match_allowed_origin")


def check_patterns(application: Any) -> Iterator[checks.CheckMessage]:
    """Check the patterns of an application, if it is an `OriginValidator`.

    Returns:
        `channels_core.W007`, for each pattern with a wildcard inside, which matches nothing.
    """
    if not _reads_patterns(application):
        return
    for pattern in application.allowed_origins:
        try:
            _origin.parse_pattern(str(pattern))
        except _origin.WildcardError as error:
            yield checks.Warning(
                f"OriginValidator: {error}. As it is, it matches nothing.",
                hint="Correct the pattern. " + see("Security", "Origins"),
                id="channels_core.W007",
            )
        except ImproperlyConfigured:
            # The program has changed the list; each handshake raises this.
            continue


def check_openness(application: Any) -> Iterator[checks.CheckMessage]:
    """Check that an application, if it is an `OriginValidator`, refuses any origin.

    Returns:
        `channels_core.W010`, if its list or `ALLOWED_HOSTS` contains `*`.
    """
    if _reads_patterns(application) and allows_every_origin(application):
        yield checks.Warning(
            "An origin validator allows every origin: '*' is in its list, or in ALLOWED_HOSTS. "
            "Pages of any site can open WebSockets with the cookies of their visitors.",
            hint="List the hosts of the site, or pass same_origin=True to the validator. "
            + see("Security", "Origins"),
            id="channels_core.W010",
        )


def _reads_patterns(application: Any) -> bool:
    kind = type(application)
    return isinstance(application, OriginValidator) and all(
        getattr(kind, name) is getattr(OriginValidator, name) for name in _DECIDING
    )
