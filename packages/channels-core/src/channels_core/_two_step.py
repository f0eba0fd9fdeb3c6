"""Serve callers that call an application in two steps, as Channels 2 did.

ASGI 3 calls `application(scope, receive, send)`. Channels 2 called `application(scope)`, and what
that returned with `(receive, send)`; middleware of that time still does, around our routers,
middleware and consumers.

A subclass writes a `__call__` of ASGI 3, and type checkers, `super().__call__` and `inspect` must
find that. So its class statement wraps the `__call__` that it defines: the wrapper accepts the
scope alone as well. This cannot be a `__call__` of the base with another method inside, since
programs override `__call__` itself. Servers that ask `inspect` whether an application's
`__call__` is a coroutine function look at the instance: routers and middleware have the written
function there (`Application.__new__`), because `inspect` ignores marked functions before Python
3.12. A call of the instance does not read that attribute, so both kinds of callers are served.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from inspect import CO_VARARGS, signature
from types import CoroutineType, FunctionType, MethodType
from typing import Any, ClassVar, Final, Self, TypeAlias, TypeVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from channels_core.typing import Scope

__all__ = [
    "Application",
    "OfScope",
    "TwoSteps",
    "at_once",
    "first_step",
    "in_two_steps_too",
    "takes",
]


_Function = TypeVar("_Function", bound=Callable[..., Any])
#: Called with the scope; returns what is called with `(receive, send)`.
_FirstStep: TypeAlias = Callable[[Any], Any]

# Not None: tests pass that for arguments which are not used.
_NOT_GIVEN: Final = object()

#: The attribute of a function that `at_once` has marked.
_AT_ONCE: Final = "_channels_at_once"

#: The attribute under which a function that can be called in two steps holds itself. A function
#: that cannot may have it too, since `functools.wraps` copies attributes, but holds another one.
_MARK: Final = "_channels_in_steps"


#: What `inspect.signature` looks at, and the number of wrappers that `takes` looks through.
_WRAPPERS: Final = 4
_WRAPPING: Final = frozenset({"__signature__", "__wrapped__"})


def takes(function: Any, count: int) -> bool:
    """Return whether a function can be called with a number of positional arguments."""
    # For a plain function its code tells it: `signature` takes 0.1 ms, with each class of consumers
    # and middleware. Like that, this looks through wrappers.
    plain: Any = function
    call: Any = type(function).__call__
    if type(call) is FunctionType and not any(hasattr(function, name) for name in _WRAPPING):
        # An object, such as a router: Python calls this function of its class, with it as `self`.
        plain, count = call, count + 1
        function = call
    for _ in range(_WRAPPERS):
        if type(plain) is FunctionType and vars(plain).keys() & _WRAPPING == {"__wrapped__"}:
            plain = vars(plain)["__wrapped__"]
    if type(plain) is FunctionType and vars(plain).keys() <= {_AT_ONCE}:
        code = plain.__code__
        if not code.co_kwonlyargcount and not code.co_flags & CO_VARARGS:
            required = code.co_argcount - len(plain.__defaults__ or ())
            return required <= count <= code.co_argcount
    try:
        signature(function).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def first_step(application: Any, scope: Scope) -> Any:
    """Call an application with the scope alone.

    Returns:
        What the application returns. If it takes only the three arguments of ASGI 3, a callable
        that takes the other two.
    """
    is_ours = isinstance(application, TwoSteps) or getattr(application, _MARK, None) is application
    if is_ours:
        return application(scope)
    # A mock is both a coroutine function and callable with one argument; it is called in one step.
    is_coroutine_function = any(map(iscoroutinefunction, (application, application.__call__)))
    if not is_coroutine_function and takes(application, 1):
        return application(scope)
    return partial(application, scope)


class TwoSteps:
    """The base of applications that are called in one step or in two.

    A consumer that was made with its scope is called with `(receive, send)` itself.

    A class with a `__call__` of ASGI 3 may define `_channels_first_step(scope)` beside it, which
    does whatever needs only the scope, and returns a callable for the second step. Without that
    method the first step does nothing.
    """

    _channels_first_step: ClassVar[Callable[..., Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Wrap a `__call__` of ASGI 3, once for the class and not for each connection."""
        super().__init_subclass__(**kwargs)
        call = vars(cls).get("__call__")
        if call is not None and takes(call, 4):
            # Only a first step of this very class: that of a base does not know this `__call__`.
            first = vars(cls).get("_channels_first_step")
            setattr(cls, "__call__", _in_steps(call, first))  # noqa: B010 - for type checkers it stays as it is


