"""What counts as an outage of a layer."""

import socket

import pytest

from channels_core._layers.outages import is_outage


class ClientError(Exception):
    """The base of a client's errors, which derive from none of Python's."""


class Lost(type("ConnectionError", (ClientError,), {})):  # type: ignore[misc] # made for its name
    """As `redis.exceptions.ConnectionError` and what derives from it."""


class Late(type("TimeoutError", (ClientError,), {})):  # type: ignore[misc] # made for its name
    """As `redis.exceptions.TimeoutError`."""


@pytest.mark.parametrize(
    "error",
    [ConnectionRefusedError(), TimeoutError(), socket.gaierror()],
)
def test_errors_of_python(error: Exception) -> None:
    assert is_outage(error)


@pytest.mark.parametrize("error", [Lost(), Late()])
def test_errors_of_a_client_of_its_own(error: Exception) -> None:
    assert is_outage(error)


@pytest.mark.parametrize("error", [ClientError(), LookupError(), TypeError(), ValueError()])
def test_faults_of_a_program(error: Exception) -> None:
    assert not is_outage(error)
