"""Passing settings to another process, here from this one to itself."""

import pickle
import sys
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.conf import LazySettings, Settings, settings
from django.core.exceptions import AppRegistryNotReady, ImproperlyConfigured
from django.db import connections
from django.test import override_settings

from channels_testing._live import settings_transfer as _live_settings
from channels_testing._live.settings_transfer import PackedSettings, pack, restore


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Undo what `restore` does."""
    before: Any = settings._wrapped
    yield
    settings._wrapped = before


def anew(monkeypatch: pytest.MonkeyPatch, module: str | None = "settings") -> Any:
    """Return the settings of a process that has just been started."""
    fresh: Any = LazySettings()
    monkeypatch.setattr(_live_settings, "settings", fresh)
    if module:
        monkeypatch.setenv("DJANGO_SETTINGS_MODULE", module)
    else:
        monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    return fresh


def test_overrides_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    with override_settings(GREETING=["hello"], ROOT_URLCONF="elsewhere"):
        del settings.USE_TZ
        packed = pack()
    assert packed.module == "settings"
    fresh = anew(monkeypatch, "other")
    restore(packed)
    assert fresh.GREETING == ["hello"]
    assert fresh.ROOT_URLCONF == "elsewhere"
    assert fresh.is_overridden("GREETING")
    assert not hasattr(fresh, "USE_TZ")
    base: Any = fresh._wrapped
    assert isinstance(base.default_settings, Settings)


def test_equal_settings_are_those_of_the_module() -> None:
    packed = pack()
    own = settings.INSTALLED_APPS
    restore(packed)
    assert settings.INSTALLED_APPS is own


def test_settings_that_cannot_be_pickled_are_those_of_the_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    greet = lambda: "hello"  # noqa: E731 - it is not to be pickled
    monkeypatch.setattr(sys.modules["settings"], "GREET", greet, raising=False)
    with override_settings(GREET=greet):
        packed = pack()
    assert "GREET" in packed.names
    assert "GREET" not in packed.values
    with override_settings(GREET=lambda: "good bye"):  # noqa: SIM117 - one after the other
        with pytest.raises(ImproperlyConfigured, match="the setting GREET cannot be passed to it"):
            pack()


def test_settings_without_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    configured: Any = LazySettings()
    configured.configure(GREETING="hello", GREET=lambda: "hello")
    monkeypatch.setattr(_live_settings, "settings", configured)
    with pytest.raises(ImproperlyConfigured, match="the setting GREET cannot be passed to it"):
        pack()
    del configured.GREET
    packed = pack()
    assert packed.module is None
    fresh = anew(monkeypatch, None)
    restore(packed)
    assert fresh.GREETING == "hello"


def test_the_databases_are_those_that_are_used() -> None:
    with pytest.warns(UserWarning, match="DATABASES"), override_settings(DATABASES={}):
        packed = pack()
    assert pickle.loads(packed.values["DATABASES"]) == connections.settings


class Late:
    """A value that cannot be unpickled before the applications are loaded."""

    ready = False

    def __setstate__(self, state: object) -> None:
        if not self.ready:
            raise AppRegistryNotReady

    def __getstate__(self) -> dict[str, bool]:
        return {"any": True}


def with_late() -> PackedSettings:
    with override_settings(LATE=Late()):
        return pack()


def test_settings_that_need_the_applications_come_after_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = with_late()
    monkeypatch.setattr(django, "setup", lambda: setattr(Late, "ready", True))
    restore(packed)
    assert isinstance(getattr(settings, "LATE"), Late)  # noqa: B009 - the stubs do not know it
    Late.ready = False


def test_a_setting_that_cannot_be_unpickled_is_named() -> None:
    packed = with_late()
    with pytest.raises(ImproperlyConfigured, match="The setting LATE cannot be unpickled"):
        restore(packed)
