"""Test each package's wheel alone: only with what it declares and the tools its tests use.

A package that uses something it does not declare passes in the common environment and fails here.
The pins and their hashes are those of the common environment. All runs of a package together must
reach full branch coverage.
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import django
from coverage import Coverage, CoverageException
from packaging.requirements import Requirement

from tools import summary
from tools.build import build, unpacked
from tools.env import programs
from tools.lock import name_of
from tools.packages import PACKAGES, ROOT, Package, select, with_needs
from tools.test import environment

__all__ = [
    "closure",
    "constraints",
    "copy_tests",
    "declared",
    "main",
    "selection",
    "subset",
    "title",
    "try_alone",
    "uncovered",
    "variants",
]

REPORTS: Final = summary.REPORTS / "isolated"
TEST_TOOLS: Final = ROOT / "constraints" / "test.in"
CONFIGURATION: Final = ROOT / "pyproject.toml"
FULL: Final = 100.0
SIBLINGS: Final = {package.name: package for package in PACKAGES}


def declared(package: Package, extras: Iterable[str] = ()) -> list[Requirement]:
    """Return a package's third-party requirements, including those of its siblings."""
    project = package.pyproject()["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    found: list[Requirement] = []
    for requirement in map(Requirement, wanted):
        sibling = SIBLINGS.get(name_of(requirement.name))
        found += declared(sibling, requirement.extras) if sibling else [requirement]
    return found


def closure(requirements: Iterable[Requirement]) -> set[str]:
    """Return the names of all distributions that these requirements install.

    Their dependencies are read from the common environment.
    """
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    pending = [(name_of(one.name), {"", *one.extras}) for one in requirements]
    while pending:
        name, extras = pending.pop()
        for extra in extras - {other for seen_name, other in seen if seen_name == name}:
            seen.add((name, extra))
            found.add(name)
            for line in distribution(name).requires or ():
                one = Requirement(line)
                if one.marker is None or one.marker.evaluate({"extra": extra}):
                    pending.append((name_of(one.name), {"", *one.extras}))
    return found


def subset(constraints: str, names: set[str]) -> str:
    """Return the pins of these distributions, with their hashes."""
    pins = re.findall(r"^[^\s#].*(?:\n[ \t].*)*", constraints, flags=re.MULTILINE)
    return "\n".join(pin for pin in pins if name_of(pin) in names) + "\n"


def constraints() -> Path:
    """Return the constraints of the common environment."""
    series = ".".join(map(str, django.VERSION[:2]))
    return ROOT / "constraints" / f"django-{series}.txt"


def _run(folder: Path, *command: str, data: Path) -> str | None:
    """Run a step in a folder; return its output if it failed, else None.

    Args:
        data: The file of the coverage that it measures.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env={**environment(), "COVERAGE_FILE": str(data)},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return f"$ {' '.join(command)}\n{done.stdout}" if done.returncode else None


def variants(package: Package) -> list[tuple[str, ...]]:
    """Return the sets of extras to test a package with: none, then those that tests need.

    A test that needs an extra has a marker of the same name. The first run shows that the rest of
    the package works without the extras; the second runs the marked tests. `make test` runs all
    tests with all extras.
    """
    options = package.pyproject()
    marked = {line.partition(":")[0] for line in options["tool"]["pytest"].get("markers", [])}
    extras = sorted(marked & options["project"].get("optional-dependencies", {}).keys())
    return [(), tuple(extras)] if extras else [()]


def selection(package: Package, extras: Iterable[str]) -> list[str]:
    """Return the pytest options that select the tests of a variant."""
    if wanted := sorted(extras):
        return ["-m", " or ".join(wanted)]
    absent = [extra for every in variants(package) for extra in every]
    return ["-m", " and ".join(f"not {extra}" for extra in absent)] if absent else []


def title(package: Package, extras: Iterable[str] = ()) -> str:
    """Return the requirement of a package with these extras, as in `channels-http[daphne]`."""
    return f"{package.name}[{','.join(extras)}]" if extras else package.name


def _measured(package: Package, extras: Iterable[str]) -> Path:
    """Return the file with the coverage of one run."""
    return REPORTS / f"{title(package, extras)}.coverage"


def uncovered(package: Package) -> str | None:
    """Return a report of what no run of this package's tests covered, or None."""
    coverage = Coverage(
        data_file=str(REPORTS / f"{package.name}.all.coverage"), config_file=str(CONFIGURATION)
    )
    # The wheel's files are those of the source, in the folder of another environment.
    coverage.set_option("paths", {"source": [str(package.source.parent), "*/site-packages"]})
    report = io.StringIO()
    try:
        coverage.combine([str(_measured(package, extras)) for extras in variants(package)])
        percent = coverage.report(file=report)
    except CoverageException as error:
        return f"There is no coverage: {error}"
    return report.getvalue() if percent < FULL else None


def copy_tests(archive: Path, folder: Path) -> None:
    """Copy the tests in a source archive, and their settings, to a folder."""
    # Not the source: beside it the tests might import it instead of the wheel.
    with unpacked(archive) as source:
        shutil.copytree(source / "tests", folder / "tests")
        shutil.copy(source / "pyproject.toml", folder)


def try_alone(package: Package, extras: tuple[str, ...], wheels: Path) -> str | None:
    """Test one package in its own environment; return the output if that failed, else None.

    Args:
        package: The package.
        extras: The extras to install; they select the tests.
        wheels: A folder with its source archive, which has the tests, its wheel, and the wheels of
            the siblings that it needs.
    """
    tools = [
        Requirement(line)
        for line in TEST_TOOLS.read_text().splitlines()
        if line and not line.startswith("#")
    ]
    names = closure([*declared(package, extras), *tools])
    report = REPORTS / f"{title(package, extras)}.xml"
    data = _measured(package, extras)
    report.unlink(missing_ok=True)
    data.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy_tests(next(wheels.glob(f"{package.import_name}-*.tar.gz")), folder)
        pins = folder / "pins.txt"
        pins.write_text(subset(constraints().read_text(), names))
        python = str(programs(folder / "env") / "python")
        # The common environment's pip installs; the new environment has no pip.
        pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
        quick = ("-q", "--no-compile", "--no-deps")
        files = [str(next(wheels.glob(f"{one.import_name}-*.whl"))) for one in with_needs(package)]
        expected = sorted({*names, *(one.name for one in with_needs(package))})
        steps = [
            (sys.executable, "-m", "venv", "--without-pip", str(folder / "env")),
            (*pip, "install", *quick, "--require-hashes", "-r", str(pins)),
            (*pip, "install", *quick, "--no-index", *files),
            (*pip, "check"),
            (python, "-c", PROOF, package.import_name, *expected),
            (
                *(python, "-m", "pytest", "-q", *selection(package, extras)),
                *(f"--cov={package.import_name}", f"--cov-config={CONFIGURATION}", "--cov-report="),
                *summary.options(report),
            ),
        ]
        for step in steps:
            if output := _run(folder, *step, data=data):
                return output
    return None


# Runs in the new environment: the package is the installed one, and nothing undeclared is there.
PROOF: Final = """
import importlib, importlib.metadata, re, sys
module, *expected = sys.argv[1:]
file = importlib.import_module(module).__file__
assert file.startswith(sys.prefix), f"{module} was imported from {file}"
found = {re.sub("[-_.]+", "-", one.name).lower() for one in importlib.metadata.distributions()}
assert found <= set(expected), f"undeclared: {sorted(found - set(expected))}"
"""


def main() -> None:
    """Test the named package, or all, two at a time."""
    chosen = select(sys.argv[1] if len(sys.argv) > 1 else None)
    runs = [(package, extras) for package in chosen for extras in variants(package)]
    REPORTS.mkdir(parents=True, exist_ok=True)
    failed = []
    with tempfile.TemporaryDirectory() as temporary:
        wheels = Path(temporary)
        for package in PACKAGES:
            if any(package in with_needs(one) for one in chosen):
                build(package, wheels)
        with ThreadPoolExecutor(max_workers=2) as pool:
            outputs = pool.map(lambda run: try_alone(run[0], run[1], wheels), runs)
            for run, output in zip(runs, outputs, strict=True):
                print(f"{title(*run)}: {'failed' if output else 'passes alone'}", flush=True)
                if output:
                    print(output, flush=True)
                    failed.append(title(*run))
        for package in chosen:
            if lines := uncovered(package):
                print(f"{package.name}: not all is covered\n{lines}", flush=True)
                failed.append(f"coverage of {package.name}")
    summary.show(path for run in runs if (path := REPORTS / f"{title(*run)}.xml").is_file())
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
