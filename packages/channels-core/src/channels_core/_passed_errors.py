"""Record that an application has raised the error of a missing route, so that no other is tried.

A router tries its next route only after the error of a router directly inside. The applications of
consumers record by themselves that an error has passed them: a router need not wait around them,
with a coroutine of 0.25 KiB for each idle connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from channels_core.exceptions import RouteNotFound

__all__ = ["mark_recording", "record_passed", "records_passed"]

#: The attribute under which an application that records errors holds itself. Another function may
#: have it too, since `functools.wraps` copies attributes, but holds another one.
_MARK: Final = "_channels_records_passed"


def record_passed(error: RouteNotFound) -> None:
    """Record that an error has passed an application."""
    vars(error)["passed_an_application"] = True


def mark_recording(application: Callable[..., Any]) -> None:
    """Mark an application that calls `record_passed` itself."""
    vars(application)[_MARK] = application


def records_passed(application: Any) -> bool:
    """Return whether an application calls `record_passed` itself."""
    return getattr(application, _MARK, None) is application
