"""Commands of `manage.py`."""

from typing import TYPE_CHECKING

from channels._facade import submodules

__all__: list[str] = []

if not TYPE_CHECKING:  # pragma: no branch - a type checker would accept any attribute
    __getattr__ = submodules(__name__, {"runserver", "runworker"})
