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
from tools.packages import PACKAGES, ROOT, Package, by_name
from tools.releases import built, releases
from tools.test import environment
from tools.versions import parse

__all__ = ["FOLDER", "check", "files", "install_lines", "main", "write"]

FOLDER: Final = DIST / "simple"
EXAMPLES: Final = ROOT / "tests" / "first_examples"
#: The package whose example needs the address of Redis.
ON_REDIS: Final = "channels-layers-redis"
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


def check(package: Package, index: Path, arguments: Iterable[str] = ()) -> str | None:
    """Run the install lines and the first example of a package's README.

    Args:
        package: The package.
        index: The folder of the index.
        arguments: More arguments for the script of the example.

    Returns:
        The output of the first step that failed, or None.
    """
    readme = package.folder / "README.md"
    lines = install_lines(readme.read_text(encoding="utf-8"))
    if not lines:
        return f"{readme} has no line `pip install`"
    script = EXAMPLES / f"try_{package.import_name}.py"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        python = str(programs(folder / "env") / "python")
        steps = [[sys.executable, "-m", "venv", "--without-pip", str(folder / "env")]]
        for number, line in enumerate(lines):
            pins = folder / f"pins{number}.txt"
            pins.write_text(_pins(line), encoding="utf-8")
            third = ("--no-deps", "--require-hashes", "--requirement", str(pins))
            steps.append(
                [
                    sys.executable,
                    "-m",
                    "uv",
                    "pip",
                    "install",
                    "--quiet",
                    "--python",
                    python,
                    *third,
                ]
            )
            # Isolated from its settings: all that is missing by now has to come from the index.
            pip = (sys.executable, "-m", "pip", "--isolated", "--python", python)
            ours = ("-q", "--no-compile", "--disable-pip-version-check")
            where = ("--index-url", index.as_uri())
            steps.append([*pip, "install", *ours, *where, *map(str, line)])
            steps.append([*pip, "check"])
            if number == 0:
                # In the temporary folder, where the source is not.
                steps.append([python, str(script), str(readme), *arguments])
        for step in steps:
            if output := _run(folder, step):
                return output
    return None


def _pins(line: Iterable[Requirement]) -> str:
    """Return the pins of the third-party packages that an install line needs."""
    wanted = [other for one in line for other in declared(by_name(name_of(one.name)), one.extras)]
    return subset(constraints().read_text(encoding="utf-8"), closure(wanted))


def _run(folder: Path, command: list[str]) -> str | None:
    """Run a step; return its output if it failed, else None."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return f"$ {shlex.join(command)}\n{done.stdout}" if done.returncode else None


def _check_all(index: Path) -> list[str]:
    """Check all packages, two at a time, and return the names of those that failed."""
    with RedisServer() as server, ThreadPoolExecutor(max_workers=2) as pool:
        arguments = {ON_REDIS: [server.url]}
        outputs = [*pool.map(lambda one: check(one, index, arguments.get(one.name, [])), PACKAGES)]
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
