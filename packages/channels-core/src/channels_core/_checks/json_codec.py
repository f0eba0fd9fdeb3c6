"""System check: what decodes and encodes JSON is known and installed."""

from __future__ import annotations

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from channels_core._json import require_codec
from channels_core.documentation import see

__all__ = ["check_json_codec"]


def check_json_codec() -> list[checks.CheckMessage]:
    """Check the setting `CHANNELS_JSON_CODEC`.

    Returns:
        `channels_core.E007`, its value is not known, or the package that it names is missing.
    """
    try:
        require_codec()
    except ImproperlyConfigured as error:
        return [
            checks.Error(
                f"{error}.",
                hint="Correct the setting. " + see("Consumers", "Receiving frames"),
                id="channels_core.E007",
            )
        ]
    return []
