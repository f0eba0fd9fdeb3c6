import socket
from typing import Any

import pytest

from channels_core._layers.outages import is_outage
from fakes import LocalLayer


class ClientError(Exception):
    """The base of a client's errors, which derive from no `OSError`."""


def error_of(module: str, name: str) -> Any:
    """Return an error of a class that derives from the client's class of that name."""
    kind = type(name, (ClientError,), {"__module__": module})
    return type("Busy", (kind,), {})()


class ErrorsOfItsOwn(LocalLayer):
    outage_errors = (ClientError,)


class TestIsOutage:
    @pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), socket.gaierror()])
    def test_errors_of_the_operating_system(self, error: Exception) -> None:
        assert is_outage(LocalLayer(), error)
        assert is_outage(None, error)
        assert is_outage(ErrorsOfItsOwn(), error)

    @pytest.mark.parametrize("name", ["ConnectionError", "TimeoutError"])
    @pytest.mark.parametrize("client", ["redis", "valkey"])
    def test_errors_of_known_clients(self, client: str, name: str) -> None:
        assert is_outage(LocalLayer(), error_of(f"{client}.exceptions", name))

    def test_errors_that_the_layer_lists(self) -> None:
        assert is_outage(ErrorsOfItsOwn(), ClientError())
        assert not is_outage(LocalLayer(), ClientError())

    @pytest.mark.parametrize(
        "error",
        [
            LookupError(),
            TypeError(),
            ValueError(),
            error_of("redis.exceptions", "DataError"),
            error_of("mysite.shop", "TimeoutError"),
        ],
    )
    def test_faults_of_a_program(self, error: Exception) -> None:
        assert not is_outage(LocalLayer(), error)
        assert not is_outage(None, error)
