"""Import rules that import-linter does not have itself."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import packages_distributions
from typing import Final

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output

from tools.lock import name_of
from tools.packages import PACKAGES, Package

__all__ = [
    "OF_TYPE_CHECKERS",
    "DeclaredContract",
    "PrivateContract",
    "breaks_privacy",
    "undeclared",
]

#: Packages that only type checkers import, and that each of them provides.
OF_TYPE_CHECKERS: Final = frozenset({"typing_extensions"})


def undeclared(package: Package, imported: str, distributions: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a package imports a module that its pyproject.toml does not declare.

    Args:
        package: The package that imports.
        imported: The dotted name of the imported module.
        distributions: The distributions that provide each top-level module.
    """
    top = imported.partition(".")[0]
    if top == package.import_name or top in sys.stdlib_module_names | OF_TYPE_CHECKERS:
        return False
    project = package.pyproject()["project"]
    extras = project.get("optional-dependencies", {}).values()
    named = [*project["dependencies"], *(one for extra in extras for one in extra)]
    return {name_of(one) for one in distributions.get(top, ())}.isdisjoint(map(name_of, named))


def breaks_privacy(importer: str, imported: str) -> bool:
    """Return whether a module imports a private module of another distribution."""
    if importer.partition(".")[0] == imported.partition(".")[0] or imported == "__future__":
        return False
    return any(part.startswith("_") for part in imported.split("."))


def _check(graph: ImportGraph, broken: Callable[[Package, str, str], bool]) -> ContractCheck:
    """Return the imports of our packages that break a rule."""
    breaches = [
        (importer, imported)
        for package in PACKAGES
        for importer in sorted({package.import_name, *graph.find_descendants(package.import_name)})
        for imported in sorted(graph.find_modules_directly_imported_by(importer))
        if broken(package, importer, imported)
    ]
    return ContractCheck(kept=not breaches, metadata={"breaches": breaches})


def _render(check: ContractCheck, rule: str) -> None:
    """Print each forbidden import and how to fix it."""
    for importer, imported in check.metadata["breaches"]:
        output.print_error(f"{importer} imports {imported}: {rule}")
    output.new_line()


class DeclaredContract(Contract):
    """Each package imports only what its pyproject.toml declares, including its extras."""

    type_name = "declared"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Find imports that are neither declared nor in the standard library."""
        # The metadata of an editable install do not list its modules.
        ours = {package.import_name: [package.name] for package in PACKAGES}
        distributions = {**packages_distributions(), **ours}
        return _check(
            graph, lambda package, _, imported: undeclared(package, imported, distributions)
        )

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the imports that the check found."""
        _render(check, "declare it in the package's pyproject.toml, or do not use it.")


class PrivateContract(Contract):
    """Modules with a leading underscore are imported only by the distribution that owns them."""

    type_name = "private"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Find the imports of another distribution's private modules."""
        return _check(graph, lambda _, importer, imported: breaks_privacy(importer, imported))

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the imports that the check found."""
        _render(check, "import a public module, or make this one public.")
