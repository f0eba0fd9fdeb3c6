from typing import Any

import pytest

from tools.metadata import changes
from tools.versions import Step

BEFORE: dict[str, Any] = {
    "dependencies": ["Django>=5.2"],
    "optional-dependencies": {"fast_json": ["msgspec"], "types": []},
    "scripts": {"serve": "channels_http.serve:main"},
    "entry-points": {"pytest11": {"channels": "channels_testing.plugin"}},
}


def changed(**tables: Any) -> list[tuple[Step, str]]:
    return [*changes(BEFORE, {**BEFORE, **tables})]


def test_the_same_metadata_have_no_changes() -> None:
    assert changed() == []


def test_another_requirement_needs_a_minor_release() -> None:
    assert changed(dependencies=[]) == [
        (Step.MINOR, "dependencies in pyproject.toml is another one")
    ]
    assert [step for step, _ in changed(**{"requires-python": ">=3.12"})] == [Step.MINOR]


def test_an_extra_that_is_removed_needs_a_major_release() -> None:
    found = changed(**{"optional-dependencies": {"fast-json": ["msgspec"], "new": []}})
    # The same extra in another spelling is not removed.
    assert found == [
        (Step.MINOR, "optional-dependencies in pyproject.toml is another one"),
        (Step.MAJOR, "the extra types was removed"),
    ]


@pytest.mark.parametrize(
    ("tables", "step", "told"),
    [
        ({"scripts": {}}, Step.MAJOR, "scripts: serve was removed"),
        (
            {"scripts": {"serve": "channels_http.serve:run"}},
            Step.MAJOR,
            "scripts: serve was changed: channels_http.serve:main -> channels_http.serve:run",
        ),
        ({"gui-scripts": {"show": "x:main"}}, Step.MINOR, "gui-scripts: show is new"),
        ({"entry-points": {}}, Step.MAJOR, "pytest11: channels was removed"),
        (
            {"entry-points": {**BEFORE["entry-points"], "other": {"one": "x"}}},
            Step.MINOR,
            "other: one is new",
        ),
    ],
)
def test_an_entry_point_is_a_promise(tables: dict[str, Any], step: Step, told: str) -> None:
    assert changed(**tables) == [(step, f"the entry point {told}")]
