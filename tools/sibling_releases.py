"""Decide whether a release and those of its siblings fit together."""

from collections.abc import Iterable, Iterator, Mapping

from packaging.version import Version

from tools import interfaces
from tools.lock import name_of
from tools.packages import PACKAGES, Package, by_name
from tools.releases import checkout, extras_of, fitting, ranges, released, siblings, tag_of
from tools.sibling_names import Use, unlisted, uses
from tools.versions import NoRelease

__all__ = ["excluded", "lacking", "unfit"]


def lacking(
    package: str, version: Version, found: Iterable[Use], names: Mapping[str, list[str]]
) -> Iterator[str]:
    """Yield what is used of a sibling that a release of it lacks.

    Args:
        package: The sibling.
        version: The release of it.
        found: What is used of all siblings.
        names: The public names of that release.
    """
    own = [use for use in found if use.sibling == package.replace("-", "_")]
    for use in unlisted(own, names):
        yield (
            f"{use.place} uses {use.name}, which is not public in {package} {version}: raise the "
            f"range of {package} to the release that has it"
        )


def excluded(package: Package, version: Version) -> Iterator[str]:
    """Yield which packages of the tree require another version of this one.

    Args:
        package: The package to release.
        version: Its new version.
    """
    for other in PACKAGES:
        own = other.at(package.root).pyproject()
        required = ranges(own, extras_of(own)).get(package.name)
        if required is not None and version not in required:
            yield (
                f"{other.name} requires {package.name}{required}, which excludes {version}: widen "
                "that range first"
            )


def unfit(package: Package) -> Iterator[str]:
    """Yield what is wrong with the releases of siblings that a package admits."""
    oldest: dict[str, Version] = {}
    reasons: list[str] = []
    for chosen in ([], *([extra] for extra in extras_of(package.pyproject()))):
        try:
            found = fitting(package, min, chosen)
        except NoRelease as error:
            reasons.append(str(error))
            continue
        reasons += _missing_extras(package, chosen, found)
        # What the package itself admits comes first, and may be older.
        oldest = {**found, **oldest}
    # More than one extra can have the same reason.
    yield from dict.fromkeys(reasons)
    used = [*uses(package)]
    for name, release in oldest.items():
        with checkout(package.root, tag_of(by_name(name), release)) as folder:
            names = interfaces.exported(interfaces.load(by_name(name).at(folder)))
        yield from lacking(name, release, used, names)


def _missing_extras(
    package: Package, extras: Iterable[str], oldest: Mapping[str, Version]
) -> Iterator[str]:
    """Yield which extras of siblings a package requires that those releases do not have."""
    for one in siblings(package.pyproject(), extras):
        name = name_of(one.name)
        if name not in oldest:
            # It is the package itself.
            continue
        known = extras_of(released(by_name(name).at(package.root), oldest[name]))
        for extra in sorted(one.extras):
            if name_of(extra) not in map(name_of, known):
                yield f"{package.name} requires {name}[{extra}], which {oldest[name]} does not have"