class OfScope(TwoSteps):
    """The base of consumers, which may be made with their scope."""

    scope: Scope

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the scope from a program that passes it on, as Channels 2 did.

        Args:
            args: Nothing, or the scope. More goes to the other bases of the class.
            kwargs: Perhaps `scope`. The rest goes to the other bases of the class.
        """
        if args:
            self.scope, *args = args  # type: ignore[assignment] # a list of the remaining ones
        elif "scope" in kwargs:
            self.scope = kwargs.pop("scope")
        super().__init__(*args, **kwargs)


class Application(TwoSteps):
    """The base of routers and middleware, which servers may be given."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Show the coroutine function to servers that ask for it; see the module's text."""
        application = super().__new__(cls)
        shown = getattr(cls.__call__, "__wrapped__", None)
        if shown is not None:
            vars(application)["__call__"] = MethodType(shown, application)
        return application


def in_two_steps_too(application: _Function, first: _FirstStep | None = None) -> _Function:
    """Return a coroutine function of ASGI 3 that can also be called with the scope alone.

    Args:
        application: The coroutine function.
        first: Called with the scope alone; None if the first step does nothing.
    """

    @wraps(application)
    def in_steps(scope: Any, receive: Any = _NOT_GIVEN, send: Any = _NOT_GIVEN) -> Any:
        if receive is _NOT_GIVEN:
            return partial(application, scope) if first is None else first(scope)
        return application(scope, receive, send)

    vars(in_steps)[_MARK] = in_steps
    return cast(_Function, markcoroutinefunction(in_steps))


def at_once(call: _Function) -> _Function:
    """Mark a `__call__` that is an ordinary function, and returns a coroutine of another one.

    A coroutine that only waits for another one takes 0.25 KiB of each idle connection, and 0.5 KiB
    more if it holds a copy of the scope. Callers do not see a difference: what such a function
    raises is raised when its result is awaited.
    """
    vars(call)[_AT_ONCE] = True
    return call


def _coroutine_function(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a coroutine function that does the same, for servers that look for one."""

    @wraps(call)
    async def shown(self: Any, scope: Any, receive: Any, send: Any) -> Any:
        return await call(self, scope, receive, send)

    return shown


async def _raise(error: Exception) -> Any:
    try:
        raise error
    finally:
        del error  # its traceback holds this frame: leave no circle to the garbage collector


async def _wait_for(rest: Any) -> Any:
    return await rest


def _in_steps(call: Callable[..., Any], first: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return a method like `in_two_steps_too`, for a consumer with its scope as well.

    Args:
        call: The `__call__` that a class defines; perhaps marked by `at_once`.
        first: As for `in_two_steps_too`.
    """
    begins_at_once: bool = getattr(call, _AT_ONCE, False)

    # Servers find the function that is wrapped.
    @wraps(_coroutine_function(call) if begins_at_once else call)
    def in_steps(self: Any, scope: Any, receive: Any = _NOT_GIVEN, send: Any = _NOT_GIVEN) -> Any:
        if send is not _NOT_GIVEN:
            if not begins_at_once:
                return call(self, scope, receive, send)
            try:
                rest = call(self, scope, receive, send)
            except Exception as error:  # noqa: BLE001 - raised by the coroutine
                return _raise(error)
            # Another application may return any awaitable, and callers may need a coroutine.
            return rest if type(rest) is CoroutineType else _wait_for(rest)
        if receive is _NOT_GIVEN:
            return partial(in_steps, self, scope) if first is None else first(self, scope)
        if hasattr(self, "scope"):
            # The two arguments are `receive` and `send`.
            return in_steps(self, self.scope, scope, receive)
        return call(self, scope, receive)  # raises Python's own TypeError

    return markcoroutinefunction(in_steps)
