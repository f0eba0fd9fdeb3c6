"""Run the same code on this tree and on the peer, in turn, each in a new process.

The peer is the published Channels, in its own environment under `build/`, with the same Python,
Django and asgiref. This module uses only the standard library, because it also runs there.
"""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

__all__ = ["PEER", "Scenario", "compare", "environment", "peer_python"]

PEER: Final = "4.3.2"
ROOT: Final = Path(__file__).resolve().parent.parent


class Scenario(NamedTuple):
    """What is measured: one figure, which a process prints."""

    title: str
    #: Whether the figure is a rate; otherwise it is a time, and less is better.
    more_is_better: bool
    rounds: int = 5


def peer_python() -> str:
    """Return the interpreter of the peer's environment, which is created when first needed."""
    same = [f"{name}=={metadata.version(name)}" for name in ("Django", "asgiref")]
    return environment(f"peer-{PEER}", [f"channels=={PEER}", *same])


def environment(name: str, requirements: Iterable[str]) -> str:
    """Return the interpreter of an environment under `build/`, which is created when first needed.

    Args:
        name: The name of the environment.
        requirements: Its content, with pinned versions.
    """
    folder = ROOT / "build" / f"{name}-{sys.version_info[0]}.{sys.version_info[1]}"
    python = folder / "bin" / "python"
    done = folder / "installed"
    wanted = "\n".join(requirements)
    if not done.is_file() or done.read_text() != wanted:
        print(f"Setting up {folder.name}: {', '.join(wanted.split())}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [str(python), "-m", "pip", "-q", "--disable-pip-version-check", "install"]
        subprocess.run([*pip, *wanted.split()], check=True)
        done.write_text(wanted)
    return str(python)


def measure(python: str, module: str, name: str, timeout: float) -> float:
    """Run one scenario in a new process, and return the figure that it prints."""
    command = [python, "-m", module, "--scenario", name]
    done = subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=timeout
    )
    return float(done.stdout.split()[-1])


def compare(module: str, scenarios: Mapping[str, Scenario], timeout: float = 120) -> None:
    """Measure all scenarios, alternating between ours and the peer, and print a table.

    Args:
        module: The module to run as `python -m MODULE --scenario NAME`.
        scenarios: The scenarios by name.
        timeout: Seconds allowed for one run.
    """
    theirs = peer_python()
    print(f"\nours against Channels {PEER}: medians (smallest to largest), Python "
          f"{sys.version.split()[0]}, Django {metadata.version('Django')}\n")  # fmt: skip
    for name, scenario in scenarios.items():
        ours: list[float] = []
        peers: list[float] = []
        for _ in range(scenario.rounds):
            ours.append(measure(sys.executable, module, name, timeout))
            peers.append(measure(theirs, module, name, timeout))
        ratio = median(ours) / median(peers)
        times = ratio if scenario.more_is_better else 1 / ratio
        print(f"{scenario.title}\n  ours {_spread(ours)}   peer {_spread(peers)}   "
              f"{times:.1f} times better", flush=True)  # fmt: skip


def _spread(figures: list[float]) -> str:
    return f"{median(figures):,.4g} ({min(figures):,.4g} to {max(figures):,.4g})"
