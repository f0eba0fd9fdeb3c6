"""Programs that tests need and that no Python package installs."""

import os
import shutil
from typing import NoReturn

import pytest

__all__ = ["find", "missing"]


def find(*names: str, package: str) -> str:
    """Return the path of a program, or skip the test with the command that installs it.

    Args:
        names: Names or paths of the program; the first that exists counts.
        package: The Debian package that has it.
    """
    for name in names:
        if path := shutil.which(name):
            return path
    return missing(f"{names[0]} is not installed (Debian: apt-get install {package})")


def missing(reason: object) -> NoReturn:
    """Skip the test because a program is missing; fail it if CHANNELS_REQUIRE_PARTS is 1."""
    if os.environ.get("CHANNELS_REQUIRE_PARTS") == "1":
        pytest.fail(str(reason))
    pytest.skip(str(reason))
