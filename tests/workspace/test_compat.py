import re
from pathlib import Path

import pytest
from packaging.version import Version

from small_tree import SmallTree
from tools import compat
from tools.compat import (
    GROUPS,
    PAGE,
    Result,
    Run,
    interpreters,
    is_wanted,
    pinned,
    plan,
    table,
)
from tools.packages import DJANGO, PACKAGES, PYTHON, UNTRIED_PYTHON
from tools.release import set_version

PYTHONS = [(3, 11), (3, 13)]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallTree:
    tree = SmallTree(tmp_path / "tree")
    monkeypatch.setattr(compat, "PACKAGES", [tree.core, tree.auth])
    return tree


def planned(group: str) -> list[Run]:
    return [run for run in plan([group], PYTHONS) if isinstance(run, Run)]


def told(group: str) -> list[str]:
    return [run for run in plan([group], PYTHONS) if isinstance(run, str)]


class TestPlan:
    def test_without_releases_no_siblings_of_another_age_are_tried(self, tree: SmallTree) -> None:
        for group in ("old siblings", "new siblings"):
            assert planned(group) == []
            assert len(told(group)) == 1
        assert told("new siblings") == [
            "channels-auth has no release that admits the tree's siblings"
        ]

    def test_a_package_is_tried_with_the_oldest_core_that_it_admits(self, tree: SmallTree) -> None:
        tree.tag(tree.core, "1.0.0")
        tree.tag(tree.core, "1.1.0")
        (run,) = planned("old siblings")
        assert run.versions == {"channels-auth": "tree", "channels-core": "1.0.0"}

    def test_the_oldest_release_of_a_package_is_tried_with_the_core_of_the_tree(
        self, tree: SmallTree
    ) -> None:
        tree.tag(tree.auth, "1.0.0")
        tree.tag(tree.auth, "1.1.0")
        (run,) = planned("new siblings")
        assert run.versions == {"channels-auth": "1.0.0", "channels-core": "tree"}

    def test_a_release_that_does_not_admit_the_core_is_passed_over(self, tree: SmallTree) -> None:
        tree.tag(tree.auth, "1.0.0")
        path = tree.auth.folder / "pyproject.toml"
        path.write_text(path.read_text().replace("channels-core>=1.0,<2", "channels-core>=1.0,<3"))
        set_version(tree.core, Version("2.0.0"))
        tree.commit("Widen the range")
        tree.tag(tree.auth, "1.1.0")
        (run,) = planned("new siblings")
        assert run.versions["channels-auth"] == "1.1.0"

    def test_the_oldest_versions_run_on_the_oldest_python_and_the_newest_on_the_newest(
        self, tree: SmallTree
    ) -> None:
        for group, python, resolution in (
            ("oldest", (3, 11), "lowest-direct"),
            ("newest", (3, 13), "highest"),
        ):
            runs = planned(group)
            assert [run.package for run in runs] == ["channels-core", "channels-auth"]
            assert {(run.python, run.resolution, run.django) for run in runs} == {
                (python, resolution, "")
            }

    def test_the_pairs_are_those_that_work(self, tree: SmallTree) -> None:
        runs = [run for run in planned("pairs") if run.package == "channels-core"]
        assert [(run.python, run.django) for run in runs] == [
            ((3, 11), "5.2"),
            *(((3, 13), series) for series in DJANGO),
        ]
        assert len({run.key for run in runs}) == len(runs)

    def test_some_pairs_and_packages_can_be_chosen(self, tree: SmallTree) -> None:
        pairs, others = planned("pairs"), planned("newest")
        chosen = [run for run in pairs if is_wanted(run, ["channels-core"], ["3.13-6.0"])]
        assert [(run.package, run.python, run.django) for run in chosen] == [
            ("channels-core", (3, 13), "6.0")
        ]
        assert all(is_wanted(run, None, None) for run in [*pairs, *others])
        assert all(is_wanted(run, None, ["3.13-6.0"]) for run in others)


def test_this_interpreter_is_found() -> None:
    found = interpreters()
    assert list(found) == sorted(found)
    assert set(found) <= set(PYTHON)
    assert found


def test_the_tools_of_the_tests_have_the_versions_of_the_constraints() -> None:
    tools = "# Tools.\npytest>=9.0\npsycopg[binary]>=3.2\n"
    pins = "psycopg==3.3.4 \\\n    --hash=sha256:aa\npytest==9.1.0 ; python_version > '3'\n"
    assert pinned(tools, pins) == ["pytest==9.1.0", "psycopg[binary]==3.3.4"]


def test_a_failure_stands_out_in_the_table() -> None:
    siblings = {"channels-auth": "1.0.0", "channels-core": "1.1.0 (tree)"}
    good = Result("new siblings", "channels-auth", siblings, "3.11", {"django": "5.2"}, 9, 0, 1)
    bad = Result("oldest", "channels-core", {"channels-core": "1.0.0"}, "3.11")
    first, second = table([good, bad]).splitlines()[2:]
    assert first == (
        "| new siblings | channels-auth 1.0.0 | core 1.1.0 (tree) | 3.11 | django 5.2 | 9 | 1 |"
    )
    assert "no sibling" in second
    assert "**-1 failed**" in second


class TestTheTableOfTheDocumentation:
    ROWS = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in PAGE.read_text(encoding="utf-8").splitlines()[2:]
    ]

    def test_each_row_is_a_run_of_a_package(self) -> None:
        assert self.ROWS
        for group, package, *_ in self.ROWS:
            assert group in {*GROUPS, "pairs"}
            assert package.split()[0] in {one.name for one in PACKAGES}

    def test_a_failure_is_explained_below_it(self) -> None:
        page = (PAGE.parent / "versions.md").read_text(encoding="utf-8")
        failed = {(row[0], row[1].split()[0]) for row in self.ROWS if "failed" in row[5]}
        explained = re.findall(r"^`(.*)`, `(.*)`: .*fail", page, re.MULTILINE)
        assert failed == set(explained)

    def test_the_classifiers_name_each_python_that_it_has(self) -> None:
        claimed = {f"{x}.{y}" for x, y in PYTHON if (x, y) not in UNTRIED_PYTHON}
        assert {row[3] for row in self.ROWS} <= claimed
