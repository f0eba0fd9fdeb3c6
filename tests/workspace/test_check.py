import pytest

from tools.check import lint_commands, typed
from tools.packages import PACKAGES, ROOT


def test_types_are_checked_in_every_package_the_tree_and_the_examples() -> None:
    folders = [part.folder for part in typed(None)]
    examples = [ROOT / "examples" / "chat"]
    assert folders == [*(package.folder for package in PACKAGES), ROOT, *examples]


def test_types_are_checked_in_source_and_tests_of_one_package() -> None:
    (part,) = typed("channels-core")
    assert part.paths == ("src", "tests")
    assert part.settings == "settings"


@pytest.mark.parametrize("rewrite", [True, False])
def test_lint_can_be_limited_to_a_package(rewrite: bool) -> None:
    for command in lint_commands("channels-core", rewrite=rewrite):
        assert command[-1].endswith("packages/channels-core")
    for command in lint_commands(None, rewrite=rewrite):
        assert command[-1] == "."


def test_lint_rewrites_only_when_asked_to() -> None:
    assert [one[1:-1] for one in lint_commands(None, rewrite=False)] == [
        ["format", "--check"],
        ["check"],
    ]
    assert ["ruff", "check", "--fix", "."] in lint_commands(None, rewrite=True)
