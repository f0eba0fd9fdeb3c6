"""Compare modules with stubs of the interface that programs use."""

import ast
import inspect
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from inspect import Parameter
from typing import Any, Final, NamedTuple

from asgiref.sync import iscoroutinefunction

__all__ = ["Fact", "difference", "facts"]

_VARIADIC: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Fact(NamedTuple):
    """A statement of a stub about a name in a module, or about a member of a class."""

    module: str
    path: tuple[str, ...]
    stub: ast.stmt

    def __str__(self) -> str:
        """Return the dotted name."""
        return ".".join([self.module, *self.path])


def facts(stubs: Mapping[str, str]) -> Iterator[Fact]:
    """Yield every fact in the stubs of some modules."""
    for module, text in stubs.items():
        for node in ast.parse(text).body:
            name = _name(node)
            yield Fact(module, (name,), node)
            if isinstance(node, ast.ClassDef):
                for member in node.body:
                    if not isinstance(member, ast.Expr):
                        yield Fact(module, (name, _name(member)), member)


def difference(fact: Fact) -> str | None:
    """Return a difference that a program would notice, or None."""
    try:
        ours = _find(fact.module, fact.path)
    except AttributeError:
        return "it is missing"
    if isinstance(fact.stub, ast.ClassDef):
        bases = {ast.unparse(base) for base in fact.stub.bases}
        missing = bases - {ancestor.__name__ for ancestor in ours.__mro__}
        return f"it does not inherit from {', '.join(sorted(missing))}" if missing else None
    if isinstance(fact.stub, ast.Assign):
        return _in_value(ours, fact)
    assert isinstance(fact.stub, Function)
    return _in_function(ours, fact.stub)


def _name(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    assert isinstance(node, ast.ClassDef | Function)
    return node.name


def _find(module: str, path: Sequence[str]) -> Any:
    """Return the object itself; descriptors of a class are not called."""
    found: Any = import_module(module)
    for part in path:
        static = isinstance(found, type)
        found = inspect.getattr_static(found, part) if static else getattr(found, part)
    return found


def _in_value(ours: object, fact: Fact) -> str | None:
    assert isinstance(fact.stub, ast.Assign)
    value = fact.stub.value
    if isinstance(value, ast.Name):
        same = ours is _find(fact.module, [value.id])
    elif isinstance(value, ast.Call):
        same = isinstance(ours, _find(fact.module, [ast.unparse(value.func)]))
    else:
        same = ast.literal_eval(value) in (..., ours)
    return None if same else f"it is {ours!r}, not {ast.unparse(value)}"


def _in_function(ours: Any, stub: Function) -> str | None:
    wanted = ast.unparse(stub.decorator_list[0]) if stub.decorator_list else "function"
    found = {classmethod: "classmethod", property: "property"}.get(type(ours), "function")
    if found != wanted:
        return f"it is a {found}, not a {wanted}"
    function = ours.fget if found == "property" else getattr(ours, "__func__", ours)
    if iscoroutinefunction(function) != isinstance(stub, ast.AsyncFunctionDef):
        return "it has the other colour"
    return _in_parameters([*inspect.signature(function).parameters.values()], _parameters(stub))


def _parameters(stub: Function) -> list[Parameter]:
    given = stub.args
    defaults: list[object] = [ast.literal_eval(default) for default in given.defaults]
    required = len(given.args) - len(defaults)
    found = [
        Parameter(argument.arg, Parameter.POSITIONAL_OR_KEYWORD, default=default)
        for argument, default in zip(
            given.args, [Parameter.empty] * required + defaults, strict=True
        )
    ]
    for named, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        value = Parameter.empty if default is None else ast.literal_eval(default)
        found.append(Parameter(named.arg, Parameter.KEYWORD_ONLY, default=value))
    for argument, kind in zip((given.vararg, given.kwarg), _VARIADIC, strict=True):
        if argument:
            found.append(Parameter(argument.arg, kind))
    return found


def _in_parameters(ours: Sequence[Parameter], wanted: Sequence[Parameter]) -> str | None:
    """Return a call that the stub allows and ours does not, or None; ours may allow more."""
    for position, parameter in enumerate(wanted):
        if parameter.kind in _VARIADIC:
            if parameter.kind not in {one.kind for one in ours}:
                return f"it does not take any {parameter}"
        elif parameter.kind is Parameter.KEYWORD_ONLY:
            if not any(_takes_by_name(one, parameter) for one in ours):
                return f"it does not take {parameter} by name"
        elif position >= len(ours) or not _same(ours[position], parameter):
            return f"parameter {position} is not {parameter}"
    named = {parameter.name for parameter in wanted}
    for one in ours:
        if one.name not in named and one.kind not in _VARIADIC and one.default is Parameter.empty:
            return f"it also requires {one.name}"
    return None


def _takes_by_name(ours: Parameter, wanted: Parameter) -> bool:
    return (
        ours.name == wanted.name
        and ours.kind in (Parameter.KEYWORD_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        and wanted.default in (Parameter.empty, ours.default)
    )


def _same(ours: Parameter, wanted: Parameter) -> bool:
    return (
        ours.name == wanted.name
        and ours.kind is wanted.kind
        and wanted.default in (Parameter.empty, ours.default)
    )
