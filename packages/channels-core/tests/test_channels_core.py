import subprocess
import sys
from importlib import import_module
from unittest import mock

import pytest

import channels_core

LAZY = [name for name in channels_core.__all__ if name not in vars(channels_core)]


@pytest.mark.parametrize("name", LAZY)
def test_each_name_is_that_of_its_module(name: str) -> None:
    thing = getattr(channels_core, name)
    # A str does not say where it is from.
    owner = getattr(thing, "__module__", "channels_core._settings")
    assert getattr(import_module(owner), name) is thing
    assert name in dir(channels_core)


def test_what_is_patched_in_its_module_is_patched_here() -> None:
    with mock.patch("channels_core.layers.get_channel_layer") as patched:
        assert channels_core.get_channel_layer is patched


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="module 'channels_core' has no attribute 'Consumer'"):
        channels_core.Consumer  # type: ignore[attr-defined] # noqa: B018 - what is tested


def test_it_loads_nothing_by_itself() -> None:
    program = "import channels_core, sys; assert not {'django', 'asgiref'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True)
