"""System check: each pattern of an `OriginValidator` can match an origin."""

from collections.abc import Iterator
from typing import Any, Final

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from channels_core.documentation import see
from channels_core.security import _origin
from channels_core.security.websocket import OriginValidator

__all__ = ["check_patterns"]

#: Methods of `OriginValidator`: a class that overrides one may read patterns in its own way.
_DECIDING: Final = ("valid_origin", "validate_origin", "match_allowed_origin")


def check_patterns(application: Any) -> Iterator[checks.CheckMessage]:
    """Check the patterns of an application, if it is an `OriginValidator`.

    Returns:
        `channels_core.W007`, for each pattern with a wildcard inside, which matches nothing.
    """
    if not isinstance(application, OriginValidator):
        return
    kind = type(application)
    if any(getattr(kind, name) is not getattr(OriginValidator, name) for name in _DECIDING):
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
