"""Let applications be called in two steps as well, as Channels 2 called them."""

from collections.abc import Callable
from functools import partial, wraps
from inspect import signature
from types import MethodType
from typing import Any, Final, Self, TypeVar, cast

from asgiref.sync import markcoroutinefunction

from channels_core.typing import Scope

__all__ = ["Application", "OfScope", "TwoSteps", "in_two_steps_too", "takes"]


_Function = TypeVar("_Function", bound=Callable[..., Any])

# Not None: tests give that for what is not used.
_NOT_GIVEN: Final = object()


def takes(function: Any, count: int) -> bool:
    """Tell whether a function can be called with so many positional arguments."""
    try:
        signature(function).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


class TwoSteps:
    """The base of applications, called as `application(scope, receive, send)` or in two steps.

    Middleware of Channels 2 that stands around them calls `application(scope)`, and what that
    returns with `(receive, send)`. A consumer that was made with its scope is called with these
    two itself.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Wrap a `__call__` of ASGI 3, once for the class and never for a connection."""
        super().__init_subclass__(**kwargs)
        call = vars(cls).get("__call__")
        if call is not None and takes(call, 4):
            setattr(cls, "__call__", _in_steps(call))  # noqa: B010 - for type checkers it stays as it is


class OfScope(TwoSteps):
    """The base of consumers, which may be made with their scope."""

    scope: Scope

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the scope, where a program written for Channels 2 passes it on.

        Args:
            args: Nothing, or the scope.
            kwargs: For a class that is derived from others as well.
        """
        if args:
            self.scope, *args = args  # type: ignore[assignment] # what is left of them
        elif "scope" in kwargs:
            self.scope = kwargs.pop("scope")
        super().__init__(*args, **kwargs)


class Application(TwoSteps):
    """The base of what servers are given: routers and middleware."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Show servers the coroutine function.

        Some ask `inspect` whether an application's `__call__` is one, and it knows no marks
        before Python 3.12. A call of the instance itself does not look here.
        """
        application = super().__new__(cls)
        shown = getattr(cls.__call__, "__wrapped__", None)
        if shown is not None:
            vars(application)["__call__"] = MethodType(shown, application)
        return application


def in_two_steps_too(application: _Function) -> _Function:
    """Return a coroutine function of ASGI 3 that can be called with the scope alone as well."""

    @wraps(application)
    def in_steps(scope: Any, receive: Any = _NOT_GIVEN, send: Any = _NOT_GIVEN) -> Any:
        if receive is _NOT_GIVEN:
            return partial(application, scope)
        return application(scope, receive, send)

    return cast(_Function, markcoroutinefunction(in_steps))


def _in_steps(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def in_steps(self: Any, scope: Any, receive: Any = _NOT_GIVEN, send: Any = _NOT_GIVEN) -> Any:
        if send is not _NOT_GIVEN:
            return call(self, scope, receive, send)
        if receive is _NOT_GIVEN:
            return partial(call, self, scope)
        if hasattr(self, "scope"):
            return call(self, self.scope, scope, receive)
        return call(self, scope, receive)  # the error is Python's own

    return markcoroutinefunction(in_steps)
