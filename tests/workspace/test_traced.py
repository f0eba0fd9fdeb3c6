import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from tools.traced import Agent, missing, serving

SPAN = {"name": "django.view", "resource": "beacon.views.hello", "meta": {}}


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent()
    yield agent
    agent.close()


def send(agent: Agent, path: str, body: bytes, method: str = "PUT") -> bytes:
    request = urllib.request.Request(f"{agent.address}{path}", body, method=method)
    with urllib.request.urlopen(request) as answer:
        content: bytes = answer.read()
    return content


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_the_agent_keeps_the_spans_of_each_trace(agent: Agent, method: str) -> None:
    other = {**SPAN, "resource": "beacon.views.bye"}
    send(agent, "/v0.4/traces", msgpack.packb([[SPAN], [SPAN, other]]), method)
    assert agent.spans == {
        ("django.view", "beacon.views.hello"),
        ("django.view", "beacon.views.bye"),
    }


def test_it_lists_the_endpoints_that_it_accepts(agent: Agent) -> None:
    with urllib.request.urlopen(f"{agent.address}/info") as answer:
        assert b"/v0.4/traces" in answer.read()


def test_other_requests_are_ignored(agent: Agent) -> None:
    assert send(agent, "/v0.6/stats", b"\x80") == b'{"rate_by_service": {}}'
    assert agent.spans == set()


def test_missing_spans_are_named_with_the_received_ones() -> None:
    there = {("django.view", "hello")}
    assert missing(frozenset(there), there) == ""
    fault = missing(frozenset({("websocket.send", "/ws/")}), there)
    assert fault == (
        "missing spans [('websocket.send', '/ws/')]; received [('django.view', 'hello')]"
    )


def test_a_server_that_does_not_start_fails_with_its_output(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such site')"]
    with pytest.raises(SystemExit) as stopped, serving(command, {}, tmp_path / "log"):
        pass
    assert "the server ended with 1" in str(stopped.value)
    assert str(stopped.value).endswith("no such site\n")


SERVER = """
import signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
with socket.create_server(("127.0.0.1", int(sys.argv[-1]))):
    print({said!r}, flush=True)
    signal.pause()
"""


def test_a_server_that_logs_an_error_fails(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVER.format(said="ERROR: it broke")]
    with pytest.raises(SystemExit) as stopped, serving(command, {}, tmp_path / "log"):
        pass
    assert "the server logged an error" in str(stopped.value)


def test_a_server_that_serves_is_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVER.format(said="all is well")]
    with serving(command, {}, tmp_path / "log") as port:
        assert port
    assert (tmp_path / "log").read_text() == "all is well\n"
