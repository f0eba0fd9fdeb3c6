"""The metadata of each distribution, compared with the table and with its siblings."""

import json
import re
import tomllib
from importlib import import_module, metadata
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tools.packages import DJANGO, PACKAGES, PYTHON, ROOT, UNTRIED_PYTHON, Package, by_name

each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)


def requirements(package: Package) -> list[Requirement]:
    return [Requirement(line) for line in package.pyproject()["project"]["dependencies"]]


def test_the_table_names_every_distribution() -> None:
    folders = {path.parent.name for path in (ROOT / "packages").glob("*/pyproject.toml")}
    assert folders == {package.name for package in PACKAGES}


def test_the_table_has_each_package_after_those_it_needs() -> None:
    seen: set[str] = set()
    for package in PACKAGES:
        assert seen.issuperset(package.needs)
        seen.add(package.name)


@each_package
class TestEachPackage:
    def test_its_files_are_there(self, package: Package) -> None:
        for name in ("README.md", "CHANGELOG.md", "changelog.d/.gitignore", "tests/settings.py"):
            assert (package.folder / name).is_file(), name
        assert (package.source / "py.typed").is_file()
        assert (package.folder / "README.md").read_text().startswith(f"# {package.name}\n")

    def test_its_licence_is_that_of_the_tree(self, package: Package) -> None:
        assert (package.folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()

    def test_its_metadata_is_complete(self, package: Package) -> None:
        parsed = package.pyproject()
        project = parsed["project"]
        assert parsed["build-system"] == {
            "requires": ["poetry-core>=2.0,<3"],
            "build-backend": "poetry.core.masonry.api",
        }
        assert parsed["tool"]["poetry"] == {
            "packages": [{"include": package.import_name, "from": "src"}],
            "include": [
                {"path": "CHANGELOG.md", "format": "sdist"},
                {"path": "tests", "format": "sdist"},
            ],
        }
        assert project["name"] == package.name
        assert project["readme"] == "README.md"
        assert project["requires-python"] == f">={PYTHON[0][0]}.{PYTHON[0][1]}"
        assert project["description"].endswith(".")

    def test_its_licence_is_an_expression_and_no_classifier(self, package: Package) -> None:
        project = package.pyproject()["project"]
        assert project["license"] == "BSD-3-Clause"
        assert project["license-files"] == ["LICENSE"]
        assert not [one for one in project["classifiers"] if one.startswith("License ::")]

    def test_its_classifiers_name_what_was_tried(self, package: Package) -> None:
        classifiers = package.pyproject()["project"]["classifiers"]
        python = [one for one in classifiers if re.search(r":: 3\.\d+$", one)]
        django = [one for one in classifiers if re.search(r"Django :: \d", one)]
        tried = [one for one in PYTHON if one not in UNTRIED_PYTHON]
        assert python == [f"Programming Language :: Python :: {x}.{y}" for x, y in tried]
        assert django == [f"Framework :: Django :: {series}" for series in DJANGO]
        assert "Typing :: Typed" in classifiers
        assert classifiers == sorted(classifiers)

    def test_it_requires_the_siblings_that_the_table_names(self, package: Package) -> None:
        siblings = {one.name for one in PACKAGES}
        required = {one.name for one in requirements(package)}
        assert required & siblings == set(package.needs)

    def test_it_requires_a_range_up_to_the_next_major_version(self, package: Package) -> None:
        for requirement in requirements(package):
            if requirement.name not in package.needs:
                continue
            version = Version(by_name(requirement.name).pyproject()["project"]["version"])
            assert version in requirement.specifier
            assert {one.operator for one in requirement.specifier} == {">=", "<"}
            assert f"<{version.major + 1}" in str(requirement.specifier)

    def test_its_version_is_the_one_in_its_pyproject(self, package: Package) -> None:
        version = package.pyproject()["project"]["version"]
        assert metadata.version(package.name) == version
        assert import_module(package.import_name).__version__ == version
        # A literal, for programs without metadata, such as frozen or vendored ones.
        assert f'__version__: str = "{version}"\n' in (package.source / "__init__.py").read_text()

    def test_its_changelog_has_a_place_for_the_next_entry(self, package: Package) -> None:
        settings = package.pyproject()["tool"]["towncrier"]
        assert settings["start_string"] in (package.folder / "CHANGELOG.md").read_text()

    def test_its_fragments_have_names_that_towncrier_reads(self, package: Package) -> None:
        kinds = {one["directory"] for one in package.pyproject()["tool"]["towncrier"]["type"]}
        for path in (package.folder / "changelog.d").glob("[!.]*"):
            assert re.fullmatch(rf"(\d+|\+[a-z0-9-]+)\.({'|'.join(kinds)})\.md", path.name)
            assert path.read_text().strip()


class TestTheMetaPackage:
    """What the metadata of other distributions require of `channels`."""

    @pytest.mark.parametrize(
        "requirement",
        [
            "channels>=4.2.2",  # channels-redis 4.3.0
            "channels>=4.1.0",  # djangochannelsrestframework 1.3.0
            "channels>=4.0.0",  # strawberry-graphql[channels]
            "channels",
        ],
    )
    def test_its_version_satisfies_them(self, requirement: str) -> None:
        version = by_name("channels").pyproject()["project"]["version"]
        assert version in Requirement(requirement).specifier

    def test_it_has_the_extras_that_they_and_programs_name(self) -> None:
        extras = by_name("channels").pyproject()["project"]["optional-dependencies"]
        assert extras.keys() == {"daphne", "layers-redis", "redis", "types"}

    def test_the_server_comes_with_it_and_with_the_extra_of_its_name(self) -> None:
        project = by_name("channels").pyproject()["project"]
        (extra,) = project["optional-dependencies"]["daphne"]
        assert extra in project["dependencies"]
        assert Requirement(extra).extras == {"daphne"}


def without_names(package: Package, section: str) -> dict[str, Any]:
    found = dict(package.pyproject()["tool"][section])
    for key, value in (("name", package.name), ("package", package.import_name)):
        assert found.pop(key, value) == value
    extras = package.pyproject()["project"].get("optional-dependencies", {})
    for marker in found.pop("markers", []):
        name, _, meaning = marker.partition(": ")
        assert (name in extras, meaning) == (True, "needs the extra of that name")
    return found


@pytest.mark.parametrize("section", ["pytest", "towncrier"])
def test_the_tools_are_set_up_the_same_everywhere(section: str) -> None:
    first, *others = PACKAGES
    for other in others:
        assert without_names(other, section) == without_names(first, section)


def test_the_tests_of_the_tree_run_under_the_same_rules() -> None:
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]
    package = without_names(PACKAGES[0], "pytest")
    assert {**root, "pythonpath": None} == {**package, "pythonpath": None}


def test_ci_runs_every_supported_pair() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()

    def matrix(name: str) -> list[str]:
        found = re.search(rf"^ +{name}: (\[.*\])$", workflow, re.MULTILINE)
        assert found
        return list(json.loads(found[1]))

    excluded = set(re.findall(r'- { python: "(.*)", django: "(.*)" }', workflow))
    pairs = {(python, django) for python in matrix("python") for django in matrix("django")}
    assert pairs - excluded == {
        (f"{major}.{minor}", series)
        for major, minor in PYTHON
        for series, oldest in DJANGO.items()
        if (major, minor) >= oldest
    }


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "RELEASING.md", ".ci/run"])
def test_every_target_that_a_page_names_exists(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = re.findall(r"(?:`|^ +)make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE)
    assert named
    assert targets.issuperset(named)


def test_the_extras_of_channels_4_exist() -> None:
    offered = metadata.metadata("channels").get_all("Provides-Extra") or []
    assert {"daphne", "types"} <= set(offered)
