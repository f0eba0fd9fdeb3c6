"""Test the packages with the oldest and the newest versions that their metadata admit.

Four groups of runs, each run in a new environment with wheels, and with the tests of the source
archive:

- `old siblings`: each package of the tree with the oldest releases of its siblings that it admits.
- `new siblings`: the oldest release of each package that admits the tree's siblings, with these.
- `oldest`: each package with the oldest third-party versions, on the oldest Python.
- `newest`: each package with the newest third-party versions, on the newest Python here.

A fifth group runs only if it is named: `pairs`, all packages on each pair of Python and Django.
The releases are built from their tags. The results are collected in build/compat.json; `--write`
makes the table of the documentation from them.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from packaging.version import Version

from tools import summary
from tools.build import build
from tools.env import programs
from tools.isolated import copy_tests, declared, variants
from tools.lock import name_of
from tools.packages import DJANGO, PACKAGES, PYTHON, ROOT, Package, by_name, with_needs
from tools.releases import built, checkout, fitting, ranges, releases, tag_of
from tools.test import environment
from tools.versions import NoRelease

__all__ = [
    "GROUPS",
    "PAGE",
    "Result",
    "Run",
    "interpreters",
    "is_wanted",
    "main",
    "pinned",
    "plan",
    "table",
]

RESULTS: Final = ROOT / "build" / "compat.json"
REPORTS: Final = summary.REPORTS / "compat"
PAGE: Final = ROOT / "docs" / "topics" / "versions-tried.md"
TEST_TOOLS: Final = ROOT / "constraints" / "test.in"
GROUPS: Final = ("old siblings", "new siblings", "oldest", "newest")
PAIRS: Final = "pairs"
#: The third-party packages whose versions the table shows.
SHOWN: Final = ("django", "asgiref", "daphne", "msgpack", "redis")
UV: Final = (sys.executable, "-m", "uv")
#: Marks the tree's version, beside the versions of releases.
TREE: Final = "tree"


@dataclass(frozen=True, slots=True)
class Run:
    """A package, and what it is tested with.

    Attributes:
        group: The name of the group.
        package: The package.
        versions: The release of the package and of each sibling; `tree` for the tree's state.
        python: The version of the interpreter.
        django: The Django series whose pins are used; an empty text for no pins.
        resolution: Of the third-party versions, as uv names it.
    """

    group: str
    package: str
    versions: Mapping[str, str]
    python: tuple[int, int] = PYTHON[0]
    django: str = next(iter(DJANGO))
    resolution: str = "highest"

    @property
    def key(self) -> str:
        """Return a name for its results, which a later run of the same replaces."""
        pair = f"{self.python[0]}.{self.python[1]} {self.django}" if self.group == PAIRS else ""
        return f"{self.group} {pair} {self.package}".replace("  ", " ")


@dataclass(frozen=True, slots=True)
class Result:
    """What a run found.

    Attributes:
        group: The name of the group.
        package: The package.
        siblings: The versions of our packages, the tested one first.
        python: The version of the interpreter.
        third_party: The versions of third-party packages, by name.
        passed: The number of tests that passed.
        failed: The number that failed; -1 if the tests could not start.
        skipped: The number that were skipped.
    """

    group: str
    package: str
    siblings: Mapping[str, str]
    python: str
    third_party: Mapping[str, str] = field(default_factory=dict)
    passed: int = 0
    failed: int = -1
    skipped: int = 0


def interpreters() -> dict[tuple[int, int], str]:
    """Return the interpreters of the supported versions on this machine, those of pyenv too."""
    root = os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))
    folders = [str(path) for path in sorted(Path(root).glob("versions/*/bin"))]
    path = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])
    found = {}
    for version in PYTHON:
        name = f"python{version[0]}.{version[1]}"
        program = shutil.which(name, path=path)
        # A shim of pyenv exists also where its version does not.
        if program and not subprocess.run([program, "-c", ""], check=False).returncode:
            found[version] = program
    return found


def plan(groups: Iterable[str], pythons: Iterable[tuple[int, int]]) -> Iterator[Run | str]:
    """Yield the runs of these groups, or why there is none for a package.

    Args:
        groups: The names of the groups.
        pythons: The versions of the interpreters, oldest first.
    """
    oldest, *_ = known = [*pythons]
    for group in groups:
        for package in PACKAGES:
            tree = {one.name: TREE for one in with_needs(package)}
            if group == "oldest":
                yield Run(group, package.name, tree, oldest, "", "lowest-direct")
            elif group == "newest":
                yield Run(group, package.name, tree, known[-1], "")
            elif group == PAIRS:
                for series, python in _pairs(known):
                    yield Run(group, package.name, tree, python, series)
            elif package.needs:
                yield _paired(group, package, tree)


def _pairs(pythons: Iterable[tuple[int, int]]) -> Iterator[tuple[str, tuple[int, int]]]:
    for python in pythons:
        for series, least in DJANGO.items():
            if python >= least:
                yield series, python


def _paired(group: str, package: Package, tree: Mapping[str, str]) -> Run | str:
    """Return the run of a package with siblings of another age."""
    if group == "old siblings":
        try:
            chosen = fitting(package, min)
        except NoRelease as error:
            return str(error)
        return Run(group, package.name, {**tree, **{one: str(it) for one, it in chosen.items()}})
    now = {one.name: Version(one.pyproject()["project"]["version"]) for one in PACKAGES}
    for version in releases(package):
        with checkout(package.root, tag_of(package, version)) as folder:
            required = ranges(package.at(folder).pyproject())
        if all(now[name] in specifier for name, specifier in required.items()):
            return Run(group, package.name, {**tree, package.name: str(version)})
    return f"{package.name} has no release that admits the tree's siblings"


def pinned(tools: str, pins: str) -> list[str]:
    """Return the tools of the tests in the versions of the constraints."""
    versions = dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", pins, re.MULTILINE))
    names = [line for line in tools.splitlines() if line and not line.startswith("#")]
    return [f"{line.partition('>')[0]}=={versions[name_of(line)]}" for line in names]


def _install(run: Run, program: str, folder: Path, wheels: Mapping[str, Path]) -> list[list[str]]:
    """Return the steps that make the environment of a run."""
    package = by_name(run.package)
    # Installed together, so that one run has all tests.
    extras = sorted({extra for every in variants(package) for extra in every})
    wanted = [
        f"{name}[{','.join(extras)}] @ {file.as_uri()}"
        if name == run.package and extras
        else f"{name} @ {file.as_uri()}"
        for name, file in wheels.items()
    ]
    series = run.django or next(iter(DJANGO))
    pins = (ROOT / "constraints" / f"django-{series}.txt").read_text(encoding="utf-8")
    wanted += pinned(TEST_TOOLS.read_text(encoding="utf-8"), pins)
    options = ["--resolution", run.resolution]
    if run.django:
        lines = re.findall(r"^[a-z0-9-]+==[^\\\n]+", pins, re.MULTILINE)
        (folder / "pins.txt").write_text("\n".join(lines), encoding="utf-8")
        options += ["--constraint", str(folder / "pins.txt")]
    else:
        # Named here, so that the oldest versions are those that our metadata admit.
        wanted += [str(one) for one in declared(package, extras)]
    (folder / "wanted.txt").write_text("\n".join(wanted), encoding="utf-8")
    env = str(folder / "env")
    install = [*UV, "pip", "install", "--quiet", "--python", env, *options]
    return [
        [*UV, "venv", "--quiet", "--python", program, env],
        [*install, "--requirement", str(folder / "wanted.txt")],
        [*UV, "pip", "check", "--quiet", "--python", env],
    ]


def _tried(run: Run, program: str, tree: Mapping[str, tuple[Path, Path]]) -> Result:
    """Make the environment of a run, run the tests, and return what was found."""
    files = {
        name: tree[name] if version == TREE else built(by_name(name), Version(version))
        for name, version in run.versions.items()
    }
    report = REPORTS / f"{run.key.replace(' ', '-')}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    own = {name: wheel.name.split("-")[1] for name, (_, wheel) in files.items()}
    order = sorted(own, key=lambda name: name != run.package)
    siblings = {
        name: f"{own[name]} (tree)" if run.versions[name] == TREE else own[name] for name in order
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy_tests(files[run.package][0], folder)
        wheels = {name: wheel for name, (_, wheel) in files.items()}
        for step in _install(run, program, folder, wheels):
            done = _step(folder, step)
            if done.returncode:
                print(done.stdout)
                return Result(run.group, run.package, siblings, _dotted(run.python))
        python = str(programs(folder / "env") / "python")
        tests = [python, "-m", "pytest", "-q", *summary.options(report)]
        done = _step(folder, tests)
        if done.returncode:
            print(done.stdout)
        # "Django==5.2" and the like, after a line on stderr in the same output.
        listed = _step(folder, [*UV, "pip", "freeze", "--python", python]).stdout.lower()
    versions = dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", listed, re.MULTILINE))
    third = {name: versions[name] for name in SHOWN if name in versions}
    found = Result(run.group, run.package, siblings, _dotted(run.python), third)
    if not report.is_file():
        return found
    counts = summary.count([report])
    skipped = counts.skipped + counts.xfailed
    return Result(
        **{**asdict(found), "passed": counts.passed, "failed": counts.failed, "skipped": skipped}
    )


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _step(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        # uv would mark what it says about an environment of its own that is active.
        env={name: it for name, it in environment().items() if name != "VIRTUAL_ENV"},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def table(results: Iterable[Result]) -> str:
    """Return the results as a table in Markdown."""
    rows = ["| runs | package | with | Python | third-party | passed | skipped |"]
    rows.append("|---|---|---|---|---|---|---|")
    for one in results:
        (own, version), *others = one.siblings.items()
        beside = ", ".join(f"{name.removeprefix('channels-')} {it}" for name, it in others)
        third = ", ".join(f"{name} {it}" for name, it in one.third_party.items())
        passed = str(one.passed) if not one.failed else f"{one.passed}, **{one.failed} failed**"
        rows.append(
            f"| {one.group} | {own} {version} | {beside or 'no sibling'} | {one.python} | {third} "
            f"| {passed} | {one.skipped} |"
        )
    return "\n".join(rows) + "\n"


def is_wanted(run: Run, packages: Collection[str] | None, pairs: Collection[str] | None) -> bool:
    """Return whether a run is one of these packages and, of the pairs, one of these.

    Args:
        run: The run.
        packages: The names of packages; None for all.
        pairs: Of Python and Django, such as 3.12-6.0; None for all.
    """
    pair = f"{_dotted(run.python)}-{run.django}"
    return (not packages or run.package in packages) and (
        run.group != PAIRS or not pairs or pair in pairs
    )


def _stored() -> dict[str, dict[str, Any]]:
    if not RESULTS.is_file():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Run the named groups, or the first four."""
    parser = argparse.ArgumentParser(prog="tools.compat", description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"of {', '.join([*GROUPS, PAIRS])}")
    parser.add_argument("--package", action="append", help="only this one; may be repeated")
    parser.add_argument("--pair", action="append", help="only this one: 3.12-6.0; may be repeated")
    parser.add_argument("--write", action="store_true", help="write the documentation's table")
    options = parser.parse_args()
    chosen = [group for group in (*GROUPS, PAIRS) if group in (options.groups or GROUPS)]
    if unknown := set(options.groups) - {*GROUPS, PAIRS}:
        sys.exit(f"There is no group {', '.join(sorted(unknown))}: choose from {GROUPS}.")
    programs_by_version = interpreters()
    missing = [_dotted(one) for one in PYTHON if one not in programs_by_version]
    print(f"not on this machine: Python {', '.join(missing) or '-'}", flush=True)
    bad = []
    with tempfile.TemporaryDirectory() as temporary:
        tree = {one.name: build(one, Path(temporary)) for one in PACKAGES}
        for run in plan(chosen, programs_by_version):
            if isinstance(run, str):
                print(f"not run: {run}", flush=True)
            elif is_wanted(run, options.package, options.pair):
                result = _tried(run, programs_by_version[run.python], tree)
                stored = {**_stored(), run.key: asdict(result)}
                RESULTS.write_text(json.dumps(stored, indent=1), encoding="utf-8")
                print(table([result]).splitlines()[-1], flush=True)
                bad += [run.key] if result.failed else []
    results = [Result(**one) for one in _stored().values()]
    results.sort(key=lambda one: [*GROUPS, PAIRS].index(one.group))
    print(table(results))
    if options.write:
        PAGE.write_text(table(results), encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}")
    if bad:
        sys.exit(f"failed: {', '.join(bad)}")


if __name__ == "__main__":
    main()
