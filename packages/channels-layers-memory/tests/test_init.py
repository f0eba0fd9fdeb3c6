import importlib.metadata
import pickle
import subprocess
import sys
from unittest import mock

import pytest
from django.test import override_settings

import channels_layers_memory
from channels_core.layers import get_channel_layer
from channels_layers_memory import layer


def test_the_version_is_the_one_of_the_installed_distribution() -> None:
    assert channels_layers_memory.__version__ == importlib.metadata.version(
        "channels-layers-memory"
    )


def test_the_package_offers_the_layer() -> None:
    assert channels_layers_memory.__all__ == ["InMemoryChannelLayer", "__version__"]
    assert channels_layers_memory.InMemoryChannelLayer is layer.InMemoryChannelLayer
    assert set(channels_layers_memory.__all__) <= set(dir(channels_layers_memory))
    with pytest.raises(AttributeError, match="'channels_layers_memory' has no attribute 'Other'"):
        channels_layers_memory.Other  # type: ignore[attr-defined] # noqa: B018 - reading is the test


def test_the_settings_may_name_it() -> None:
    config = {"BACKEND": "channels_layers_memory.InMemoryChannelLayer", "CONFIG": {"capacity": 7}}
    with override_settings(CHANNEL_LAYERS={"default": config}):
        built = get_channel_layer()
        assert type(built) is layer.InMemoryChannelLayer
        assert built.capacity == 7


def test_it_is_not_imported_before_it_is_used() -> None:
    program = """
import sys, channels_layers_memory
assert "channels_layers_memory.layer" not in sys.modules
from channels_layers_memory import *
assert InMemoryChannelLayer.__module__ == "channels_layers_memory.layer"
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_it_can_be_patched_and_pickled() -> None:
    with mock.patch("channels_layers_memory.InMemoryChannelLayer") as patched:
        assert channels_layers_memory.InMemoryChannelLayer is patched
    kind = channels_layers_memory.InMemoryChannelLayer
    assert pickle.loads(pickle.dumps(kind)) is kind is layer.InMemoryChannelLayer
