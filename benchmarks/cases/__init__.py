"""The cases, one module each: see README.md for how to write one."""

from importlib import import_module
from typing import Final

from benchmarks.case import Case

__all__ = ["NAMES", "load"]

#: In the order of the table. A case's module has its name, with `_` for `-`.
NAMES: Final = (
    "layer",
    "fan-out",
    "idle-channels",
    "echo-text",
    "echo-json",
    "echo-sync",
    "chat",
    "connect",
    "memory",
    "http",
    "routes",
    "imports",
    "live",
    "redis",
    "queries",
    "sleepers",
    "soak",
)


def load(name: str) -> Case:
    """Return a case."""
    case: Case = import_module(f"{__name__}.{name.replace('-', '_')}").CASE
    return case
