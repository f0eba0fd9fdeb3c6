"""Give the modules of other packages under the names that programs import."""

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["ForwardingModule", "alias", "forward"]


def alias(name: str, owner: ModuleType) -> None:
    """Make a module known under a second name; for the body of the module of that name.

    Both names then give one module object, so that what is patched under one is patched under
    the other. Not for packages: what is inside one would be loaded a second time.

    Args:
        name: The second name, dotted.
        owner: The module.
    """
    parent, _, child = name.rpartition(".")
    # First the attribute: once `sys.modules` has the name, imports in other threads no longer
    # wait for this one, and may ask the parent.
    setattr(sys.modules[parent], child, owner)
    sys.modules[name] = owner


def forward(name: str, owner: ModuleType, others: Mapping[str, str]) -> None:
    """Make a module give the names of several; for the end of that module's body.

    Args:
        name: The module's own name, dotted.
        owner: Whose the names are, but for the others.
        others: Names that belong elsewhere, with the dotted name of the module each belongs to;
            it is imported when the name is first used.
    """
    module = sys.modules[name]
    # The module stays the object it is, so that it can be reloaded, and threads that import it
    # at this moment all get the same one.
    module.__class__ = ForwardingModule
    assert isinstance(module, ForwardingModule)  # which a type checker does not see
    own = super(ForwardingModule, module).__dict__
    for key in [key for key in own if not _is_special(key)]:
        del own[key]
    own.update(__owner__=owner, __others__=others)


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
            return getattr(_owner(self, name), name)
        except AttributeError:
            raise AttributeError(
                f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self
            ) from None

    def __setattr__(self, name: str, value: object) -> None:
        if _is_special(name):
            super().__setattr__(name, value)
        else:
            setattr(_owner(self, name), name, value)

    def __delattr__(self, name: str) -> None:
        if _is_special(name):
            super().__delattr__(name)
        else:
            delattr(_owner(self, name), name)


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _owner(module: ForwardingModule, name: str) -> ModuleType:
    other = module.__others__.get(name)
    return module.__owner__ if other is None else import_module(other)
