"""The interface of a package: its public names, and what changed between two versions of it.

griffe reads the source without importing it, so both versions can be read in one process.
"""

from collections.abc import Iterator, Mapping
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


def _public(module: griffe.Module) -> Iterator[tuple[str, griffe.Object | None]]:
    """Yield each public name, dotted, with what it names; None if that is not of this package."""
    for path, names in exported(module).items():
        inside = path.split(".")[1:]
        owner = module[inside] if inside else module
        yield from ((f"{path}.{name}", _target(owner.members.get(name))) for name in names)


def _target(member: griffe.Object | griffe.Alias | None) -> griffe.Object | None:
    """Return what a member is at the end of all aliases, or None if that is not known."""
    try:
        return member.final_target if isinstance(member, griffe.Alias) else member
    except griffe.AliasResolutionError:
        return None


def _members(module: griffe.Module) -> set[str]:
    """Return the dotted names of all public names, and of the members of public classes."""
    found = {*exported(module)}
    for name, target in _public(module):
        found.add(name)
        if isinstance(target, griffe.Class):
            found |= {f"{name}.{one}" for one in target.members if not one.startswith("_")}
    return found


def _functions(module: griffe.Module) -> dict[str, griffe.Function]:
    """Return the public functions and methods, by dotted name."""
    found: dict[str, griffe.Function] = {}
    for name, target in _public(module):
        if isinstance(target, griffe.Function):
            found[name] = target
        elif isinstance(target, griffe.Class):
            for own, member in target.all_members.items():
                method = _target(member)
                # `__init__` takes what programs pass to the class.
                if isinstance(method, griffe.Function) and (own[0] != "_" or own.endswith("__")):
                    found[f"{name}.{own}"] = method
    return found


def changes(old: griffe.Module, new: griffe.Module) -> Iterator[tuple[Step, str]]:
    """Yield the changes of an interface, each with the step that it needs."""
    before, after = _members(old), _members(new)
    yield from ((Step.MAJOR, f"{name} was removed") for name in sorted(before - after))
    yield from ((Step.MINOR, f"{name} is new") for name in sorted(after - before))
    for breakage in griffe.find_breaking_changes(old, new):
        removed = breakage.kind == griffe.BreakageKind.OBJECT_REMOVED
        if breakage.obj.name != VERSION and not (removed and breakage.obj.path in before - after):
            yield Step.MAJOR, f"{breakage.obj.path}: {_told(breakage)}"
    yield from _more_of_functions(_functions(old), _functions(new))


def _more_of_functions(
    old: Mapping[str, griffe.Function], new: Mapping[str, griffe.Function]
) -> Iterator[tuple[Step, str]]:
    """Yield the changes of functions that griffe does not tell."""
    seen: set[tuple[str, str]] = set()
    for name in sorted(old.keys() & new.keys()):
        before, after = old[name], new[name]
        # A function can have many names: those of subclasses, and of modules that export it.
        if (before.path, after.path) not in seen:
            seen.add((before.path, after.path))
            yield from ((step, f"{name}: {what}") for step, what in _of_function(before, after))


def _of_function(before: griffe.Function, after: griffe.Function) -> Iterator[tuple[Step, str]]:
    was, now = ("async def" if "async" in one.labels else "def" for one in (before, after))
    if was != now:
        yield Step.MAJOR, f"{was} became {now}"
    known = {one.name: one for one in before.parameters}
    for one in after.parameters:
        if one.required:
            continue
        if one.name not in known:
            yield Step.MINOR, f"Parameter is new: {one.name}"
        elif known[one.name].required:
            yield Step.MINOR, f"Parameter is optional now: {one.name}"


def _told(breakage: griffe.Breakage) -> str:
    """Return what happened, as in `Parameter was removed: a`."""
    told = breakage.kind.value
    values = [one for one in (breakage.old_value, breakage.new_value) if one is not None]
    return f"{told}: {' -> '.join(map(str, values))}"
