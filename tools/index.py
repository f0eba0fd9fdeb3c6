"""Make a folder that pip installs our packages from, in any combination of releases.

`make index` writes dist/simple. It holds the releases, each built from its tag. Of a package whose
version has no tag yet, it holds the tree's state. With `--tree` it holds only the tree's state.
`--check` runs the install lines of all READMEs against the folder, for each package in a new
environment, and then the first example of that README.
"""

import argparse
import hashlib
import html
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from redis_server import RedisServer
from tools.build import DIST, build
from tools.env import programs
from tools.isolated import closure, constraints, declared, subset
from tools.lock import name_of
from tools.packages import PACKAGES, Package, by_name
from tools.releases import built, releases
from tools.test import environment
from tools.versions import parse

__all__ = ["FOLDER", "check", "example", "files", "install_lines", "main", "write"]

FOLDER: Final = DIST / "simple"
#: The server in the README of the layer on Redis.
REDIS: Final = "redis://127.0.0.1:6379/0"
#: Of pip, with a value.
OPTIONS: Final = frozenset({"--extra-index-url", "--index-url", "--find-links"})
PAGE: Final = "<!DOCTYPE html>\n<title>{title}</title>\n{links}\n"


def write(archives: Iterable[Path], folder: Path) -> None:
    """Write an index with these source archives and wheels, in place of what is in the folder.

    Source: PEP 503, the simple repository API.
    """
    shutil.rmtree(folder, ignore_errors=True)
    names: dict[str, list[str]] = {}
    for file in archives:
        name = name_of(re.split(r"-\d", file.name)[0])
        target = folder / name / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        names.setdefault(name, []).append(_link(f"{file.name}#sha256={digest}", file.name))
    for name, links in names.items():
        page = PAGE.format(title=name, links="\n".join(sorted(links)))
        (folder / name / "index.html").write_text(page, encoding="utf-8")
    page = PAGE.format(title="Channels", links="\n".join(_link(f"{one}/", one) for one in names))
    (folder / "index.html").write_text(page, encoding="utf-8")


def _link(address: str, text: str) -> str:
    return f'<a href="{html.escape(address)}">{html.escape(text)}</a><br>'


def files(target: Path, *, tree: bool) -> list[Path]:
    """Return what belongs into the index.

    Args:
        target: The folder to build the tree's packages into.
        tree: Take only those, also where a release has the same version.
    """
    found: list[Path] = []
    for package in PACKAGES:
        known = [] if tree else releases(package)
        found += [file for version in known for file in built(package, version)]
        version = package.pyproject()["project"]["version"]
        if parse(version) not in known:
            found += build(package, target)
        for one in known:
            print(f"{package.name} {one}, from its tag", flush=True)
        if parse(version) not in known:
            print(f"{package.name} {version}, from the tree", flush=True)
    return found


def install_lines(text: str) -> list[list[Requirement]]:
    """Return what each `pip install` line of a README installs."""
    found = []
    for line in re.findall(r"^(?:\$ | {4})pip install (.*)$", text, re.MULTILINE):
        words = iter(shlex.split(line))
        wanted = []
        for word in words:
            if word in OPTIONS:
                next(words)
            else:
                wanted.append(Requirement(word))
        found.append(wanted)
    return found


def check(package: Package, index: Path, redis: str) -> str | None:
    """Run the install lines and the first example of a package's README.

    Args:
        package: The package.
        index: The folder of the index.
        redis: The address of a server, in place of the one that a README names.

    Returns:
        What went wrong, or None.
    """
    text = (package.folder / "README.md").read_text(encoding="utf-8")
    lines = install_lines(text)
    if not lines:
        return "its README has no line `pip install`"
    program, expected = example(text)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        python = str(programs(folder / "env") / "python")
        (folder / "example.py").write_text(program.replace(REDIS, redis), encoding="utf-8")
        steps = [[sys.executable, "-m", "venv", "--without-pip", str(folder / "env")]]
        for number, line in enumerate(lines):
            pins = folder / f"pins{number}.txt"
            pins.write_text(_pins(line), encoding="utf-8")
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
            quick = ["install", "-q", "--no-compile"]
            steps += [
                [*pip, *quick, "--no-deps", "--require-hashes", "--requirement", str(pins)],
                # Isolated from its settings: what is missing by now has to come from the index.
                [*pip, "--isolated", *quick, "--index-url", index.as_uri(), *map(str, line)],
                [*pip, "check"],
            ]
        for step in steps:
            done = _run(folder, step)
            if done.returncode:
                return f"$ {shlex.join(step)}\n{done.stdout}{done.stderr}"
        done = _run(folder, [python, "example.py"])
        if done.returncode or done.stdout != expected:
            return f"its first example printed:\n{done.stdout}{done.stderr}"
    return None


def example(text: str) -> tuple[str, str]:
    """Return the first program of a README, and what the README says that it prints."""
    blocks = {
        kind: re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        for kind in ("python", "text")
    }
    return blocks["python"][0], "".join(blocks["text"])


def _pins(line: Iterable[Requirement]) -> str:
    """Return the pins of the third-party packages that an install line needs."""
    wanted = [other for one in line for other in declared(by_name(name_of(one.name)), one.extras)]
    return subset(constraints().read_text(encoding="utf-8"), closure(wanted))


def _run(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=environment(), check=False, capture_output=True, text=True
    )


def _check_all(index: Path) -> list[str]:
    """Check all packages, two at a time, and return the names of those that failed."""
    with RedisServer() as server, ThreadPoolExecutor(max_workers=2) as pool:
        outputs = [*pool.map(lambda one: check(one, index, server.url), PACKAGES)]
    failed = []
    for package, output in zip(PACKAGES, outputs, strict=True):
        print(f"{package.name}: {output or 'installs, and its first example runs'}", flush=True)
        if output:
            failed.append(package.name)
    return failed


def main() -> None:
    """Write the index, and check it if that is requested."""
    parser = argparse.ArgumentParser(prog="tools.index", description=__doc__)
    parser.add_argument("--tree", action="store_true", help="only what the tree has now")
    parser.add_argument("--check", action="store_true", help="run install lines and examples")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        write(files(Path(temporary), tree=options.tree), FOLDER)
    print(f"pip install --extra-index-url {FOLDER.as_uri()} channels", flush=True)
    if options.check and (failed := _check_all(FOLDER)):
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
