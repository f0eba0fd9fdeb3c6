"""Take the settings that are in force to a process that starts without them."""

import os
import pickle
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import django
from django.conf import UserSettingsHolder, settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

__all__ = ["PackedSettings", "pack", "restore"]


@dataclass(frozen=True)
class PackedSettings:
    """The settings of one process, for another one.

    Attributes:
        module: The settings' module; None for those of `settings.configure()`.
        names: What is set.
        values: What is set and can be pickled, each by itself.
    """

    module: str | None
    names: frozenset[str]
    values: dict[str, bytes]


def pack() -> PackedSettings:
    """Return the settings as they are, with all overrides.

    Raises:
        ImproperlyConfigured: One is overridden by what cannot be pickled.
    """
    base = _base()
    module = getattr(base, "SETTINGS_MODULE", None)
    names = _names()
    values = {}
    for name in names:
        # Other databases than these are not used, whatever the setting says by now.
        value = connections.settings if name == "DATABASES" else getattr(settings._wrapped, name)
        try:
            values[name] = pickle.dumps(value)
        except Exception as error:  # whatever a class of the program's raises
            if module is None or getattr(sys.modules.get(module), name, base) is not value:
                raise ImproperlyConfigured(
                    f"The live server runs in a process that is started anew, and the setting "
                    f"{name} cannot be taken there, since it cannot be pickled: {error}. Override "
                    'it by something that can be, or set start_method = "fork" or '
                    "serve_in_thread = True on the test class"
                ) from error
    return PackedSettings(module, names, values)


def restore(packed: PackedSettings) -> None:
    """Put settings in force, and set Django up with them.

    Raises:
        ImproperlyConfigured: One of them cannot be unpickled.
    """
    if not settings.configured:
        if packed.module is None:
            settings.configure()
        else:
            os.environ["DJANGO_SETTINGS_MODULE"] = packed.module
    # The program's own module is imported before anything else of the program.
    _base()
    # As Django's override_settings does it, so that they count as set.
    settings._wrapped = UserSettingsHolder(settings._wrapped)
    for name in _names() - packed.names:
        delattr(settings, name)
    late = {}
    for name, pickled in packed.values.items():
        try:
            _apply(name, pickle.loads(pickled))  # noqa: S301 - the parent process made it
        except Exception:  # noqa: BLE001 - it may need the applications, which this may be before
            late[name] = pickled
    django.setup()
    for name, pickled in late.items():
        try:
            _apply(name, pickle.loads(pickled))  # noqa: S301 - the parent process made it
        except Exception as error:
            raise ImproperlyConfigured(
                f"The setting {name} cannot be unpickled in the live server's process: {error}"
            ) from error


def _base() -> Any:
    """Return what the settings were before all overrides."""
    getattr(settings, "DEBUG", None)  # They are loaded on the first use.
    base: Any = settings._wrapped
    while isinstance(base, UserSettingsHolder):
        base = base.default_settings
    return base


def _names() -> frozenset[str]:
    return frozenset(name for name in dir(settings) if name.isupper()) - {"SETTINGS_MODULE"}


def _apply(name: str, value: object) -> None:
    if getattr(settings._wrapped, name, _UNSET) != value:
        with warnings.catch_warnings():
            # Of a setting that is deprecated the parent has been warned.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            setattr(settings, name, value)


_UNSET = object()
