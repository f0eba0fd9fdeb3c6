"""Fixtures for pytest. Nothing is imported or changed until a test requests one of them."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from channels_testing.application import ApplicationCommunicator
    from channels_testing.http import HttpCommunicator
    from channels_testing.live import ChannelsLiveServerTestCase
    from channels_testing.websocket import WebsocketCommunicator

__all__ = [
    "channel_layer",
    "channels_live_server",
    "http_communicator",
    "lent_connections",
    "websocket_communicator",
]

_MEMORY: Final = "channels_layers_memory.InMemoryChannelLayer"


@pytest.fixture
def channel_layer() -> Iterator[Any]:
    """Give each alias an in-memory channel layer of the test's own, and return the default one.

    Needs the distribution `channels-layers-memory`.
    """
    from django.conf import settings
    from django.test import override_settings

    from channels_core.layers import get_channel_layer

    configured = getattr(settings, "CHANNEL_LAYERS", None) or {}
    layers = {alias: {"BACKEND": _MEMORY} for alias in ("default", *configured)}
    with override_settings(CHANNEL_LAYERS=layers):
        yield get_channel_layer()


@pytest.fixture
def lent_connections(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let asynchronous code of the test use the database as the test's thread does.

    The transaction of `pytest.mark.django_db` belongs to the test's thread. Django's asynchronous
    interface (`await acreate()`) works in another thread, and so outside of that transaction.
    """
    from channels_testing._application.connections import lent_connections

    # A transaction must have begun before it can be lent.
    for name in ("transactional_db", "db"):
        if name in request.fixturenames:
            request.getfixturevalue(name)
    with lent_connections():
        yield


@pytest.fixture
def websocket_communicator(
    lent_connections: None,
) -> "Iterator[Callable[..., WebsocketCommunicator]]":
    """Make communicators, with the arguments of `WebsocketCommunicator`; stop them at the end."""
    from channels_testing.websocket import WebsocketCommunicator

    yield from _factory(WebsocketCommunicator)


@pytest.fixture
def http_communicator(lent_connections: None) -> "Iterator[Callable[..., HttpCommunicator]]":
    """Make communicators, with the arguments of `HttpCommunicator`; stop them at the end."""
    from channels_testing.http import HttpCommunicator

    yield from _factory(HttpCommunicator)


@pytest.fixture
def channels_live_server(transactional_db: None) -> "Iterator[type[ChannelsLiveServerTestCase]]":
    """Serve the site from a thread; a class with `live_server_url` and `live_server_ws_url`.

    Needs pytest-django, and the extra `channels-testing[live]`.
    """
    from channels_testing.live import ChannelsLiveServerTestCase

    class LiveServer(ChannelsLiveServerTestCase):
        databases = "__all__"
        serve_in_thread = True

    try:
        LiveServer.setUpClass()
        try:
            yield LiveServer
        finally:
            LiveServer.tearDownClass()
    finally:
        LiveServer.doClassCleanups()


def _factory(kind: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    made: list[ApplicationCommunicator] = []

    def make(*args: Any, **kwargs: Any) -> Any:
        made.append(kind(*args, **kwargs))
        return made[-1]

    yield make
    for communicator in made:
        communicator.stop(exceptions=False)
