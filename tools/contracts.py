"""The rules for imports that import-linter does not bring itself."""

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

#: What every type checker brings along, for imports that nothing else reads.
OF_TYPE_CHECKERS: Final = frozenset({"typing_extensions"})


def undeclared(package: Package, imported: str, distributions: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether a module of the package imports what its pyproject.toml does not name.

    Args:
        package: The package that imports.
        imported: The module that it imports, dotted.
        distributions: What distributions provide each top-level module.
    """
    top = imported.partition(".")[0]
    if top == package.import_name or top in sys.stdlib_module_names | OF_TYPE_CHECKERS:
        return False
    project = package.pyproject()["project"]
    extras = project.get("optional-dependencies", {}).values()
    named = [*project["dependencies"], *(one for extra in extras for one in extra)]
    return {name_of(one) for one in distributions.get(top, ())}.isdisjoint(map(name_of, named))


def breaks_privacy(importer: str, imported: str) -> bool:
    """Tell whether a module imports a private one of another distribution."""
    if importer.partition(".")[0] == imported.partition(".")[0]:
        return False
    return any(part.startswith("_") for part in imported.split("."))


def _check(graph: ImportGraph, broken: Callable[[Package, str, str], bool]) -> ContractCheck:
    """Ask about every import of our packages, and keep those that break the rule."""
    breaches = [
        (importer, imported)
        for package in PACKAGES
        for importer in sorted({package.import_name, *graph.find_descendants(package.import_name)})
        for imported in sorted(graph.find_modules_directly_imported_by(importer))
        if broken(package, importer, imported)
    ]
    return ContractCheck(kept=not breaches, metadata={"breaches": breaches})


def _render(check: ContractCheck, rule: str) -> None:
    """Print each breach and what to do about it."""
    for importer, imported in check.metadata["breaches"]:
        output.print_error(f"{importer} imports {imported}: {rule}")
    output.new_line()


class DeclaredContract(Contract):
    """Hold each package to what its pyproject.toml declares, extras included."""

    type_name = "declared"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Find the imports of what is neither declared nor of the standard library."""
        # An editable install does not tell what modules it provides.
        ours = {package.import_name: [package.name] for package in PACKAGES}
        distributions = {**packages_distributions(), **ours}
        return _check(
            graph, lambda package, _, imported: undeclared(package, imported, distributions)
        )

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the imports that the check found."""
        _render(check, "declare it in the package's pyproject.toml, or do without.")


class PrivateContract(Contract):
    """Keep modules with a leading underscore inside the distribution that owns them."""

    type_name = "private"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Find the imports of another distribution's private modules."""
        return _check(graph, lambda _, importer, imported: breaks_privacy(importer, imported))

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the imports that the check found."""
        _render(check, "import a public module, or ask its owner to make one public.")
