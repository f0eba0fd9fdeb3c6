"""A fresh interpreter, for what has to be seen from the first import on."""

import subprocess
import sys

__all__ = ["run"]


def run(program: str) -> str:
    """Run a program without any settings and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
