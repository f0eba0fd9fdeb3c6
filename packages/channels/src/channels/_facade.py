"""Make the modules of our packages available under the names that programs import.

`channels.db` is an alias: the module object of `channels_core.db` under a second name. A module
with names of several owners, such as `channels.layers`, cannot be one object with all of them, so
it forwards: `ForwardingModule` reads, sets and deletes each name in its owner's module. So a
program that patches `channels.layers.get_channel_layer` patches what Channels itself calls.
`mock.patch` looks into a module's `__dict__` to learn whether to restore a name or to delete it
afterwards; that is why the class overrides `__dict__`, which nothing else needs.
"""

import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["ForwardingModule", "alias", "forward", "submodules"]


def alias(namespace: dict[str, Any], owner: ModuleType) -> None:
    """Give a module a second name; called at the end of the module of that name.

    Both names then lead to one module object. Packages cannot be aliased: their submodules would
    be loaded a second time.

    Import hooks keep the module object that the loader was given, whatever `sys.modules` holds.
    That object forwards to the owner.

    Args:
        namespace: The `globals()` of the module of the second name.
        owner: The module.
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
    """Make a module offer the names of several modules; called at the end of that module.

    Args:
        namespace: The module's `globals()`.
        owner: The module that has all names but those in `others`.
        others: Names of other modules, each with the dotted name of its module, which is imported
            when the name is first used.
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
    """Empty a module whose body runs, and make it forward.

    Returns:
        The module; None if a loader runs the body for an object that is not in `sys.modules`.
    """
    for key in [key for key in namespace if not _is_special(key)]:
        del namespace[key]
    namespace.update(__owner__=owner, __others__=others)
    module = sys.modules.get(namespace["__name__"])
    if module is None or _namespace(module) is not namespace:
        # The object is unknown: names are read in the owner, and setting one changes it here only.
        namespace["__getattr__"] = partial(_read, namespace)
        return None
    # Its class changes, not the object: it can be reloaded, and other threads that import it at
    # this moment get the same object.
    module.__class__ = ForwardingModule
    return module


def _namespace(module: ModuleType) -> dict[str, Any]:
    if isinstance(module, ForwardingModule):
        # The real one, not the property below.
        return super(ForwardingModule, module).__dict__
    return vars(module)


class ForwardingModule(ModuleType):
    """A module that reads, sets and deletes its names in the modules of their owners.

    Only names that Python keeps in every module, such as `__name__` and `__all__`, are its own.
    """

    __owner__: ModuleType
    __others__: Mapping[str, str]

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override] # read-only there as well
        """A new dict of all names with their values, for `mock.patch`; see the module's text."""
        names = [*self.__others__, *(key for key in vars(self.__owner__) if not _is_special(key))]
        return {key: getattr(self, key) for key in names if hasattr(self, key)} | super().__dict__

    def __getattr__(self, name: str) -> Any:
        """Read a name of an owner."""
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
