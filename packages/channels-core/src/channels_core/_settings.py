"""The `CHANNELS_*` settings: a function for each one returns its checked value.

A new setting gets its function here. Values are read when they are used, so Django's
`override_settings` takes effect at once. `group_renewal` and `lookup_threads` keep their values
until Django reports a change, since connections ask for them, and to read a missing setting takes
8 us. Other modules that keep what they make of a setting say so with `call_on_change`.
`ASGI_APPLICATION` and `CHANNEL_LAYERS` are read by `get_default_application()` and by the manager
of the channel layers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

__all__ = [
    "DEFAULT_CHANNEL_LAYER",
    "DEFAULT_GROUP_RENEWAL",
    "FROM_SETTING",
    "call_on_change",
    "drain_timeout",
    "group_renewal",
    "json_codec",
    "lookup_threads",
    "max_message_size",
    "sets_sync_threads",
    "sync_threads",
]

#: The alias in `CHANNEL_LAYERS` of the layer that consumers use unless they name another one.
DEFAULT_CHANNEL_LAYER: Final = "default"

#: The value of a consumer's option `max_message_size` unless its class has it.
FROM_SETTING: Final = "CHANNELS_MAX_MESSAGE_SIZE"

#: Seconds between two renewals of a membership, unless the setting says otherwise.
DEFAULT_GROUP_RENEWAL: Final = 60.0
#: Seconds that connections have to end by themselves, unless the setting says otherwise.
_DEFAULT_DRAIN_TIMEOUT: Final = 10.0
#: Threads for lookups, and so the database connections that they need at most.
_DEFAULT_LOOKUP_THREADS: Final = 4


def drain_timeout() -> float:
    """Return how long connections may take to end by themselves; 0 means no draining.

    Returns:
        The setting `CHANNELS_DRAIN_TIMEOUT` in seconds, or 10; 0 if it is None.

    Raises:
        ImproperlyConfigured: The setting is not a number of seconds.
    """
    return _seconds(
        "CHANNELS_DRAIN_TIMEOUT",
        _DEFAULT_DRAIN_TIMEOUT,
        none="None not to wait for connections at all",
    )


@cache
def group_renewal() -> float | None:
    """Return the time between two renewals of a membership; None for no renewals.

    Returns:
        The setting `CHANNELS_GROUP_RENEWAL` in seconds, or 60; None if it is None or 0.

    Raises:
        ImproperlyConfigured: The setting is not a number of seconds.
    """
    seconds = _seconds("CHANNELS_GROUP_RENEWAL", DEFAULT_GROUP_RENEWAL, none="None for no renewals")
    return seconds or None


def json_codec() -> str | None:
    """Return what decodes and encodes the JSON of text frames.

    Returns:
        The setting `CHANNELS_JSON_CODEC`: "msgspec"; or None, without it, for the standard library.

    Raises:
        ImproperlyConfigured: The setting is neither "msgspec" nor None.
    """
    codec = getattr(settings, "CHANNELS_JSON_CODEC", None)
    if codec not in (None, "msgspec"):
        raise ImproperlyConfigured(
            f"CHANNELS_JSON_CODEC must be 'msgspec', or None for Python's own, not {codec!r}"
        )
    return codec


@cache
def lookup_threads() -> int:
    """Return how many sessions, users and permissions are looked up at once.

    Returns:
        The setting `CHANNELS_LOOKUP_THREADS`, or 4. 0 means that there are no threads for lookups,
        and that they run where `database_sync_to_async` runs a function.

    Raises:
        ImproperlyConfigured: The setting is not an int of at least 0.
    """
    size = getattr(settings, "CHANNELS_LOOKUP_THREADS", _DEFAULT_LOOKUP_THREADS)
    if type(size) is not int or size < 0:
        raise ImproperlyConfigured(
            f"CHANNELS_LOOKUP_THREADS must be an int of at least 0, not {size!r}"
        )
    return size


def max_message_size() -> int | None:
    """Return the size limit of a frame for consumers without the option `max_message_size`.

    Returns:
        The setting `CHANNELS_MAX_MESSAGE_SIZE` in bytes; None, without it, for no limit.

    Raises:
        ImproperlyConfigured: The setting is neither a positive int nor None.
    """
    size = getattr(settings, "CHANNELS_MAX_MESSAGE_SIZE", None)
    if size is not None and (type(size) is not int or size < 1):
        raise ImproperlyConfigured(
            "CHANNELS_MAX_MESSAGE_SIZE must be a number of bytes of at least 1, or None for no "
            f"limit, not {size!r}"
        )
    return size


def sets_sync_threads() -> bool:
    """Return whether the site itself sets how many synchronous handlers run at once."""
    return getattr(settings, "CHANNELS_SYNC_THREADS", None) is not None


def sync_threads() -> int:
    """Return how many synchronous handlers run at once.

    Returns:
        The setting `CHANNELS_SYNC_THREADS`. Without it, asyncio's default, four more than there are
        processors and at most 32, but at least 10: most handlers wait for a database or another
        service, and need no processor meanwhile.

    Raises:
        ImproperlyConfigured: The setting is not a positive int.
    """
    size = getattr(settings, "CHANNELS_SYNC_THREADS", None)
    if size is None:
        return min(32, max(10, (os.cpu_count() or 1) + 4))
    if type(size) is not int or size < 1:
        raise ImproperlyConfigured(
            f"CHANNELS_SYNC_THREADS must be an int of at least 1, not {size!r}"
        )
    return size


def _seconds(name: str, default: float, *, none: str) -> float:
    """Return a setting in seconds; 0 if it is None.

    Args:
        name: The setting's name.
        default: The value if it is not set.
        none: What None stands for, for the error's text.

    Raises:
        ImproperlyConfigured: The setting is not a number of seconds.
    """
    seconds: Any = getattr(settings, name, default)
    if seconds is None:
        return 0.0
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise ImproperlyConfigured(
            f"{name} must be a number of seconds, or {none}, not {seconds!r}"
        )
    return float(seconds)


#: By setting, what forgets what was made of its former value.
_forgetting: Final[dict[str, list[Callable[[], object]]]] = {
    "CHANNELS_GROUP_RENEWAL": [group_renewal.cache_clear],
    "CHANNELS_LOOKUP_THREADS": [lookup_threads.cache_clear],
}


def call_on_change(setting: str, forget: Callable[[], object]) -> None:
    """Call a function after a test has changed a setting.

    Args:
        setting: The name of the setting.
        forget: The function; it is kept as long as the process lives.
    """
    _forgetting.setdefault(setting, []).append(forget)


def _report(*, setting: str, **kwargs: object) -> None:
    for forget in _forgetting.get(setting, ()):
        forget()


setting_changed.connect(_report)
