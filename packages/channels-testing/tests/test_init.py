import importlib.metadata
import pickle
import subprocess
import sys
from unittest import mock

import pytest

import channels_testing
from channels_testing import application, http, layers, live, websocket

OFFERED = {
    "ApplicationCommunicator": application,
    "ChannelLayerContract": layers,
    "ChannelsLiveServerTestCase": live,
    "Denial": websocket,
    "HttpCommunicator": http,
    "LiveServerError": live,
    "Response": http,
    "WebsocketCommunicator": websocket,
}


def test_the_version_is_the_one_of_the_installed_distribution() -> None:
    assert channels_testing.__version__ == importlib.metadata.version("channels-testing")


def test_the_package_offers_the_names_of_its_modules() -> None:
    assert channels_testing.__all__ == [*OFFERED, "__version__"]
    for name, module in OFFERED.items():
        assert getattr(channels_testing, name) is getattr(module, name)
    assert set(channels_testing.__all__) <= set(dir(channels_testing))
    with pytest.raises(AttributeError, match="'channels_testing' has no attribute 'Other'"):
        channels_testing.Other  # type: ignore[attr-defined] # noqa: B018 - reading it is the test


def test_nothing_is_imported_before_it_is_used() -> None:
    program = """
import sys, channels_testing
assert not [name for name in sys.modules if name.startswith("channels_testing.")]
from channels_testing import WebsocketCommunicator
assert WebsocketCommunicator.__module__ == "channels_testing.websocket"
assert not {"channels_testing.live", "channels_testing.layers"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", OFFERED)
def test_a_name_can_be_patched_and_pickled(name: str) -> None:
    with mock.patch(f"channels_testing.{name}") as patched:
        assert getattr(channels_testing, name) is patched
    kind = getattr(channels_testing, name)
    assert kind is getattr(OFFERED[name], name)
    assert pickle.loads(pickle.dumps(kind)) is kind


def test_a_module_can_be_patched_below_the_package() -> None:
    with mock.patch("channels_testing.websocket.WebsocketCommunicator") as patched:
        assert channels_testing.WebsocketCommunicator is patched
    assert channels_testing.WebsocketCommunicator is websocket.WebsocketCommunicator
