import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools import suite_services
from tools.suite_services import (
    rabbitmq_running,
    rabbitmq_settings,
    redis_running,
    sentinel_settings,
)


@contextmanager
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_sentinel_knows_our_redis(tmp_path: Path) -> None:
    settings = sentinel_settings(tmp_path)
    assert "sentinel monitor sentinel 127.0.0.1 6379 1" in settings
    assert f"dir {tmp_path}" in settings


def test_a_running_redis_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests would empty its databases."""
    monkeypatch.setattr(shutil, "which", lambda name: f"/no/such/{name}")
    with taken() as port:
        monkeypatch.setattr(suite_services, "REDIS", port)
        with pytest.raises(SystemExit, match=f"port {port}"), redis_running(tmp_path):
            pass


def test_a_missing_redis_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="redis-server"), redis_running(tmp_path):
        pass


def test_rabbitmq_listens_only_on_this_machine(tmp_path: Path) -> None:
    settings = rabbitmq_settings(tmp_path)
    assert settings["RABBITMQ_NODE_IP_ADDRESS"] == settings["ERL_EPMD_ADDRESS"] == "127.0.0.1"
    assert "{127,0,0,1}" in settings["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
    kept = {settings[name] for name in settings if name.endswith(("_BASE", "_FILE"))}
    assert all(path.startswith(str(tmp_path)) for path in kept)


def test_a_missing_rabbitmq_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(()))
    with pytest.raises(SystemExit, match="apt-get install rabbitmq"), rabbitmq_running(tmp_path):
        pass


def test_a_running_rabbitmq_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([Path("/no/such/server")]))
    with taken() as port:
        monkeypatch.setattr(suite_services, "RABBITMQ", port)
        with pytest.raises(SystemExit, match=f"port {port}"), rabbitmq_running(tmp_path):
            pass
