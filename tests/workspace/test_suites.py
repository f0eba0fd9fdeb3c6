import subprocess
import sys

from tools.packages import ROOT


def test_an_unknown_name_ends_with_the_known_names() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.suites", "channels-reddis"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "no suite of channels-reddis" in done.stderr
    assert "channels-redis" in done.stderr
