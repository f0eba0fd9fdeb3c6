"""Let applications be called in two steps as well, as Channels 2 called them."""

from collections.abc import Callable
from functools import partial, wraps
from inspect import signature
from types import MethodType
from typing import Any, ClassVar, Final, Self, TypeAlias, TypeVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from channels_core.typing import Scope

__all__ = ["Application", "OfScope", "TwoSteps", "first_step", "in_two_steps_too", "takes"]


_Function = TypeVar("_Function", bound=Callable[..., Any])
#: Called with the scope; returns what is called with `(receive, send)`.
_FirstStep: TypeAlias = Callable[[Any], Any]

# Not None: tests give that for what is not used.
_NOT_GIVEN: Final = object()

# A function that can be called in two steps holds itself under this name: `functools.wraps` copies
# attributes to functions that cannot.
_MARK: Final = "_channels_in_steps"


def takes(function: Any, count: int) -> bool:
    """Tell whether a function can be called with so many positional arguments."""
    try:
        signature(function).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def first_step(application: Any, scope: Scope) -> Any:
    """Call an application with the scope alone.

    Returns:
        What it returns; where it takes ASGI 3's three arguments only, what is called with the
        other two.
    """
    is_ours = isinstance(application, TwoSteps) or getattr(application, _MARK, None) is application
    if is_ours:
        return application(scope)
    # Something that passes for an application of ASGI 3 only because it says yes to whatever it
    # is asked: a mock.
    is_coroutine_function = any(map(iscoroutinefunction, (application, application.__call__)))
    if not is_coroutine_function and takes(application, 1):
        return application(scope)
    return partial(application, scope)


class TwoSteps:
    """The base of applications, called as `application(scope, receive, send)` or in two steps.

    Middleware of Channels 2 that stands around them calls `application(scope)`, and what that
    returns with `(receive, send)`. A consumer that was made with its scope is called with these
    two itself.

    A class that has a `__call__` of ASGI 3 may have `_channels_first_step(scope)` beside it, which
    does what can be done without the other two arguments. Without that method, the first step
    does nothing, and the second one everything.
    """

    _channels_first_step: ClassVar[Callable[..., Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Wrap a `__call__` of ASGI 3, once for the class and never for a connection."""
        super().__init_subclass__(**kwargs)
        call = vars(cls).get("__call__")
        if call is not None and takes(call, 4):
            # Of this very class: that of a base does not know what `call` does here.
            first = vars(cls).get("_channels_first_step")
            setattr(cls, "__call__", _in_steps(call, first))  # noqa: B010 - for type checkers it stays as it is


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


def in_two_steps_too(application: _Function, first: _FirstStep | None = None) -> _Function:
    """Return a coroutine function of ASGI 3 that can be called with the scope alone as well.

    Args:
        application: The coroutine function.
        first: What is called with the scope alone; without it, the first step does nothing.
    """

    @wraps(application)
    def in_steps(scope: Any, receive: Any = _NOT_GIVEN, send: Any = _NOT_GIVEN) -> Any:
        if receive is _NOT_GIVEN:
            return partial(application, scope) if first is None else first(scope)
        return application(scope, receive, send)

    vars(in_steps)[_MARK] = in_steps
    return cast(_Function, markcoroutinefunction(in_steps))


def _in_steps(call: Callable[..., Any], first: Callable[..., Any] | None) -> Callable[..., Any]:
    @wraps(call)
    def in_steps(self: Any, scope: Any, receive: Any = _NOT_GIVEN, send: Any = _NOT_GIVEN) -> Any:
        if send is not _NOT_GIVEN:
            return call(self, scope, receive, send)
        if receive is _NOT_GIVEN:
            return partial(call, self, scope) if first is None else first(self, scope)
        if hasattr(self, "scope"):
            return call(self, self.scope, scope, receive)
        return call(self, scope, receive)  # the error is Python's own

    return markcoroutinefunction(in_steps)
