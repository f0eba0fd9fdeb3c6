"""How the tests find and run redis-server."""

import sys
from pathlib import Path

import pytest
from redis import Redis

from redis_server import WHEELS, MissingRedis, find_program, require_redis


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the redis-server of this machine."""
    monkeypatch.setenv("PATH", "")
    for package in WHEELS:
        monkeypatch.setitem(sys.modules, package, None)


def test_the_one_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "redis-server"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program() == str(program)


@pytest.mark.parametrize("package", WHEELS)
def test_one_from_a_wheel_comes_second(
    bare: None, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / package / WHEELS[package]
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    (tmp_path / package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, package)
    assert find_program() == str(program)


def test_a_missing_server_is_explained(bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingRedis, match="apt-get install redis-server; or from a wheel"):
        find_program()
    monkeypatch.delenv("CHANNELS_REQUIRE_PARTS", raising=False)
    with (
        pytest.raises(pytest.skip.Exception, match="redis-server is not installed"),
        require_redis(),
    ):
        pass
    monkeypatch.setenv("CHANNELS_REQUIRE_PARTS", "1")
    with pytest.raises(pytest.fail.Exception), require_redis():
        pass


def test_its_folder_is_removed() -> None:
    with require_redis() as url:
        socket = Path(url.removeprefix("unix://"))
        with Redis(unix_socket_path=str(socket)) as client:
            assert client.ping()
    assert not socket.parent.exists()
