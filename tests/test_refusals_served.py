"""Refused handshakes on real servers: what clients receive and what is logged."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from served import Served

HERE = Path(__file__).resolve().parent
UVICORN = [sys.executable, "-m", "uvicorn", "refusing_site:application"]
#: Commands without their port.
COMMANDS = {
    "websockets-sansio": [*UVICORN, "--ws", "websockets-sansio", "--port"],
    "websockets": [*UVICORN, "--ws", "websockets", "--port"],
    "daphne": [sys.executable, "-m", "daphne", "refusing_site:application", "-p"],
}


@pytest.fixture(params=COMMANDS)
def server(request: pytest.FixtureRequest) -> Iterator[Served]:
    announces = "Listening on TCP" if request.param == "daphne" else "Uvicorn running on"
    served = Served(
        request.param,
        lambda port: [*COMMANDS[request.param], str(port)],
        # Deprecation warnings of `websockets` about its legacy part do not concern us.
        {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"},
        announces,
        HERE,
    )
    with served:
        yield served


async def refused(server: Served, path: str, origin: str = "") -> tuple[int, bytes]:
    origin = origin or server.origin
    with pytest.raises(InvalidStatus) as refusal:
        await connect(f"ws://{server.host}/{path}/", origin=Origin(origin))
    return refusal.value.response.status_code, bytes(refusal.value.response.body or b"")


async def test_the_client_is_answered_and_the_server_logs_no_error(server: Served) -> None:
    is_daphne = server.server == "daphne"
    for _ in range(3):
        for path in ("async", "sync", "itself")[: 2 if is_daphne else 3]:
            answer = await refused(server, path)
            assert answer[0] == 403 if is_daphne else answer == (401, b"Log in."), path
        status, _ = await refused(server, "nowhere")
        assert status == (403 if is_daphne else 404)
        status, _ = await refused(server, "async", "http://elsewhere.example")
        assert status == 403
    server.stop()
    said = "".join(server.output)
    assert said.count("No route found for path 'nowhere/'") == 3
    assert "ERROR" not in said
    assert "Traceback" not in said
