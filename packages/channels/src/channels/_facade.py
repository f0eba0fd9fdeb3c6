"""Give the modules of other packages under the names that programs import."""

import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["ForwardingModule", "alias", "forward", "submodules"]


def alias(namespace: dict[str, Any], owner: ModuleType) -> None:
    """Make a module known under a second name; for the end of the body of the module of that name.

    Both names then give one module object, so that what is patched under one is patched under
    the other. Not for packages: what is inside one would be loaded a second time.

    Hooks on imports do not ask for the name: they hold the module object that the loader was
    given. That one reads, sets and deletes names at the owner.

    Args:
        namespace: The module's `globals()`; `__name__` there is the second name.
        owner: The module.
    """
    name = namespace["__name__"]
    module = _forward(namespace, owner, {})
    # A module that is loaded at its first use (`importlib.util.LazyLoader`) has to stay.
    if module is None or getattr(module.__spec__, "loader_state", None) is not None:
        return
    parent, _, child = name.rpartition(".")
    # First the attribute: once `sys.modules` has the name, imports in other threads no longer
    # wait for this one, and may ask the parent.
    setattr(sys.modules[parent], child, owner)
    sys.modules[name] = owner


def forward(namespace: dict[str, Any], owner: ModuleType, others: Mapping[str, str]) -> None:
    """Make a module give the names of several; for the end of that module's body.

    Args:
        namespace: The module's `globals()`.
        owner: Whose the names are, but for the others.
        others: Names that belong elsewhere, with the dotted name of the module each belongs to;
            it is imported when the name is first used.
    """
    _forward(namespace, owner, others)


def submodules(package: str, names: Collection[str]) -> Callable[[str], Any]:
    """Return a `__getattr__` for a package that imports its submodules when they are first used.

    Args:
        package: The package, dotted.
        names: The submodules.

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
    """Empty a module whose body runs, and have its names read at others.

    Returns:
        The module; None if a loader runs the body for an object that is not in `sys.modules`.
    """
    for key in [key for key in namespace if not _is_special(key)]:
        del namespace[key]
    namespace.update(__owner__=owner, __others__=others)
    module = sys.modules.get(namespace["__name__"])
    if module is None or _namespace(module) is not namespace:
        # Only its names are at hand, so it can be read, and what is set there stays there.
        namespace["__getattr__"] = partial(_read, namespace)
        return None
    # The module stays the object it is, so that it can be reloaded, and threads that import it
    # at this moment all get the same one.
    module.__class__ = ForwardingModule
    return module


def _namespace(module: ModuleType) -> dict[str, Any]:
    if isinstance(module, ForwardingModule):
        # Past what it says of itself.
        return super(ForwardingModule, module).__dict__
    return vars(module)


class ForwardingModule(ModuleType):
    """A module whose names are read, set and deleted in the modules that they belong to.

    Its own are only those that Python keeps in every module, such as `__name__` and `__all__`.
    """

    __owner__: ModuleType
    __others__: Mapping[str, str]

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override] # read-only there as well
        """All names with their values, in a dict of its own.

        `mock.patch` looks here; what it does not find it would delete afterwards, not restore.
        """
        names = [*self.__others__, *(key for key in vars(self.__owner__) if not _is_special(key))]
        return {key: getattr(self, key) for key in names if hasattr(self, key)} | super().__dict__

    def __getattr__(self, name: str) -> Any:
        """Read what is no name of this module's own."""
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
