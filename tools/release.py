"""Release one package: check what can be checked, then build, test, commit and tag.

`make release P=channels-http V=1.1.0` changes only that package's folder, and pushes nothing. With
`DRY_RUN=1` it shows what it would do and changes nothing. RELEASING.md describes it.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

from packaging.version import Version

from tools import interfaces, metadata
from tools.build import DIST, build, faults
from tools.fragments import faulty, kinds, last_entry
from tools.isolated import title, try_alone, variants
from tools.packages import Package, by_name
from tools.releases import built, checkout, fitting, git, releases, tag_of
from tools.sibling_releases import excluded, unfit
from tools.stopping import Stopped, stoppable, undisturbed
from tools.unreadable import unreadable
from tools.versions import FRAGMENTS, Step, parse, step_between

__all__ = [
    "main",
    "misstep",
    "refusals",
    "release",
    "set_version",
    "tested",
]

META: Final = "channels"
#: How many reasons a refusal lists.
SHOWN: Final = 5


def misstep(
    name: str,
    last: Version | None,
    version: Version,
    kinds: Collection[str],
    changes: Iterable[tuple[Step, str]],
) -> Iterator[str]:
    """Yield why a version may not follow the last one.

    Args:
        name: The package.
        last: Its last release; None before the first.
        version: The version to release.
        kinds: The kinds of its changelog fragments.
        changes: The changes of its interface since then, with the step that each needs.
    """
    if not kinds:
        yield f"{name} has no changelog fragment: write in changelog.d/ what users notice"
    if last is None:
        return
    step = step_between(last, version)
    if step is None:
        yield (
            f"{version} does not follow {last}: the next version is "
            f"{last.major}.{last.minor}.{last.micro + 1}, {last.major}.{last.minor + 1}.0 or "
            f"{last.major + 1}.0.0"
        )
        return
    for kind in sorted(kinds):
        if FRAGMENTS[kind] > step:
            yield f"a fragment of the kind {kind} needs a {FRAGMENTS[kind]}, not a {step}"
    changes = [*changes]
    if (
        step is Step.MAJOR
        and "breaking" not in kinds
        and any(needed is step for needed, _ in changes)
    ):
        yield f"{name} has no fragment of the kind breaking: say there what users have to change"
    reasons = [(needed, reason) for needed, reason in changes if needed > step]
    for needed, reason in sorted(reasons, reverse=True)[:SHOWN]:
        yield f"this change needs a {needed}, not a {step}: {reason}"
    if len(reasons) > SHOWN:
        yield f"... and {len(reasons) - SHOWN} more such changes"


def _changes(package: Package, last: Version | None) -> list[tuple[Step, str]]:
    """Return how the interface and the requirements differ from the last release."""
    if last is None:
        return []
    with checkout(package.root, tag_of(package, last)) as folder:
        old = package.at(folder)
        found = [*interfaces.changes(interfaces.load(old), interfaces.load(package))]
        before, after = (one.pyproject()["project"] for one in (old, package))
    return [*found, *metadata.changes(before, after)]


def _unready(package: Package, version: Version) -> Iterator[str]:
    """Yield why a release cannot even be compared with the last one."""
    if git(package.root, "tag", "--list", tag_of(package, version)):
        yield f"the tag {tag_of(package, version)} exists"
    yield from unreadable(package)
    entry = last_entry(package)
    if entry and not git(package.root, "tag", "--list", tag_of(package, entry)):
        yield (
            f"CHANGELOG.md has an entry of {entry}, and there is no tag {tag_of(package, entry)} "
            "here: run `git fetch --tags`"
        )


def refusals(package: Package, version: Version) -> Iterator[str]:
    """Yield why a package cannot be released in this version; this builds and tests nothing."""
    if changed := git(package.root, "status", "--porcelain").splitlines():
        yield f"the tree has changes that are not committed: {', '.join(changed[:SHOWN])}"
    if problems := [*_unready(package, version)]:
        yield from problems
        return
    known = releases(package)
    last = known[-1] if known else None
    first = package.pyproject()["project"]["version"]
    if last is None and str(version) != first:
        yield f"the first release of {package.name} is {first}, as its pyproject.toml says"
    if problems := [*faulty(package)]:
        yield from problems
    else:
        yield from misstep(package.name, last, version, kinds(package), _changes(package, last))
    yield from excluded(package, version)
    yield from unfit(package)


def set_version(package: Package, version: Version) -> None:
    """Write a version into a package's two places for it."""
    for path, pattern in (
        (package.folder / "pyproject.toml", r'^version = "(.*)"$'),
        (package.source / "__init__.py", r'^__version__: str = "(.*)"$'),
    ):
        text = path.read_text(encoding="utf-8")
        found = re.search(pattern, text, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"{path} has no version")
        path.write_text(text[: found.start(1)] + str(version) + text[found.end(1) :], "utf-8")


def _changelog(package: Package, version: Version, *options: str) -> str:
    """Run towncrier for a version and return its output."""
    done = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--version", str(version), *options],
        cwd=package.folder,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"towncrier failed: {done.stdout}{done.stderr}")
    return done.stdout


