"""Decide about versions: how large a step must be, and which releases fit together."""

from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from tools.packages import PACKAGES, Package

__all__ = ["FRAGMENTS", "NoRelease", "Step", "parse", "pick", "step_between"]


class Step(IntEnum):
    """How far a version is from the one before it."""

    PATCH = 0
    MINOR = 1
    MAJOR = 2

    def __str__(self) -> str:
        """Return its name as in a sentence."""
        return f"{self.name.lower()} release"


#: The step that each kind of changelog fragment needs.
FRAGMENTS = {
    "breaking": Step.MAJOR,
    "feature": Step.MINOR,
    "deprecation": Step.MINOR,
    "fix": Step.PATCH,
    "about": Step.PATCH,
}


class NoRelease(Exception):
    """No release of a sibling is in the range that is required of it."""


def parse(text: str) -> Version | None:
    """Return the version of a text such as `1.2.0`, or None if it has another form."""
    try:
        version = Version(text)
    except InvalidVersion:
        return None
    return version if text == f"{version.major}.{version.minor}.{version.micro}" else None


def step_between(last: Version, version: Version) -> Step | None:
    """Return the step from a version to the next one, or None if it does not follow."""
    steps = {
        (last.major, last.minor, last.micro + 1): Step.PATCH,
        (last.major, last.minor + 1, 0): Step.MINOR,
        (last.major + 1, 0, 0): Step.MAJOR,
    }
    return steps.get((version.major, version.minor, version.micro))


def pick(
    package: Package,
    required: Mapping[str, SpecifierSet],
    releases: Mapping[str, Iterable[Version]],
    requires: Callable[[str, Version], Mapping[str, SpecifierSet]],
    choose: Callable[[Iterable[Version]], Version],
) -> dict[str, Version]:
    """Choose a release of each sibling that a package needs, so that all fit together.

    Args:
        package: The package.
        required: The ranges of siblings that it requires.
        releases: The releases of each sibling.
        requires: Returns the ranges of siblings that a release of a sibling requires.
        choose: `min` for the oldest that fit, `max` for the newest.

    Raises:
        NoRelease: No release of a sibling fits.
    """
    ranges = dict(required)
    chosen: dict[str, Version] = {}
    # Each package comes after those that need it, so its range is complete by then.
    for other in reversed(PACKAGES):
        if other.name not in ranges or other.name == package.name:
            continue
        fitting = [one for one in releases[other.name] if one in ranges[other.name]]
        if not fitting:
            raise NoRelease(
                f"{package.name} needs {other.name}{ranges[other.name]}, and {other.name} has no "
                "release in this range: release that first"
            )
        version = chosen[other.name] = choose(fitting)
        for name, specifier in requires(other.name, version).items():
            ranges[name] = ranges.get(name, SpecifierSet()) & specifier
    return chosen
