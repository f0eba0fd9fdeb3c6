"""A site's tests with a live server, run in sequence and in parallel."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from postgresql_server import require_postgresql

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "tests" / "programs" / "guestbook"

# The number of its tests.
TESTS = 8

PYTEST = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
RUNNERS = {
    "django": ["manage.py", "test"],
    "django-parallel": ["manage.py", "test", "--parallel", "2"],
    "pytest": PYTEST,
    "pytest-xdist": [*PYTEST, "-n", "2", "--dist", "loadscope"],
}

# Not all combinations, because the runner has little influence on how a server starts.
ON_FILES = [
    ("django", "fork"),
    ("django", "forkserver"),
    ("django", "spawn"),
    ("django", "thread"),
    ("django-parallel", "spawn"),
    ("pytest", "thread"),
    ("pytest-xdist", "fork"),
    ("pytest-xdist", "forkserver"),
]
ON_POSTGRESQL = [
    ("django-parallel", "fork"),
    ("django-parallel", "thread"),
    ("pytest-xdist", "spawn"),
    ("pytest-xdist", "thread"),
]
IN_MEMORY = ["django-parallel", "pytest-xdist"]


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with require_postgresql() as folder:
        yield folder


def passes(runner: str, way: str, folder: Path, **environment: str) -> set[str]:
    """Run the site's tests, and return the names of the default databases that they used."""
    seen = folder / "seen"
    seen.mkdir()
    inherited = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    inherited.pop("DJANGO_SETTINGS_MODULE", None)
    ours = {"GUESTBOOK_WAY": way, "GUESTBOOK_SEEN": str(seen), **environment}
    done = subprocess.run(
        [sys.executable, "-W", "error", *RUNNERS[runner]],
        cwd=SITE,
        env={**inherited, **ours},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"Ran {TESTS} tests" in done.stdout or f"{TESTS} passed" in done.stdout
    # All are deleted. PostgreSQL would refuse that if a server still had one open.
    assert not list(folder.glob("test_*"))
    return {path.name for path in seen.iterdir()}


def suffixes(runner: str) -> tuple[str, ...]:
    return {"django-parallel": ("_1", "_2"), "pytest-xdist": ("_gw0", "_gw1")}.get(runner, ("",))


@pytest.mark.parametrize(("runner", "way"), ON_FILES)
def test_files(runner: str, way: str, tmp_path: Path) -> None:
    (name,) = passes(runner, way, tmp_path, GUESTBOOK_FOLDER=str(tmp_path))
    assert name.startswith("test_default_of_")
    assert name.endswith(suffixes(runner))


@pytest.mark.parametrize(("runner", "way"), ON_POSTGRESQL)
def test_postgresql(runner: str, way: str, tmp_path: Path, postgresql: str) -> None:
    (name,) = passes(runner, way, tmp_path, GUESTBOOK_POSTGRESQL=postgresql)
    assert name in {f"test_default{suffix}" for suffix in suffixes(runner)}


@pytest.mark.parametrize("runner", IN_MEMORY)
def test_memory(runner: str, tmp_path: Path) -> None:
    (name,) = passes(runner, "thread", tmp_path, GUESTBOOK_FOLDER="")
    assert name.startswith("file:memorydb_default")


def test_memory_is_refused_to_a_process(tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as error:
        passes("django", "spawn", tmp_path, GUESTBOOK_FOLDER="")
    assert 'Set DATABASES["archive"]["TEST"]["NAME"] and DATABASES["default"]' in str(error.value)
