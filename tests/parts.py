"""Programs that a test starts and that no Python package brings along."""

import os
import shutil

import pytest

__all__ = ["find"]


def find(*names: str, package: str) -> str:
    """Return the path of a program, or skip the test with how to get it."""
    for name in names:
        if path := shutil.which(name):
            return path
    reason = f"{names[0]} is not installed (Debian: apt-get install {package})"
    if os.environ.get("CHANNELS_REQUIRE_PARTS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