def tested(package: Package, archive: Path, wheel: Path) -> Iterator[str]:
    """Test the wheel alone with the oldest siblings and with the newest; yield what failed."""
    combinations = [fitting(package, choose) for choose in (min, max)]
    if combinations[0] == combinations[1]:
        del combinations[1]
    for chosen in combinations:
        siblings = [built(by_name(name).at(package.root), one)[1] for name, one in chosen.items()]
        with tempfile.TemporaryDirectory() as temporary:
            wheels = Path(temporary)
            for file in (archive, wheel, *siblings):
                (wheels / file.name).symlink_to(file)
            beside = ", ".join(f"{name} {one}" for name, one in sorted(chosen.items()))
            for extras in variants(package):
                output = try_alone(package, extras, wheels)
                result = "failed" if output else "passes"
                print(
                    f"{title(package, extras)} {result} with {beside or 'no sibling'}", flush=True
                )
                if output:
                    yield output


def release(package: Package, version: Version, target: Path) -> None:
    """Set the version, write the changelog, build, test, commit and tag; all of it or nothing.

    Args:
        package: The package.
        version: Its new version.
        target: The folder to build into.
    """
    head = "HEAD"
    try:
        # Signals wait for all but the tests: a program that is stopped halfway leaves locks and
        # half-made files behind.
        with undisturbed():
            set_version(package, version)
            _changelog(package, version, "--yes")
            archive, wheel = build(package, target)
            problems = [*faults(package, archive, wheel)]
        if problems := problems or [*tested(package, archive, wheel)]:
            raise RuntimeError("\n".join(problems))
        with undisturbed():
            head = git(package.root, "rev-parse", "HEAD").strip()
            _commit(package, version)
    except BaseException:
        with undisturbed():
            _undo(package, version, head)
        raise


def _commit(package: Package, version: Version) -> None:
    """Commit the package's folder, and tag that."""
    tag = tag_of(package, version)
    git(package.root, "add", "--all", package.folder.relative_to(package.root).as_posix())
    git(package.root, "commit", "--quiet", "-m", f"Release {package.name} {version}")
    git(package.root, "tag", "-a", "-m", f"{package.name} {version}", tag)


def _undo(package: Package, version: Version, head: str) -> None:
    """Take back what a release has begun.

    Args:
        package: The package.
        version: The version that is not released.
        head: The last commit before the one of the release.
    """
    folder = package.folder.relative_to(package.root).as_posix()
    tag = tag_of(package, version)
    try:
        # At another commit, it is one that somebody else has set by now.
        if git(package.root, "tag", "--list", tag, "--points-at", "HEAD"):
            git(package.root, "tag", "--delete", tag)
        git(package.root, "reset", "--quiet", "--soft", head)
        # The tree was clean, so the last commit has everything.
        git(package.root, "reset", "--quiet", "--", folder)
        git(package.root, "checkout", "--quiet", "--", folder)
    except RuntimeError as error:
        sys.exit(
            f"{error}\n{package.name} {version} is not released: see `git status` and `git log`."
        )


def _steps(package: Package, version: Version) -> Iterator[str]:
    """Yield what a release does, and what comes next."""
    yield f"set the version of {package.name} to {version}"
    yield "write its changelog and remove the fragments"
    yield "build its source archive and its wheel, and check both"
    yield "test the wheel alone, with the oldest and the newest siblings that it admits"
    yield (
        f"commit only packages/{package.name}, tag {tag_of(package, version)}, and copy both files "
        f"into {DIST.name}/"
    )


def _next(package: Package, version: Version) -> Iterator[str]:
    """Yield what comes after a release."""
    tag = tag_of(package, version)
    yield f"Next: git push --atomic origin HEAD {tag}. The tag publishes {package.name} alone."
    meta = by_name(META).at(package.root)
    if package.name == META or not (known := releases(meta)):
        return
    paths = (f"packages/{META}/{part}" for part in ("src", "pyproject.toml"))
    if git(package.root, "diff", "--name-only", tag_of(meta, known[-1]), "--", *paths):
        yield f"{META} has other requirements or names than its last release: release it too."
    else:
        yield f"{META} needs no release: it has the requirements and names of its last one."


def _run(package: Package, version: Version, target: Path | None) -> None:
    """Check a release, say what it does, and do that if there is a folder to build into."""
    if problems := [*refusals(package, version)]:
        sys.exit("\n".join(f"{package.name} {version} is refused: {one}" for one in problems))
    for number, step in enumerate(_steps(package, version), 1):
        print(f"{number}. {step}", flush=True)
    if target:
        release(package, version, target)
    else:
        print(f"\n{_changelog(package, version, '--draft')}")


def main() -> None:
    """Release the package that the arguments name, or say why not."""
    parser = argparse.ArgumentParser(prog="tools.release", description=__doc__)
    parser.add_argument("package", help="such as channels-http")
    parser.add_argument("version", help="such as 1.1.0")
    parser.add_argument("--dry-run", action="store_true", help="show it, and change nothing")
    options = parser.parse_args()
    package, version = by_name(options.package), parse(options.version)
    if version is None:
        sys.exit(f"V={options.version} is not a version such as 1.1.0.")
    unreleased = f"{package.name} {version} is not released, and nothing has changed."
    with tempfile.TemporaryDirectory() as temporary:
        try:
            with stoppable():
                _run(package, version, None if options.dry_run else Path(temporary))
        except Stopped as stopped:
            sys.exit(f"{stopped}: {unreleased}")
        except RuntimeError as error:
            sys.exit(f"{error}\n{unreleased}")
        if not options.dry_run:
            shutil.copytree(temporary, package.root / DIST.name, dirs_exist_ok=True)
            print(f"Released {package.name} {version}.")
            print("\n".join(_next(package, version)))


if __name__ == "__main__":
    main()
