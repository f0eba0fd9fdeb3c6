"""Run make targets in lanes: each lane in sequence, the lanes in parallel.

The tree's tests mostly wait for servers and browsers, so another lane can use the CPU. The output
of a target is shown when it has ended, so that the output of two targets never mixes.
"""

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tools.packages import ROOT

__all__ = ["lanes", "main", "run_lane"]


def lanes(arguments: Sequence[str]) -> list[list[str]]:
    """Split each argument, `"test P=tree, docs"`, into the targets of a lane."""
    return [[target.strip() for target in argument.split(",")] for argument in arguments]


def run_lane(targets: Sequence[str], show: Callable[[str], object] = print) -> list[str]:
    """Run all targets in sequence, even after a failure, and return those that failed."""
    failed = []
    for target in targets:
        started = time.monotonic()
        done = subprocess.run(
            ["make", "--no-print-directory", *shlex.split(target)],
            cwd=ROOT,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        result = f"exit code {done.returncode}" if done.returncode else "passed"
        seconds = time.monotonic() - started
        show(f"\n==== make {target}\n{done.stdout}==== make {target}: {result}, {seconds:.0f} s")
        if done.returncode:
            failed.append(target)
    return failed


def main() -> None:
    """Run the lanes in the arguments, and fail if any target failed."""

    def show(text: str) -> None:
        sys.stdout.write(f"{text}\n")  # in one call, because the other lane prints too
        sys.stdout.flush()

    wanted = lanes(sys.argv[1:])
    with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
        failed = [
            each for lane in pool.map(lambda lane: run_lane(lane, show), wanted) for each in lane
        ]
    if failed:
        sys.exit(f"failed: make {', make '.join(failed)}")


if __name__ == "__main__":
    main()
