"""The files that GitHub and pre-commit read name things that exist."""

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.packages import PACKAGES, ROOT

GITHUB = ROOT / ".github"
FORMS = sorted(
    path
    for folder in ("ISSUE_TEMPLATE", "DISCUSSION_TEMPLATE")
    for path in (GITHUB / folder).glob("*.yml")
    if path.name != "config.yml"
)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
class TestForms:
    def test_each_question_has_a_label_and_an_id_of_its_own(self, path: Path) -> None:
        questions = [one for one in read(path)["body"] if one["type"] != "markdown"]
        assert questions
        assert all(one["attributes"]["label"] for one in questions)
        assert len({one["id"] for one in questions}) == len(questions)

    def test_an_issue_form_says_when_to_use_it_and_where_questions_go(self, path: Path) -> None:
        form = read(path)
        if path.parent.name == "ISSUE_TEMPLATE":
            assert form["name"]
            assert form["description"]
            assert "(../discussions/" in path.read_text()


def test_the_feature_form_lists_every_package() -> None:
    fields = {one.get("id"): one for one in read(GITHUB / "ISSUE_TEMPLATE" / "feature.yml")["body"]}
    options = fields["package"]["attributes"]["options"]
    assert {*options} - {"not sure"} == {package.name for package in PACKAGES}


def test_dependabot_watches_folders_that_exist() -> None:
    updates = read(GITHUB / "dependabot.yml")["updates"]
    assert {one["package-ecosystem"] for one in updates} == {"github-actions", "pip"}
    for update in updates:
        for folder in update.get("directories", [update.get("directory")]):
            assert [*ROOT.glob(folder.removeprefix("/") or ".github/workflows")]


def test_each_hook_of_pre_commit_calls_a_target_of_the_makefile() -> None:
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        make, target = hook["entry"].split()
        assert make == "make"
        assert target in targets()
        assert hook["language"] == "system"


@pytest.mark.parametrize("page", ["PULL_REQUEST_TEMPLATE.md"])
def test_each_target_that_a_template_names_exists(page: str) -> None:
    named = re.findall(r"make ([a-z -]+)", (GITHUB / page).read_text())
    assert named
    assert targets().issuperset(" ".join(named).split())


def test_each_workflow_has_read_access_and_a_limit_of_time() -> None:
    for path in (GITHUB / "workflows").glob("*.yml"):
        workflow = read(path)
        assert workflow["permissions"] == {"contents": "read"}
        assert all(job["timeout-minutes"] for job in workflow["jobs"].values())


def test_a_tag_publishes_one_package_without_a_stored_token() -> None:
    workflow = read(GITHUB / "workflows" / "release.yml")
    # YAML 1.1 reads `on` as a boolean.
    patterns = workflow[True]["push"]["tags"]
    for package in PACKAGES:
        tag = f"{package.name}-v1.0.0"
        assert any(fnmatchcase(tag, pattern) for pattern in patterns)
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["needs"] == "build"
    assert publish["environment"] == "release"
    assert build["permissions"]["attestations"] == "write"
    (checkout,) = (one for one in build["steps"] if "checkout" in one.get("uses", ""))
    # The package is tested with the releases of its siblings.
    assert checkout["with"]["fetch-depth"] == 0
    assert "secrets" not in (GITHUB / "workflows" / "release.yml").read_text()


def test_the_job_that_builds_installs_what_the_tests_of_packages_need() -> None:
    """Without these programs, a test is skipped."""
    text = (GITHUB / "workflows" / "release.yml").read_text()
    assert "redis-server postgresql" in text
    assert 'tools.publish "$GITHUB_REF_NAME"' in text


def test_actions_are_pinned_and_leave_no_credentials_behind() -> None:
    """A tag can be moved to other code; a commit cannot."""
    for path in (GITHUB / "workflows").glob("*.yml"):
        used = re.findall(r"uses: (\S+)(.*)", path.read_text())
        assert used
        for action, comment in used:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
            # Dependabot reads the version there, and updates both.
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
        steps = [step for job in read(path)["jobs"].values() for step in job["steps"]]
        for step in steps:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
