"""A new interpreter, for tests that start with the first import."""

import subprocess
import sys

__all__ = ["run"]


def run(program: str) -> str:
    """Run a program without settings, and return its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
