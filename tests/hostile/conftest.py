"""The attacked site on real servers: one start for all tests, and a check after each of them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from attacked import Attacked
from parts import missing


@pytest.fixture(scope="session")
def attacked_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Attacked]]:
    """Return a server by its name. It is started once, and runs until the last test."""
    servers: dict[str, Attacked] = {}
    with ExitStack() as stack:

        def start(name: str) -> Attacked:
            if name not in servers:
                server = Attacked(name, tmp_path_factory.mktemp("attacked"))
                servers[name] = stack.enter_context(server)
            return servers[name]

        yield start


@pytest.fixture(params=["uvicorn", "daphne"])
def site(
    request: pytest.FixtureRequest, attacked_server: Callable[[str], Attacked]
) -> Iterator[Attacked]:
    """The attacked site, which must be as before when the test ends."""
    server = attacked_server(request.param)
    yield server
    server.check()


@pytest.fixture
def http2(attacked_server: Callable[[str], Attacked]) -> Iterator[Attacked]:
    """The same on Hypercorn, for clients that speak HTTP/2."""
    try:
        import h2  # noqa: F401 - the client of HTTP/2
        import hypercorn  # noqa: F401 - its server
    except ImportError as error:
        missing(error)
    server = attacked_server("hypercorn")
    yield server
    server.check()
