import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from small_tree import SmallTree
from tools import index
from tools.index import check, example, files, install_lines, write
from tools.packages import PACKAGES, ROOT, Package

each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)

READMES = [ROOT / "README.md", *(package.folder / "README.md" for package in PACKAGES)]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallTree:
    tree = SmallTree(tmp_path / "tree")
    monkeypatch.setattr(index, "PACKAGES", [tree.core, tree.auth])
    return tree


def test_it_has_the_releases_and_what_has_none_yet(tree: SmallTree, tmp_path: Path) -> None:
    tree.tag(tree.core, "1.0.0")
    found = files(tmp_path / "built", tree=False)
    assert [path.name for path in found] == [
        "channels_core-1.0.0.tar.gz",
        "channels_core-1.0.0-py3-none-any.whl",
        "channels_auth-1.0.0.tar.gz",
        "channels_auth-1.0.0-py3-none-any.whl",
    ]
    # The first two are built once.
    assert found[0].parent.name.startswith("channels-core-v1.0.0-")
    assert files(tmp_path / "again", tree=False)[0] == found[0]


def test_of_the_tree_it_has_what_is_there_now(tree: SmallTree, tmp_path: Path) -> None:
    tree.tag(tree.core, "1.0.0")
    assert {path.parent.name for path in files(tmp_path / "built", tree=True)} == {"built"}


def test_pip_installs_each_release_from_it(tree: SmallTree, tmp_path: Path) -> None:
    write(files(tmp_path / "built", tree=True), tmp_path / "simple")
    found = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check"),
            *("download", "--no-deps", "--index-url", (tmp_path / "simple").as_uri()),
            *("--dest", str(tmp_path / "downloaded"), "channels-auth>=1.0,<2", "channels_core"),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    assert sorted(path.name for path in (tmp_path / "downloaded").iterdir()) == [
        "channels_auth-1.0.0-py3-none-any.whl",
        "channels_core-1.0.0-py3-none-any.whl",
    ]


def test_what_was_there_before_is_gone(tmp_path: Path) -> None:
    (tmp_path / "simple" / "channels-old").mkdir(parents=True)
    wheel = tmp_path / "channels_core-1.0.0-py3-none-any.whl"
    wheel.touch()
    write([wheel], tmp_path / "simple")
    assert sorted(path.name for path in (tmp_path / "simple").iterdir()) == [
        "channels-core",
        "index.html",
    ]


def test_the_install_lines_of_a_page_are_found() -> None:
    page = (
        "    pip install channels-core\n"
        "```console\n"
        '$ pip install "channels-http[daphne]" channels-core\n'
        "```\n"
        "pip install other\n"
        '    pip install --extra-index-url "file:///some/where" channels\n'
    )
    assert install_lines(page) == [
        [Requirement("channels-core")],
        [Requirement("channels-http[daphne]"), Requirement("channels-core")],
        [Requirement("channels")],
    ]


@each_package
def test_a_readme_installs_its_package_first(package: Package) -> None:
    first, *_ = install_lines((package.folder / "README.md").read_text())
    assert Requirement(package.name) in first


def test_the_first_program_and_its_output_are_found() -> None:
    page = "```python\nprint(1)\n```\n\n```text\n1\n```\n\n```python\nprint(2)\n```\n"
    assert example(page) == ("print(1)\n", "1\n")


def test_a_readme_without_an_install_line_fails(tree: SmallTree, tmp_path: Path) -> None:
    (tree.core.folder / "README.md").write_text("# channels-core\n")
    assert check(tree.core, tmp_path, "") == "its README has no line `pip install`"


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.parent.name)
def test_the_pages_install_only_packages_of_the_tree(path: Path) -> None:
    lines = install_lines(path.read_text())
    assert lines
    assert {one.name for line in lines for one in line} <= {one.name for one in PACKAGES}
