"""Settings and fixtures of the tests in this package."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from layers import GroupLayer, default_layer
from timers import Timer, recorded_timers

# No time limit: a loaded machine may exceed any.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def layer() -> Iterator[GroupLayer]:
    """Provide the channel layer `default`, which has groups."""
    with default_layer(GroupLayer()) as layer:
        yield layer


@pytest.fixture
async def timers(monkeypatch: pytest.MonkeyPatch) -> list[Timer]:
    """Record the timers of the event loop, which the test runs itself."""
    return recorded_timers(monkeypatch)
