"""The names of its siblings that a package uses, read from its source."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from tools.packages import PACKAGES, Package

__all__ = ["Use", "unlisted", "uses"]

IMPORTS: Final = frozenset(package.import_name for package in PACKAGES)
#: The functions that import what a text names.
BY_TEXT: Final = frozenset({"import_module", "import_string"})


class Use(NamedTuple):
    """A name of a sibling, and the place where it is used."""

    name: str
    place: str

    @property
    def sibling(self) -> str:
        """Return the import name of the sibling."""
        return self.name.partition(".")[0]


def uses(package: Package) -> Iterator[Use]:
    """Yield what the source of a package imports of its siblings, and reads from that."""
    for path in sorted(package.source.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name, line in _names(tree):
            if name.partition(".")[0] in IMPORTS - {package.import_name}:
                yield Use(name, f"{path.relative_to(package.folder)}:{line}")


def _names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the dotted names that a module imports or reads, with their lines."""
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        for name, known_as, meaning in _imported(node):
            yield name, getattr(node, "lineno", 0)
            bound[known_as] = meaning
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        # Only whole chains: `a.b.c`, not the `a.b` in it.
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            first, *rest = _chain(node)
            if first in bound:
                yield ".".join([bound[first], *rest]), node.lineno


def _imported(node: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Yield the names that a node imports, what each is known as, and what that then means."""
    match node:
        case ast.Import():
            for one in node.names:
                first = one.name.partition(".")[0]
                yield one.name, one.asname or first, one.name if one.asname else first
        case ast.ImportFrom(module=str(module)):
            for one in node.names:
                name = module if one.name == "*" else f"{module}.{one.name}"
                yield name, one.asname or one.name, name
        case ast.Call(func=ast.Name(id=called), args=[ast.Constant(value=str(text)), *_]):
            if called in BY_TEXT:
                yield text, f"{called}()", text
        case _:
            pass


def _chain(node: ast.expr) -> list[str]:
    """Return the parts of `a.b.c`; the first one is empty if it is not a name."""
    match node:
        case ast.Name(id=name):
            return [name]
        case ast.Attribute(value=value, attr=name):
            return [*_chain(value), name]
    return [""]


def unlisted(found: Iterable[Use], names: Mapping[str, Sequence[str]]) -> Iterator[Use]:
    """Yield the uses of names that are not public.

    Args:
        found: The uses.
        names: The public names of each public module of the siblings.
    """
    for use in found:
        module, rest = use.name, list[str]()
        while module and module not in names:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
        known = module and (not rest or rest[0] in names[module])
        if not known or any(_is_private(part) for part in rest):
            yield use


def _is_private(part: str) -> bool:
    return part.startswith("_") and not part.endswith("__")
