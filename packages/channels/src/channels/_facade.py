"""Offer modules of other packages under the names that programs import.

An alias module calls `alias(globals(), owner)` at its end. Its name then leads to the owner's
module object. A module that offers names of several owners, such as `channels.layers`, calls
`forward` instead. It stays a module of its own, a `ForwardingModule`, which reads, sets and deletes
names at their owners. That class overrides `__dict__`, which is unusual: `mock.patch` looks there
to decide whether to restore or to delete a name.
"""

import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["ForwardingModule", "alias", "forward", "submodules"]


def alias(namespace: dict[str, Any], owner: ModuleType) -> None:
    """Replace the calling module by another one; call this at the end of its body.

    Both names then lead to the same module object, so a patch under one name is visible under the
    other. This does not work for packages, whose submodules would be loaded twice.

    Import hooks keep the module object that the loader created, and do not look up the name again.
    So that object also reads, sets and deletes names at the owner.

    Args:
        namespace: The calling module's `globals()`.
        owner: The module that replaces it.
    """
    name = namespace["__name__"]
    module = _forward(namespace, owner, {})
    # A lazily loaded module (`importlib.util.LazyLoader`) must stay in `sys.modules`.
    if module is None or getattr(module.__spec__, "loader_state", None) is not None:
        return
    parent, _, child = name.rpartition(".")
    # Set the attribute first: once `sys.modules` has the owner, imports in other threads no longer
    # wait for this one, and may read the attribute.
    setattr(sys.modules[parent], child, owner)
    sys.modules[name] = owner


def forward(namespace: dict[str, Any], owner: ModuleType, others: Mapping[str, str]) -> None:
    """Make the calling module offer names of several modules; call this at the end of its body.

    Args:
        namespace: The calling module's `globals()`.
        owner: The module that owns all names except `others`.
        others: Names of other owners, with the dotted name of the owner, which is imported when the
            name is first used.
    """
    _forward(namespace, owner, others)


def submodules(package: str, names: Collection[str]) -> Callable[[str], Any]:
    """Return a `__getattr__` for a package, which imports a submodule when it is first used.

    Args:
        package: The dotted name of the package.
        names: The names of its submodules.

    Source: PEP 562.
    """

    def read(name: str) -> Any:
        if name in names:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return read


def _forward(
    namespace: dict[str, Any], owner: ModuleType, others: Mapping[str, str]
) -> ModuleType | None:
    """Remove the names of a module whose body is running, and forward them to their owners.

    Returns:
        The module; None if a loader runs the body for an object that is not in `sys.modules`.
    """
    for key in [key for key in namespace if not _is_special(key)]:
        del namespace[key]
    namespace.update(__owner__=owner, __others__=others)
    module = sys.modules.get(namespace["__name__"])
    if module is None or _namespace(module) is not namespace:
        # Only the namespace is known. So names can be read, but a name that is set stays here.
        namespace["__getattr__"] = partial(_read, namespace)
        return None
    # Change the class and keep the object: it can be reloaded, and all threads that are importing
    # it get the same one.
    module.__class__ = ForwardingModule
    return module


def _namespace(module: ModuleType) -> dict[str, Any]:
    if isinstance(module, ForwardingModule):
        # The real one, not the property below.
        return super(ForwardingModule, module).__dict__
    return vars(module)


class ForwardingModule(ModuleType):
    """A module that reads, sets and deletes names in the modules that own them.

    Only the names that Python keeps in every module, such as `__name__` and `__all__`, are its own.
    """

    __owner__: ModuleType
    __others__: Mapping[str, str]

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override] # read-only there as well
        """All names with their values, in a new dict.

        `mock.patch` looks here to learn whether a name is the module's own. If it were not, `patch`
        would delete the name afterwards instead of restoring it.
        """
        names = [*self.__others__, *(key for key in vars(self.__owner__) if not _is_special(key))]
        return {key: getattr(self, key) for key in names if hasattr(self, key)} | super().__dict__

    def __getattr__(self, name: str) -> Any:
        """Read a name from its owner."""
        try:
            return _read(super().__dict__, name)
        except AttributeError:
            raise AttributeError(
                f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self
            ) from None

    def __setattr__(self, name: str, value: object) -> None:
        if _is_special(name):
            super().__setattr__(name, value)
        else:
            setattr(_owner(super().__dict__, name), name, value)

    def __delattr__(self, name: str) -> None:
        if _is_special(name):
            super().__delattr__(name)
        else:
            delattr(_owner(super().__dict__, name), name)


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _read(namespace: Mapping[str, Any], name: str) -> Any:
    return getattr(_owner(namespace, name), name)


def _owner(namespace: Mapping[str, Any], name: str) -> ModuleType:
    other = namespace["__others__"].get(name)
    owner: ModuleType = namespace["__owner__"] if other is None else import_module(other)
    return owner
