"""Fixtures for pytest. Nothing happens unless a test asks for one of them."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from asgiref.sync import SyncToAsync
from django.db import connections
from django.test import override_settings

from channels_core.layers import get_channel_layer
from channels_testing._database import lend
from channels_testing.application import ApplicationCommunicator
from channels_testing.http import HttpCommunicator
from channels_testing.websocket import WebsocketCommunicator

__all__ = ["channel_layer", "http_communicator", "lent_connections", "websocket_communicator"]

_MEMORY: Final = "channels_layers_memory.layer.InMemoryChannelLayer"


@pytest.fixture
def channel_layer() -> Iterator[Any]:
    """Have an in-memory channel layer of the test's own as the default one."""
    with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": _MEMORY}}):
        yield get_channel_layer()


@pytest.fixture
def lent_connections() -> Iterator[None]:
    """Have asynchronous code use the connections of the test's transaction.

    What `pytest.mark.django_db` opens belongs to the test's thread, and Django's asynchronous
    interface works in another one.
    """
    borrowed = [one for one in connections.all(initialized_only=True) if one.in_atomic_block]
    executor = SyncToAsync.single_thread_executor
    restore = executor.submit(lend, borrowed).result()
    yield
    executor.submit(restore).result()


@pytest.fixture
def websocket_communicator(
    lent_connections: None,
) -> Iterator[Callable[..., WebsocketCommunicator]]:
    """Make communicators, with the arguments of `WebsocketCommunicator`; none outlives the test."""
    yield from _factory(WebsocketCommunicator)


@pytest.fixture
def http_communicator(lent_connections: None) -> Iterator[Callable[..., HttpCommunicator]]:
    """Make communicators, with the arguments of `HttpCommunicator`; none outlives the test."""
    yield from _factory(HttpCommunicator)


def _factory(kind: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    made: list[ApplicationCommunicator] = []

    def make(*args: Any, **kwargs: Any) -> Any:
        made.append(kind(*args, **kwargs))
        return made[-1]

    yield make
    for communicator in made:
        communicator.stop(exceptions=False)
