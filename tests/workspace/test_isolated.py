import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.isolated import closure, declared, selection, subset, title, uncovered, variants
from tools.packages import Package, by_name

PINS = """\
# Pins.
asgiref==3.13.0 \\
    --hash=sha256:aa \\
    --hash=sha256:ab
sphinx==9.0.4 ; python_full_version < '3.12' \\
    --hash=sha256:ba
sphinx==9.2.0 ; python_full_version >= '3.12' \\
    --hash=sha256:bb
zope-interface==8.7 \\
    --hash=sha256:ca
"""


def names(package: str) -> set[str]:
    return {requirement.name for requirement in declared(by_name(package))}


def test_core_alone_declares_django_and_asgiref() -> None:
    assert names("channels-core") == {"Django", "asgiref"}


def test_requirements_of_siblings_are_included() -> None:
    assert names("channels-layers-memory") == {"Django", "asgiref", "msgpack"}


def test_an_extra_is_included_only_if_it_is_requested() -> None:
    assert "daphne" not in names("channels-http")
    assert "daphne" in names("channels")


def test_a_package_whose_tests_are_marked_by_an_extra_runs_without_and_with_it() -> None:
    package = by_name("channels-http")
    assert variants(package) == [(), ("daphne",)]
    assert [title(package, extras) for extras in variants(package)] == [
        "channels-http",
        "channels-http[daphne]",
    ]


def test_each_test_of_such_a_package_runs_in_one_of_its_variants() -> None:
    package = by_name("channels-http")
    assert selection(package, ()) == ["-m", "not daphne"]
    assert selection(package, ("daphne",)) == ["-m", "daphne"]


def test_other_packages_run_once() -> None:
    # It has an extra, and no test that needs it.
    package = by_name("channels")
    assert variants(package) == [()]
    assert selection(package, ()) == []


def test_the_closure_follows_requirements_and_their_markers() -> None:
    found = closure([Requirement("Django>=5.2"), Requirement("pytest>=9")])
    assert found >= {"django", "asgiref", "sqlparse", "pytest", "pluggy", "iniconfig"}
    assert "daphne" not in found
    assert "argon2-cffi" not in found


def test_an_extra_widens_the_closure() -> None:
    assert "twisted" in closure([Requirement("daphne>=4.2")])


def test_a_subset_keeps_each_pin_with_its_hashes() -> None:
    assert subset(PINS, {"asgiref", "sphinx"}) == PINS[len("# Pins.\n") : PINS.index("zope")]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Package:
    """Return a package of one file, which two runs cover together."""
    source = tmp_path / "packages" / "small" / "src" / "small"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("def half(wanted):\n    return 1 if wanted else 2\n")
    (source.parents[1] / "pyproject.toml").write_text("""
[project]
dependencies = []
optional-dependencies.more = []
[tool.pytest]
markers = ["more: needs more"]
""")
    monkeypatch.setattr("tools.isolated.REPORTS", tmp_path)
    return Package("small", root=tmp_path)


def measure(package: Package, extras: str, program: str, folder: Path) -> None:
    """Run a program as a run of this package's tests in an environment of its own."""
    installed = folder / extras / "site-packages"
    shutil.copytree(package.source, installed / "small")
    data = folder / f"small{extras}.coverage"
    subprocess.run(
        (sys.executable, "-c", MEASURED, str(data), program),
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=True,
    )


MEASURED = """
import sys
from coverage import Coverage
coverage = Coverage(data_file=sys.argv[1], branch=True, source_pkgs=["small"])
coverage.start()
exec(sys.argv[2])
coverage.stop()
coverage.save()
"""


def test_runs_that_cover_all_together_pass(small: Package, tmp_path: Path) -> None:
    measure(small, "", "import small; small.half(True)", tmp_path)
    measure(small, "[more]", "import small; small.half(False)", tmp_path)
    assert uncovered(small) is None


def test_a_line_that_no_run_covers_is_reported(small: Package, tmp_path: Path) -> None:
    for extras in ("", "[more]"):
        measure(small, extras, "import small", tmp_path)
    report = uncovered(small)
    assert report is not None
    assert "__init__.py" in report.splitlines()[2]
    assert "50%" in report.splitlines()[2]


def test_runs_without_a_measurement_are_reported(small: Package) -> None:
    assert "There is no coverage" in str(uncovered(small))
