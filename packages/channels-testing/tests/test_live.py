"""The test case with Daphne, and real sockets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

import live_site
from channels_testing.live import ChannelsLiveServerTestCase
from live_site import Socket, ask, execute, live, run

pytestmark = pytest.mark.live


@pytest.fixture(autouse=True)
def files(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        with live_site.databases(default=tmp_path / "default", other=tmp_path / "other"):
            yield


@pytest.fixture(params=["fork", "forkserver", "spawn", "thread"])
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "thread":
        return {"serve_in_thread": True}
    return {"start_method": request.param}


def passes(*cases: Any) -> None:
    result = run(*cases)
    assert not result.errors + result.failures, result.errors + result.failures
    assert result.testsRun == len(cases)


def test_requests_and_websockets(way: dict[str, Any]) -> None:
    def test(self: ChannelsLiveServerTestCase) -> None:
        execute("INSERT INTO note VALUES ('from the test')")
        assert ask(self, "sql", statement="SELECT text FROM note") == [["from the test"]]
        with Socket(f"{self.live_server_ws_url}/any/") as socket:
            socket.send("hello")
            assert socket.receive() == "hello"

    passes(live(test=test, **way))
