"""Tests that could behave differently on PostgreSQL."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from postgresql import MissingPart, running_server

HERE = Path(__file__).parent

# Whatever a database decides; of the engines the one that is nothing but a database.
MODULES = ["test_comparison", "test_sessions", "test_auth", "test_login_tokens", "test_queries"]
OTHER_ENGINES = "not (cached_db or cache- or file- or signed_cookies)"

VENDOR = "import django; django.setup(); from django.db import connection; print(connection.vendor)"


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """Return an environment whose settings name a running server."""
    try:
        with running_server() as folder:
            ours = {"CHANNELS_TEST_POSTGRESQL": folder, "DJANGO_SETTINGS_MODULE": "settings"}
            yield {**os.environ, "PYTHONPATH": str(HERE), **ours}
    except MissingPart as missing:
        if os.environ.get("CHANNELS_REQUIRE_PARTS") == "1":
            raise
        pytest.skip(str(missing))


def run(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=HERE.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_settings_name_it(environment: dict[str, str]) -> None:
    assert run(environment, "-c", VENDOR).split() == ["postgresql"]


def test_sessions_and_logins_are_the_same_there(environment: dict[str, str]) -> None:
    files = [str(HERE / f"{module}.py") for module in MODULES]
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", "-k", OTHER_ENGINES]
    output = run(environment, "-m", "pytest", *options, *files)
    assert "skipped" not in output
