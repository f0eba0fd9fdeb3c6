import importlib.metadata
import pickle
import subprocess
import sys
from unittest import mock

import pytest
from django.test import override_settings

import channels_layers_redis
from channels_core.layers import get_channel_layer
from channels_layers_redis import layer


def test_the_version_is_the_one_of_the_installed_distribution() -> None:
    assert channels_layers_redis.__version__ == importlib.metadata.version("channels-layers-redis")


def test_the_package_offers_the_layer() -> None:
    assert channels_layers_redis.__all__ == ["RedisChannelLayer", "__version__"]
    assert channels_layers_redis.RedisChannelLayer is layer.RedisChannelLayer
    assert set(channels_layers_redis.__all__) <= set(dir(channels_layers_redis))
    with pytest.raises(AttributeError, match="'channels_layers_redis' has no attribute 'Other'"):
        channels_layers_redis.Other  # type: ignore[attr-defined] # noqa: B018 - reading is the test


def test_the_settings_may_name_it() -> None:
    config = {"BACKEND": "channels_layers_redis.RedisChannelLayer", "CONFIG": {"capacity": 7}}
    with override_settings(CHANNEL_LAYERS={"default": config}):
        built = get_channel_layer()
        assert type(built) is layer.RedisChannelLayer
        assert built.capacity == 7


def test_it_is_not_imported_before_it_is_used() -> None:
    program = """
import sys, channels_layers_redis
assert "channels_layers_redis.layer" not in sys.modules
from channels_layers_redis import *
assert RedisChannelLayer.__module__ == "channels_layers_redis.layer"
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_it_can_be_patched_and_pickled() -> None:
    with mock.patch("channels_layers_redis.RedisChannelLayer") as patched:
        assert channels_layers_redis.RedisChannelLayer is patched
    kind = channels_layers_redis.RedisChannelLayer
    assert pickle.loads(pickle.dumps(kind)) is kind is layer.RedisChannelLayer
