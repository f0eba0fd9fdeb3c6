"""The interface of a package: its public names, and what changed between two versions of it.

griffe reads the source without importing it, so both versions can be read in one process.
"""

from collections.abc import Iterator
from typing import Final

import griffe

from tools.packages import Package
from tools.versions import Step

__all__ = ["changes", "exported", "load"]

#: Its value changes with each release.
VERSION: Final = "__version__"


def load(package: Package) -> griffe.Module:
    """Read the source of a package."""
    found = griffe.load(
        package.import_name,
        search_paths=[package.source.parent],
        allow_inspection=False,
        resolve_aliases=True,
        # Not the siblings: a change of theirs is not a change of this package.
        resolve_external=False,
        try_relative_path=False,
    )
    assert isinstance(found, griffe.Module)
    return found


def exported(module: griffe.Module) -> dict[str, list[str]]:
    """Return the public names of each public module, those of its `__all__`.

    A module that is an alias of another package's has one name, which says so.
    """
    names = [str(name) for name in module.exports or ()]
    wildcards = [
        member.target_path
        for member in module.members.values()
        if isinstance(member, griffe.Alias) and member.wildcard
    ]
    found = {module.path: sorted([*names, *wildcards])}
    for member in module.members.values():
        if not member.is_alias and member.is_module and not member.name.startswith("_"):
            assert isinstance(member, griffe.Module)
            found |= exported(member)
    return found


def _members(module: griffe.Module) -> set[str]:
    """Return the dotted names of all public names, and of the members of public classes."""
    found: set[str] = set()
    for path, names in exported(module).items():
        found.add(path)
        inside = path.split(".")[1:]
        owner = module[inside] if inside else module
        for name in names:
            found.add(f"{path}.{name}")
            if name in owner.members:
                found |= {f"{path}.{name}.{one}" for one in _of_class(owner.members[name])}
    return found


def _of_class(member: griffe.Object | griffe.Alias) -> Iterator[str]:
    """Yield the names of a class's own public members; nothing for something else."""
    try:
        target = member.final_target if isinstance(member, griffe.Alias) else member
    except griffe.AliasResolutionError:
        return
    if isinstance(target, griffe.Class):
        yield from (name for name in target.members if not name.startswith("_"))


def changes(old: griffe.Module, new: griffe.Module) -> Iterator[tuple[Step, str]]:
    """Yield the changes of an interface, each with the step that it needs."""
    before, after = _members(old), _members(new)
    yield from ((Step.MAJOR, f"{name} was removed") for name in sorted(before - after))
    yield from ((Step.MINOR, f"{name} is new") for name in sorted(after - before))
    for breakage in griffe.find_breaking_changes(old, new):
        removed = breakage.kind == griffe.BreakageKind.OBJECT_REMOVED
        if breakage.obj.name != VERSION and not (removed and breakage.obj.path in before - after):
            yield Step.MAJOR, f"{breakage.obj.path}: {_told(breakage)}"


def _told(breakage: griffe.Breakage) -> str:
    """Return what happened, as in `Parameter was removed: a`."""
    told = breakage.kind.value
    values = [one for one in (breakage.old_value, breakage.new_value) if one is not None]
    return f"{told}: {' -> '.join(map(str, values))}"
