"""The attacked site on real servers: one start for all tests, and a check after each of them."""

from collections.abc import Iterator

import pytest

from attacked import Attacked
from parts import missing


@pytest.fixture(scope="session", params=["uvicorn", "daphne"])
def attacked_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacked]:
    with Attacked(request.param, tmp_path_factory.mktemp("attacked")) as server:
        yield server


@pytest.fixture
def site(attacked_server: Attacked) -> Iterator[Attacked]:
    """The attacked site, which must be as before when the test ends."""
    yield attacked_server
    attacked_server.check()


@pytest.fixture(scope="session")
def attacked_hypercorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    try:
        import h2  # noqa: F401 - the client of HTTP/2
        import hypercorn  # noqa: F401 - its server
    except ImportError as error:
        missing(error)
    with Attacked("hypercorn", tmp_path_factory.mktemp("attacked")) as server:
        yield server


@pytest.fixture
def http2(attacked_hypercorn: Attacked) -> Iterator[Attacked]:
    """The same on Hypercorn, for clients that speak HTTP/2."""
    yield attacked_hypercorn
    attacked_hypercorn.check()
