"""Turn whatever a router or a middleware is handed into an ASGI 3 application."""

import inspect
from typing import Any, cast

from asgiref.compatibility import guarantee_single_callable

from channels_core.typing import ASGIApplication

__all__ = ["as_asgi3", "name_that_thing"]


def as_asgi3(application: Any) -> ASGIApplication:
    """Return an ASGI 3 callable for an application of either generation.

    Args:
        application: An ASGI 3 callable (returned as it is), a consumer class, or a two-step
            application `application(scope)(receive, send)`.

    Raises:
        TypeError: It cannot be called.

    Source: `asgiref.compatibility.guarantee_single_callable`.
    """
    if not callable(application):
        raise TypeError(
            f"Expected an ASGI application (a callable, or a consumer class), got {application!r}"
        )
    if getattr(application, "__name__", None) == "as_asgi":
        raise TypeError(f"Expected an ASGI application, got {application!r}; call as_asgi()")
    if isinstance(application, type) and hasattr(application, "as_asgi"):
        return cast(ASGIApplication, application.as_asgi())
    if not isinstance(application, type) and _takes(application, 3) and not _takes(application, 1):
        # asgiref would call it in two steps, unless it is marked as a coroutine function: an
        # ordinary function may return what the application inside it does.
        return cast(ASGIApplication, application)
    return cast(ASGIApplication, guarantee_single_callable(application))


def _takes(function: Any, count: int) -> bool:
    """Tell whether a function can be called with so many positional arguments."""
    try:
        inspect.signature(function).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def name_that_thing(thing: object) -> str:
    """Return the dotted name of a function or class, or of an instance's class, for a message."""
    named: Any = thing if hasattr(thing, "__name__") else type(thing)
    name = getattr(named, "__qualname__", named.__name__)
    return f"{named.__module__}.{name}"
