"""Fixtures of every test in this package."""

import signal
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings

from channels_core.layers import channel_layers
from fakes import STOP_SIGNALS, LocalLayer, StopHandler, begin_after_a_stop

# Without a deadline, which a machine under load cannot keep.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def layer() -> Iterator[LocalLayer]:
    """Set a new channel layer as the default one."""
    layer = LocalLayer()
    channel_layers.set("default", layer)
    yield layer
    channel_layers.set("default", None)


@pytest.fixture
async def stop_handler() -> AsyncIterator[StopHandler]:
    """Handle the stop signals as a server does."""
    handler = StopHandler()
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number in before:
        signal.signal(number, handler)
    yield handler
    for number, previous in before.items():
        signal.signal(number, previous)
    await begin_after_a_stop()
