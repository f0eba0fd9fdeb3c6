"""Fixtures of every test in this package."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from channels_core.layers import channel_layers
from clients import Client, LocalLayer

# No limit of time: a machine under load cannot keep one.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def layer() -> Iterator[LocalLayer]:
    """Put a fresh channel layer in the place of the default one."""
    layer = LocalLayer()
    channel_layers.set("default", layer)
    yield layer
    channel_layers.set("default", None)


@pytest.fixture(autouse=True)
def one_call_of_receive_at_a_time() -> Iterator[None]:
    """Fail if a consumer has called the server's `receive` while an earlier call waited."""
    yield
    overlaps, Client.overlaps[:] = list(Client.overlaps), []
    assert overlaps == []
