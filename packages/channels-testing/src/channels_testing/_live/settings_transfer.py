"""Pass the current settings, with all overrides, to a process that is started anew.

The new process imports the settings' module itself. Each setting is pickled separately, so that one
that cannot be pickled does no harm if it is not overridden, and one that needs the applications can
be unpickled after `django.setup()`.
"""

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
        module: The settings' module; None after `settings.configure()`.
        names: The names of all settings.
        values: The settings that can be pickled, each pickled separately.
    """

    module: str | None
    names: frozenset[str]
    values: dict[str, bytes]


def pack() -> PackedSettings:
    """Return the current settings, with all overrides.

    Raises:
        ImproperlyConfigured: A setting is overridden by an object that cannot be pickled.
    """
    base = _base()
    module = getattr(base, "SETTINGS_MODULE", None)
    names = _names()
    values = {}
    for name in names:
        # The databases in use, even if the setting has been overridden since.
        value = connections.settings if name == "DATABASES" else getattr(settings._wrapped, name)
        try:
            values[name] = pickle.dumps(value)
        except Exception as error:  # a program's class may raise any
            if module is None or getattr(sys.modules.get(module), name, base) is not value:
                raise ImproperlyConfigured(
                    f"The live server runs in a process that is started anew, and the setting "
                    f"{name} cannot be passed to it, since it cannot be pickled: {error}. Override "
                    'it by an object that can be pickled, or set start_method = "fork" or '
                    "serve_in_thread = True on the test class"
                ) from error
    return PackedSettings(module, names, values)


def restore(packed: PackedSettings) -> None:
    """Apply settings in this process, and set Django up with them.

    Raises:
        ImproperlyConfigured: A setting cannot be unpickled.
    """
    if not settings.configured:
        if packed.module is None:
            settings.configure()
        else:
            os.environ["DJANGO_SETTINGS_MODULE"] = packed.module
    # This imports the settings' module, before any other module of the program.
    _base()
    # As Django's override_settings does, so that `is_overridden()` is true for them.
    settings._wrapped = UserSettingsHolder(settings._wrapped)
    for name in _names() - packed.names:
        delattr(settings, name)
    late = {}
    for name, pickled in packed.values.items():
        try:
            _apply(name, pickle.loads(pickled))  # noqa: S301 - the parent process made it
        except Exception:  # noqa: BLE001 - it may need the applications, which are not loaded yet
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
    """Return the settings without overrides."""
    getattr(settings, "DEBUG", None)  # The first use loads them.
    base: Any = settings._wrapped
    while isinstance(base, UserSettingsHolder):
        base = base.default_settings
    return base


def _names() -> frozenset[str]:
    return frozenset(name for name in dir(settings) if name.isupper()) - {"SETTINGS_MODULE"}


def _apply(name: str, value: object) -> None:
    if getattr(settings._wrapped, name, _UNSET) != value:
        with warnings.catch_warnings():
            # The parent has shown the warnings about deprecated settings already.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            setattr(settings, name, value)


_UNSET = object()
