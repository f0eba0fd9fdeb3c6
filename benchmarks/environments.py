"""Make the environment of each peer from its pins, in `build/benchmarks/`.

Our packages are copied into theirs, not linked, so that they are imported as installed packages are
and a change of the tree in the middle of a run has no effect.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.peers import Peer
from tools.env import programs
from tools.packages import PACKAGES, ROOT

__all__ = ["FOLDER", "copy_tree", "import_packages", "install", "versions"]

FOLDER: Final = ROOT / "build" / "benchmarks"
STAMP: Final = "installed"


def install(peer: Peer) -> Path:
    """Return the interpreter of a peer's environment, which is brought up to date first."""
    series = ".".join(map(str, sys.version_info[:2]))
    folder = FOLDER / f"env-{peer.name}-{series}"
    python = programs(folder) / "python"
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = _digest(peer)
    stamp = folder / STAMP
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        uv = (str(programs(Path(sys.prefix)) / "uv"), "--quiet", "--no-config")
        _run(*uv, "venv", "--clear", "--python", sys.executable, str(folder))
        _run(
            *(*uv, "--system-certs", "pip", "install", "--python", str(python)),
            *("--no-deps", "--require-hashes", "-r", str(peer.requirements)),
        )
        # Compiled once, so that no first import of a run has to do it.
        _run(str(python), "-m", "compileall", "-q", "-j", "0", str(_site_packages(folder)))
        stamp.write_text(wanted, encoding="utf-8")
    if peer.tree is not None:
        copy_tree(peer.tree, _site_packages(folder))
        _run(str(python), "-m", "compileall", "-q", str(_site_packages(folder)))
    return python


def copy_tree(tree: Path, target: Path) -> None:
    """Copy the import packages of a tree of ours, in place of those of an earlier copy."""
    for package in PACKAGES:
        # Also what the tree does not have: the earlier copy may be of another tree.
        shutil.rmtree(target / package.import_name, ignore_errors=True)
    for source in import_packages(tree):
        shutil.rmtree(target / source.name, ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target / source.name, ignore=ignored)


def import_packages(tree: Path) -> list[Path]:
    """Return the folders of the import packages of a tree of ours; none if it is not one."""
    return [path.parent for path in sorted(tree.glob("packages/*/src/*/__init__.py"))]


def versions(peer: Peer) -> dict[str, str]:
    """Return what is pinned for a peer."""
    lines = peer.requirements.read_text(encoding="utf-8").splitlines()
    pins = (line.split(" ")[0].partition("==")[::2] for line in lines if "==" in line[:80])
    return dict(pins)


def _digest(peer: Peer) -> str:
    content = peer.requirements.read_bytes() + f"{sys.version} {sys.executable}".encode()
    return hashlib.sha256(content).hexdigest()


def _site_packages(folder: Path) -> Path:
    found = sorted(folder.glob("lib/python3*/site-packages")) or [folder / "Lib" / "site-packages"]
    return found[0]


def _run(*command: str) -> None:
    """Run a step, and exit with a message if it fails."""
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit(f"This step of setting up an environment failed: {' '.join(command)}")
