"""The rules of the house that can be checked in the source."""

import ast
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.contracts import OF_TYPE_CHECKERS
from tools.lock import name_of
from tools.packages import PACKAGES, ROOT, Package, with_needs

each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)

#: Packages of the extras, which no module may import when it is imported.
OPTIONAL = {"autobahn", "channels_redis", "daphne", "redis", "twisted", *OF_TYPE_CHECKERS}


def modules(package: Package) -> list[Path]:
    return sorted(package.source.rglob("*.py"))


def python_files() -> Iterator[Path]:
    for folder in ("packages", "tools", "tests", "examples", "docs", "benchmarks"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def dotted(package: Package, path: Path) -> str:
    parts = path.relative_to(package.source.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def defines(path: Path) -> bool:
    """Return whether a module has its own functions or classes, not only aliases."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) for node in ast.parse(path.read_text()).body)


def imports(path: Path) -> set[str]:
    """Return the top-level packages that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def reasonless(path: Path) -> Iterator[str]:
    """Yield the comments that disable a check without a reason."""
    switch = re.compile(
        r"type: ignore(?:\[[\w, -]+\])?|noqa(?:: *[A-Z]+\d+(?:, *[A-Z]+\d+)*)?|pragma: no \w+"
    )
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type != tokenize.COMMENT or not switch.search(token.string):
                continue
            told = switch.split(token.string)[-1]
            if len(re.findall(r"[A-Za-z]+", told)) < 2:
                yield f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}"


@each_package
class TestEachPackage:
    def test_each_public_module_has_its_test_module(self, package: Package) -> None:
        missing = []
        for path in filter(defines, modules(package)):
            *folders, name = path.relative_to(package.source).with_suffix("").parts
            if any(part.startswith("_") for part in (*folders, name)):
                continue  # tested through the public module, so that it can be moved or merged
            test = Path(package.folder, "tests", *folders, f"test_{name}.py")
            if not test.is_file():
                missing.append(str(test.relative_to(ROOT)))
        assert not missing

    def test_each_module_says_what_is_public(self, package: Package) -> None:
        for path in filter(defines, modules(package)):
            assert re.search(r"^__all__\b", path.read_text(), re.MULTILINE), dotted(package, path)

    def test_no_module_has_a_meaningless_name(self, package: Package) -> None:
        # `channels` repeats names that programs know: `channels.utils` is one of them.
        if package.name != "channels":
            assert not {path.stem for path in modules(package)} & {"utils", "helpers", "common"}

    def test_its_tests_import_no_sibling_that_it_does_not_need(self, package: Package) -> None:
        ours = {one.import_name for one in PACKAGES}
        allowed = {one.import_name for one in with_needs(package)}
        for path in (package.folder / "tests").rglob("*.py"):
            assert imports(path) & ours <= allowed, path.name

    def test_importing_is_free(self, package: Package) -> None:
        """In a new interpreter: no settings, no models, no server, no optional package."""
        names = [dotted(package, path) for path in modules(package)]
        needed = {name_of(line) for line in package.pyproject()["project"]["dependencies"]}
        program = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
from django.apps import apps
from django.conf import settings
assert not settings.configured, "settings were loaded"
assert not apps.apps_ready, "the applications were loaded"
loaded = {{name.partition(".")[0] for name in sys.modules}} & {OPTIONAL - needed!r}
assert not loaded, f"loaded {{sorted(loaded)}}"
"""
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_each_comment_that_disables_a_check_gives_a_reason() -> None:
    assert [line for path in python_files() for line in reasonless(path)] == []
