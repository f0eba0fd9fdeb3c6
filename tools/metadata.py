"""What changed in the metadata of a package that users rely on."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tools.lock import name_of
from tools.versions import Step

__all__ = ["changes"]

#: What a package requires: another value of these needs a minor release.
REQUIRED: Final = ("requires-python", "dependencies", "optional-dependencies")
#: The groups of entry points that have tables of their own.
SCRIPTS: Final = ("scripts", "gui-scripts")


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[Step, str]]:
    """Yield the changes, each with the step that it needs.

    Args:
        before: The table `project` of the last release's pyproject.toml.
        after: The one of the tree.
    """
    for key in REQUIRED:
        if before.get(key) != after.get(key):
            yield Step.MINOR, f"{key} in pyproject.toml is another one"
    for extra in sorted(_extras(before) - _extras(after)):
        yield Step.MAJOR, f"the extra {extra} was removed"
    old, new = _entry_points(before), _entry_points(after)
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield Step.MAJOR, f"the entry point {name} was removed"
        elif name not in old:
            yield Step.MINOR, f"the entry point {name} is new"
        elif old[name] != new[name]:
            yield Step.MAJOR, f"the entry point {name} was changed: {old[name]} -> {new[name]}"


def _extras(project: Mapping[str, Any]) -> set[str]:
    return {name_of(extra) for extra in project.get("optional-dependencies", {})}


def _entry_points(project: Mapping[str, Any]) -> dict[str, str]:
    """Return what the entry points name, by group and name."""
    groups = {**project.get("entry-points", {})}
    groups |= {group: project[group] for group in SCRIPTS if group in project}
    return {f"{group}: {name}": value for group in groups for name, value in groups[group].items()}
